"""Specs: what was asked for, a type for each kind of work (`Job.spec`)."""

from storage.types import FindingState, Job
from training.records.parts import (
    AdapterRef,
    BaseModel,
    Consent,
    Endpoint,
    Estimate,
    ExperimentPlace,
    GateLine,
    Price,
    ResumedFrom,
    StartedFrom,
)
from training.records.record import JsonRecord, always, read
from training.settings import Method, MethodSettings, with_method


class ScanSpec(JsonRecord, frozen=True, kw_only=True):
    """A scan for personal data: of whatever has none, by the project's settings at that time."""


class IntakeSpec(JsonRecord, frozen=True, kw_only=True):
    """The import of a file whose rows wait in the job's folder."""

    file: str
    """Its name."""
    sha256: str
    rows: int
    held_out: bool = always(False)


class SweepSpec(JsonRecord, frozen=True, kw_only=True):
    """A comparison of all pairs with each other."""

    rows: int
    """Pairs that were to be compared when it was asked for."""


class EverywhereSpec(JsonRecord, frozen=True, kw_only=True):
    """The decision about the words of a finding, in all pairs."""

    finding_id: int
    state: FindingState


class ReopenSpec(JsonRecord, frozen=True, kw_only=True):
    """The sending back of a stratum of the audit, with the figures that the lead had in view."""

    origin: str
    author: int | None
    era: int | None
    bad: int
    judged: int
    back: int


class DeliverySpec(JsonRecord, frozen=True, kw_only=True):
    """The export of a version as one zip."""

    version_id: int
    layout: str
    splits: tuple[str, ...]


class FreezeSpec(JsonRecord, frozen=True, kw_only=True):
    """The freezing of a version."""

    seed: int
    note: str


class MeaningSpec(JsonRecord, frozen=True, kw_only=True):
    """A comparison of what rows mean; its task says the same."""

    least: float
    """Cosine from which on a pair of rows is reported."""
    embedder: str
    """Folder of the model."""


class DraftSpec(JsonRecord, frozen=True, kw_only=True):
    """Drafts by a model: the base on this machine, or an endpoint's."""

    topic: str
    count: int
    seed: int
    temperature: float = always(0.9)
    base: BaseModel | None = None
    endpoint: Endpoint | None = None
    environment: tuple[str, ...] | None = None
    """Variables of the server's environment that its process is given."""


class Training(JsonRecord, frozen=True, kw_only=True):
    """What decides how a run trains."""

    version_id: int
    version_number: int = always(0)
    version_sha256: str = always("")
    base: BaseModel
    settings: MethodSettings
    started_from: StartedFrom | None = always(None)
    share: float = always(1.0)
    """Of the train rows it learns from."""


class TrainSpec(Training, frozen=True, kw_only=True):
    """A training run."""

    name: str = always("")
    estimate: Estimate | None = always(None)
    gate: tuple[GateLine, ...] = always(())
    endpoint: Endpoint | None = None
    environment: tuple[str, ...] | None = None
    consent: Consent | None = None
    price: Price | None = None
    experiment: ExperimentPlace | None = None
    resumed_from: ResumedFrom | None = None

    @property
    def remote(self) -> bool:
        """Whether the run is an endpoint's, not this machine's."""
        return self.settings.METHOD is Method.PROVIDER


class ProbeSpec(Training, frozen=True, kw_only=True):
    """A few steps of a run, to be measured and thrown away."""

    key: str = always("")
    """What makes two probes the same."""


class EvaluateSpec(JsonRecord, frozen=True, kw_only=True):
    """Answers to the held-out rows of a version: the base's alone, or base and tuned."""

    version_id: int
    best_prompt: bool = always(False)
    """Whether the base is shown as many examples as help it."""
    base: BaseModel
    adapter: AdapterRef | None = always(None)
    precision: str | None = None
    whole_model: bool | None = None
    endpoint: Endpoint | None = None
    environment: tuple[str, ...] | None = None
    models: dict[str, str] | None = None
    """By arm, where an endpoint keeps them."""


class MergeSpec(JsonRecord, frozen=True, kw_only=True):
    """Base and adapter made one model."""

    exit: str
    version_id: int
    base: BaseModel
    adapter: AdapterRef


class ImportSpec(JsonRecord, frozen=True, kw_only=True):
    """An adapter taken in from elsewhere: a job that is recorded, never run."""

    imported: dict[str, str]
    name: str
    version_id: int


class CheckSpec(JsonRecord, frozen=True, kw_only=True):
    """General tasks and red-team prompts for base and tuned model."""

    version_id: int
    base: BaseModel
    base_sha256: str | None = always(None)
    adapter: AdapterRef
    precision: str | None = always(None)
    whole_model: bool = always(False)


def freezing(job: Job) -> FreezeSpec:
    """What was asked of a freezing."""
    return read(FreezeSpec, job.spec)


def intake(job: Job) -> IntakeSpec:
    """What an import was asked for."""
    return read(IntakeSpec, job.spec)


def everywhere(job: Job) -> EverywhereSpec:
    """Which words are decided, and how."""
    return read(EverywhereSpec, job.spec)


def reopening(job: Job) -> ReopenSpec:
    """Which stratum goes back."""
    return read(ReopenSpec, job.spec)


def delivery(job: Job) -> DeliverySpec:
    """Which export was asked for."""
    return read(DeliverySpec, job.spec)


def train(job: Job) -> TrainSpec:
    """What a training run was asked for."""
    return read(TrainSpec, {**job.spec, "settings": with_method(job.spec.get("settings", {}))})


def probe(job: Job) -> ProbeSpec:
    """What a probe was asked for."""
    return read(ProbeSpec, job.spec)


def evaluate(job: Job) -> EvaluateSpec:
    """What a comparison was asked for."""
    return read(EvaluateSpec, job.spec)


def draft(job: Job) -> DraftSpec:
    """What drafts were asked for."""
    return read(DraftSpec, job.spec)


def check(job: Job) -> CheckSpec:
    """What a check was asked for."""
    return read(CheckSpec, job.spec)


def merge(job: Job) -> MergeSpec | None:
    """What a merge was asked for; None for an adapter that was taken in from elsewhere."""
    return read(MergeSpec, job.spec) if "exit" in job.spec else None
