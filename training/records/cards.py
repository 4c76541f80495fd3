"""Cards and summaries: what is stored of an adapter and of a comparison for good."""

from collections.abc import Mapping

from storage.types import Adapter, Arm, Comparison
from training.records.parts import (
    BaseModel,
    Consent,
    ExperimentPlace,
    GateLine,
    Price,
    StartedFrom,
)
from training.records.record import JsonRecord, always, read
from training.records.results import EvaluateResult, GeneralTally, RedTeamTally, TrainResult
from training.settings import Method


class CardVersion(JsonRecord, frozen=True, kw_only=True):
    """The version that an adapter learnt from, or is judged on."""

    number: int
    sha256: str
    seed: int = always(0)
    counts: dict[str, int] = always({})
    origins: dict[str, int] = always({})
    approvals: dict[str, int] = always({})
    """Pairs by the person who approved them."""


class ImportedCard(JsonRecord, frozen=True, kw_only=True):
    """Who took an adapter in that was trained elsewhere, and what is not known of it."""

    by: str
    named_base: str = always("")
    limits: tuple[str, ...] = always(())


class AdapterCard(JsonRecord, frozen=True, kw_only=True):
    """What is stored of an adapter when its run ends; comparisons, trials, checks and stages are
    added when the card is read (`lifecycle.adapter_cards`).
    """

    kind: str = always("lora")
    """"lora", "full" for a whole model, "provider" for one that an endpoint keeps."""
    consent: Consent | None = None
    price: Price | None = None
    origin: str | None = None
    """"imported" for one that was trained elsewhere."""
    imported: ImportedCard | None = None
    run: str | None = None
    launched_by: str = always("someone")
    version: CardVersion
    gate: tuple[GateLine, ...] = always(())
    base: BaseModel
    settings: dict[str, object] = always({})
    """As the run's method has them; of one trained elsewhere what its own files tell."""
    started_from: StartedFrom | None = always(None)
    share: float | None = None
    experiment: ExperimentPlace | None = always(None)
    result: TrainResult = always(TrainResult())

    @property
    def method(self) -> str:
        """How it was tuned."""
        return str(self.settings.get("method", Method.LORA))


class CardRate(JsonRecord, frozen=True, kw_only=True):
    """A metric of an arm: hits of so many answers, with its 95 % Wilson interval."""

    k: int
    n: int
    rate: float
    low: float
    high: float


class CardTally(GeneralTally, frozen=True, kw_only=True):
    """General tasks as a card has them."""

    p_value: float
    """Of nothing being forgotten: exact McNemar test."""


class CardCheck(JsonRecord, frozen=True, kw_only=True):
    """The newest check as a card has it."""

    general: CardTally
    red_team: RedTeamTally
    limits: tuple[str, ...] = always(())


class CardTrial(JsonRecord, frozen=True, kw_only=True):
    """A closed blind trial as a card has it."""

    verdict: str
    tuned: int
    base: int
    tie: int
    both_bad: int
    p_value: float
    reviewers: int


class CardEnvironment(JsonRecord, frozen=True, kw_only=True):
    """What a run ran on."""

    libraries: dict[str, str] = always({})
    hardware: dict[str, str | int | None] = always({})


class CardStage(JsonRecord, frozen=True, kw_only=True):
    """A change of stage as a card has it, with the gate as it stood then."""

    stage: str
    by: str
    at: str
    reason: str
    gate: tuple[GateLine, ...] = always(())


class CompleteCard(AdapterCard, frozen=True, kw_only=True):
    """The card with all that came after the run."""

    number: int
    name: str
    stage: str
    sha256: str
    base_licence: str
    environment: CardEnvironment
    evaluations: tuple[dict[str, CardRate | int | str], ...]
    """Each comparison: rates by arm and metric, such as "tuned_correct"."""
    checks: CardCheck | None
    trials: tuple[CardTrial, ...]
    stages: tuple[CardStage, ...]
    limits: tuple[str, ...]


class PersonalAnswers(JsonRecord, frozen=True, kw_only=True, rename={"types": "found"}):
    """Types of personal data in an arm's answers, by pair."""

    types: dict[str, tuple[str, ...]] = always({})
    unread: tuple[int, ...] = always(())
    """Pairs whose answer could not be read whole."""


class ArmCounts(JsonRecord, frozen=True, kw_only=True):
    """What one arm answered right."""

    correct: int
    valid: int
    personal: PersonalAnswers | None = None
    interval: tuple[float, float] | None = None
    """Of a part of the rows: the 95 % Wilson interval of its accuracy."""


class Summary(JsonRecord, frozen=True, kw_only=True, rename={"method": "made"}):
    """A comparison in numbers."""

    n: int
    base: ArmCounts | None = None
    tuned: ArmCounts | None = None
    eras: "dict[str, Summary] | None" = None
    """The same for each era by name, where there are several; rows without one under ""."""
    method: EvaluateResult = EvaluateResult()

    def arm(self, arm: Arm) -> ArmCounts | None:
        """The counts of an arm; None where it did not answer."""
        return self.base if arm is Arm.BASE else self.tuned


def of(adapter: Adapter) -> AdapterCard:
    """What is stored of an adapter."""
    return read(AdapterCard, adapter.card)


def complete(card: Mapping[str, object]) -> CompleteCard:
    """The card that `lifecycle.adapter_cards` builds."""
    return read(CompleteCard, card)


def summary(comparison: Comparison) -> Summary:
    """A comparison in numbers."""
    return read(Summary, comparison.summary)
