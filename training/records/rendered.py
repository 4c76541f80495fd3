"""What a probe writes of the pairs as the model sees them."""

from training.records.record import JsonRecord, always


class Stretch(JsonRecord, frozen=True, kw_only=True):
    """Neighbouring tokens of a pair that are all learnt or all read."""

    text: str
    learnt: bool
    mark: bool
    """Whether it is a mark of the chat template."""
    tokens: int = always(0)


class RenderedPair(JsonRecord, frozen=True, kw_only=True):
    """A pair as it goes into the model."""

    pair_id: int
    answer: str = always("")
    """Which of two answers, where one is better; else empty."""
    tokens: int
    stretches: tuple[Stretch, ...]


class RenderedPairs(JsonRecord, frozen=True, kw_only=True):
    """All pairs of a run in figures, and some of them in full."""

    lengths: tuple[int, ...]
    """In tokens, training and validation together."""
    limit: int
    too_long: int
    too_long_rows: tuple[tuple[int, int], ...]
    """The longest of those over the limit: pair and tokens."""
    shared: int
    """Tokens that all of them begin with."""
    mean: float
    learnt: int
    """Tokens of all pairs together that are learnt."""
    seconds: float = 0.0
    """That looking took."""
    program_mb: float = 0.0
    """Memory of the process before the base model was loaded."""
    examples: tuple[RenderedPair, ...]
    """From the shortest to the longest training pair."""
