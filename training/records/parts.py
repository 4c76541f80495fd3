"""What several records have in common: the base model, an adapter, an endpoint, lines of a gate."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from msgspec import Meta

from storage.errors import BadInput
from training.records.record import JsonRecord, always, written

PACKAGED = "smollm2-135m-instruct"
"""The base model that comes with Assay, by the name of its folder."""


class BaseModel(JsonRecord, frozen=True):
    """A base model as a run names it."""

    kind: Literal["packaged", "folder", "hub", "provider"]
    """"packaged", "folder", "hub", or "provider" for one that an endpoint keeps."""
    where: str = always(PACKAGED)
    """Name of the packaged model, absolute path of the folder, or hub id such as "org/name"."""
    revision: str | None = always(None)
    """For the hub: the commit, tag or branch asked for; the commit that came is recorded."""

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """A base model that can be loaded here.

        Raises:
            BadInput: it is of another kind.
        """
        kind = values.get("kind")
        if kind not in ("packaged", "folder", "hub"):
            raise BadInput("The base model's kind must be packaged, folder or hub.")
        where, revision = str(values.get("where") or PACKAGED), values.get("revision")
        return cls(kind=kind, where=where, revision=revision)

    def to_dict(self) -> dict[str, object]:
        """The JSON that `from_dict` reads back."""
        return written(self)


class BaseFiles(JsonRecord, frozen=True, kw_only=True):
    """The base model that a job worked with."""

    name: str = ""
    sha256: str | None = always(None)
    """Of all its files; None where an endpoint keeps it."""


class BaseOrigin(BaseFiles, frozen=True, kw_only=True):
    """The base model that a run started from, with where it comes from."""

    licence: str | None = always(None)
    revision: str | None = always(None)


class AdapterRef(JsonRecord, frozen=True, kw_only=True):
    """An adapter as a job names it."""

    id: int
    job: str
    sha256: str


class StartedFrom(JsonRecord, frozen=True, kw_only=True):
    """The adapter that a run goes on from, as it was."""

    id: int
    name: str = always("")
    job: str = always("")
    sha256: str
    version_id: int = always(0)
    precision: str | None = always(None)


class PassedOver(JsonRecord, frozen=True, kw_only=True):
    """A checkpoint that did not verify."""

    step: int
    why: str


class ResumedFrom(JsonRecord, frozen=True, kw_only=True):
    """Where a run goes on that was interrupted."""

    job: str
    step: int
    sha256: str
    """Of the checkpoint's manifest, or of what is known of an endpoint's job."""
    refused: tuple[PassedOver, ...] = always(())
    before: "ResumedFrom | None" = always(None)


class GateLine(JsonRecord, frozen=True, kw_only=True):
    """A line of a gate as it was when somebody passed it."""

    key: str
    name: str
    met: bool
    measured: str = ""
    waiver: str | None = always(None)


class ExperimentPlace(JsonRecord, frozen=True, kw_only=True):
    """A run's place in an experiment."""

    id: str
    kind: str
    name: str
    place: int
    varies: dict[str, object]
    """What sets it apart from the others: settings by name, or the share of the rows."""


class TuningOffer(JsonRecord, frozen=True):
    """What an endpoint tunes, and what it asks for that."""

    models: Annotated[tuple[str, ...], Meta(min_length=1)]
    price: Annotated[float, Meta(ge=0)]
    """Of a million trained tokens."""
    currency: str = always("USD")
    poll_seconds: Annotated[float, Meta(gt=0)] = always(10.0)
    """Between two questions how far a run is; up to six times as long where nothing changes."""


class Endpoint(JsonRecord, frozen=True):
    """An OpenAI-compatible endpoint that the server's configuration names; never its key, only the
    environment variable that holds it.
    """

    name: str
    url: str
    model: str
    api_key_env: str | None = always(None)
    private: bool = always(False)
    """Whether its host name may lead to an address inside the house."""
    tuning: TuningOffer | None = always(None)

    @property
    def environment(self) -> list[str]:
        """The environment variables that a job which asks this endpoint must be given."""
        return [self.api_key_env] if self.api_key_env else []


class Consent(JsonRecord, frozen=True):
    """That the pairs of one version may leave the house for one endpoint."""

    endpoint: str
    rows: int
    """Training and validation pairs, which are uploaded. The inputs of the held-out pairs follow
    when the tuned model is compared."""
    version_sha256: str
    given_by: str | None = None
    at: str | None = None


class Price(JsonRecord, frozen=True, rename={"basis": "made"}):
    """What a run will cost, as far as it can be known before it."""

    tokens: int
    """Tokens of the training pairs, once."""
    epochs: int
    a_million: float
    currency: str
    basis: str
    """How the tokens were counted."""
    amount: float
    """Tokens times epochs times the price of a token."""


class Cost(JsonRecord, frozen=True, rename={"basis": "made"}):
    """What a run cost, as far as it can be told here."""

    amount: float
    currency: str
    basis: str = always(
        "tokens counted by the endpoint, times the price in the server's configuration"
    )


_CHECKPOINT = 4
"""A checkpoint holds the weights, two moments of the optimizer and the best weights so far."""


class Estimate(JsonRecord, frozen=True, kw_only=True):
    """What a run will take."""

    ready: float
    """Seconds until the first step: start, libraries, base model, rows."""
    step: float
    """Seconds a step, on average over a pass."""
    low: float
    high: float
    """The 90 % interval of `step`."""
    evaluation: float
    """Seconds of one pass over the validation rows."""
    saving: float
    """Seconds to write what was learnt, once."""
    steps: int
    evaluations: int
    checkpoints: int
    memory_mb: float
    """At its highest."""
    parts: dict[str, float]
    """MB by part; they add up to `memory_mb`."""
    measured: int
    """Steps that were measured."""

    def seconds(self, step: float | None = None) -> float:
        """The whole run, at a given time a step or the expected one."""
        each = self.step if step is None else step
        saved = self.saving * (1 + _CHECKPOINT * self.checkpoints)
        return self.ready + each * self.steps + self.evaluation * self.evaluations + saved

    def interval(self) -> tuple[float, float]:
        """The whole run's seconds, from and to."""
        return self.seconds(self.low), self.seconds(self.high)


class PairCounts(JsonRecord, frozen=True):
    """How many pairs a run learnt from and was checked on."""

    train: int = always(0)
    validation: int = always(0)


class Loss(JsonRecord, frozen=True):
    """A loss that was measured after a step."""

    step: int
    loss: float


class PromptTrial(JsonRecord, frozen=True, kw_only=True):
    """How a number of examples did on the validation rows."""

    examples: int
    correct: int
    valid: int
    n: int


class Prompting(JsonRecord, frozen=True, kw_only=True):
    """The best prompt of a base model, and what came of the others."""

    chosen: int
    """Examples."""
    pair_ids: tuple[int, ...] = always(())
    tried: tuple[PromptTrial, ...] = always(())
