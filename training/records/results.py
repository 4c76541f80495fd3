"""Results: how a job ended and what it measured, a type for each kind of work."""

from typing import Any

from storage.types import Job, JobState
from training.records.parts import (
    BaseFiles,
    BaseOrigin,
    Cost,
    Loss,
    PairCounts,
    Prompting,
    ResumedFrom,
    StartedFrom,
)
from training.records.record import JsonRecord, always, read


class Took(JsonRecord, frozen=True, kw_only=True):
    """What a job's process took."""

    seconds: float
    peak_memory_mb: float | None = always(None)


class TrackerLink(JsonRecord, frozen=True, kw_only=True):
    """Where a run is found at a tracker."""

    run: str | None = None
    link: str | None = None
    ended: bool | None = None


class Ended(JsonRecord, frozen=True, kw_only=True):
    """How any job ended."""

    state: JobState | None = None
    message: str | None = None
    at: str | None = None
    took: Took | None = None
    exit: int | str | None = None
    """The status of a process that failed; of a merge the exit that it is for."""
    trackers: dict[str, TrackerLink] | None = None


class PersonalScanResult(Ended, frozen=True, kw_only=True):
    """A scan for personal data."""

    rows: int = always(0)
    quarantined: int = always(0)
    """Pairs that could not be scanned whole."""


class RepeatedTest(JsonRecord, frozen=True, kw_only=True):
    """A row of a file that repeats a test pair."""

    line: int
    pair_id: int
    test_id: int
    how: str
    similarity: float


class IntakeResult(Ended, frozen=True, kw_only=True):
    """What the import of a file did."""

    added: int = always(0)
    existing: int = always(0)
    """Rows that an earlier import of the file had brought."""
    invalid: int = always(0)
    """New pairs whose output does not fit the schema."""
    repeating: int = always(0)
    """New pairs that repeat test pairs."""
    repeats: tuple[RepeatedTest, ...] = ()
    """The first of them."""


class SweepResult(Ended, frozen=True, kw_only=True):
    """What a comparison of all pairs found."""

    rows: int = always(0)
    """Pairs that were compared."""
    new: int = always(0)
    """Links that were not there before."""


class EverywhereResult(Ended, frozen=True, kw_only=True):
    """What became of a decision about the same words in all pairs."""

    pairs: int = always(0)
    findings: int = always(0)
    in_review: int = always(0)
    """Pairs left alone because someone was reviewing them."""
    refused: int = always(0)
    """Pairs left alone because a placeholder would break their JSON."""


class ReopenResult(Ended, frozen=True, kw_only=True):
    """What became of the sending back of a stratum."""

    pairs: int = always(0)


class DeliveryResult(Ended, frozen=True, kw_only=True):
    """An export as one zip, which lies in the job's folder."""

    name: str
    pairs: int
    size: int
    """In bytes."""


class FreezeResult(Ended, frozen=True, kw_only=True):
    """Which version a freezing made."""

    version_id: int | None = always(None)
    number: int | None = always(None)


class MeaningResult(Ended, frozen=True, kw_only=True):
    """A comparison of what pairs mean."""

    rows: int = always(0)
    pairs: int = always(0)
    cut: int = always(0)
    """Texts of which only the beginning was read."""
    model_sha256: str


class DraftResult(
    Ended, frozen=True, kw_only=True, rename={"requested": "asked", "accepted": "kept"}
):
    """Drafts."""

    requested: int = always(0)
    accepted: int = always(0)
    tried: int = always(0)
    refused: dict[str, int] = always({})
    """How many for which reason."""
    model: str | None = None


class DraftLine(JsonRecord, frozen=True, kw_only=True):
    """A draft with what it was made from: hashes of what was asked and of what came back."""

    index: int
    prompt: str
    response: str
    model: str
    prompt_sha256: str
    seed: int
    raw_sha256: str = always("")


class TrainResult(Ended, frozen=True, kw_only=True):
    """A training run; of one that failed or was cancelled only what was known then."""

    kind: str | None = None
    version_sha256: str | None = None
    rows_sha256: str | None = None
    base: BaseOrigin | None = None
    settings: dict[str, object] | None = None
    precision: str | None = None
    seed: int | None = None
    libraries: dict[str, str] | None = None
    hardware: dict[str, object] | None = None
    rows: PairCounts | None = None
    steps: int | None = None
    train_loss: float | None = None
    first_train_loss: float | None = None
    validation_loss: float | None = None
    last_validation_loss: float | None = None
    validation_curve: tuple[Loss, ...] = ()
    stopped_early: bool = always(False)
    stopped_by_request: bool = always(False)
    diverged: bool = False
    planned_steps: int | None = None
    warnings: tuple[str, ...] = always(())
    epochs: float | None = None
    seconds: float | None = None
    resumed_from: ResumedFrom | None = always(None)
    started_from: StartedFrom | None = always(None)
    adapter_files: dict[str, str] | None = None
    adapter_sha256: str | None = None
    trained_tokens: int | None = None
    batches: str | None = None
    endpoint: str | None = None
    remote_job: str | None = None
    fine_tuned_model: str | None = None
    cost: Cost | None = None
    checkpoints: tuple[Any, ...] | None = None
    files_deleted: tuple[str, ...] | None = None
    files_left: tuple[str, ...] | None = None
    files_told: str | None = None


class ProbeResult(Ended, frozen=True, kw_only=True):
    """What a probe measured."""

    ready_seconds: float
    step_seconds: tuple[float, ...]
    step_tokens: tuple[int, ...]
    median_seconds: float
    tokens_a_batch: float
    evaluation_seconds: float
    saving_seconds: float
    memory_mb: dict[str, float]
    """By part."""
    peak_memory_mb: float
    rows: PairCounts


class EvaluateResult(Ended, frozen=True, kw_only=True):
    """How a comparison was made; its rates stand beside, under keys of `curation.project.score`."""

    n: int = always(0)
    prompting: Prompting | None = None
    base_answers_of: int | None = None
    """The comparison that froze the base's answers, where it was not this one."""
    max_new_tokens: int | None = None
    base_unended: int | None = None
    tuned_unended: int | None = None
    personal_unread: str | None = None
    """Why the answers were not scanned for personal data."""
    scan_sha256: str | None = None
    outputs_sha256: str | None = None
    base: BaseFiles | None = None
    precision: str | None = None
    setup: dict[str, str] | None = None
    """Libraries by version, and the device."""
    seconds: float | None = None


class MergeCheck(JsonRecord, frozen=True, kw_only=True):
    """A merged model beside base and adapter."""

    prompts: int
    tokens: int
    dtype: str
    largest_difference: float
    """Of a score, as a share of the largest."""
    allowed: float
    same_answers: int
    agrees: bool


class MergeResult(Ended, frozen=True, kw_only=True):
    """A merged model."""

    check: MergeCheck | None = None
    adapter_sha256: str | None = None
    base: BaseFiles | None = None
    merged_sha256: str | None = None


class GeneralTally(JsonRecord, frozen=True, kw_only=True):
    """General tasks passed by each arm, and where they differ."""

    n: int
    base: int
    tuned: int
    lost: int
    gained: int


class RedTeamTally(JsonRecord, frozen=True, kw_only=True):
    """Red-team prompts withstood by each arm."""

    n: int
    base: int
    tuned: int
    failed: tuple[str, ...]
    """Ids of those that the tuned model did not withstand."""


class CheckResult(Ended, frozen=True, kw_only=True):
    """A check before promotion."""

    general: GeneralTally
    red_team: RedTeamTally
    own: tuple[str, ...] = always(())
    """Ids of the project's own prompts among them."""
    tasks_sha256: str = ""
    outputs_sha256: str
    base: BaseFiles | None = None
    seconds: float | None = None


def draft(job: Job) -> DraftResult | None:
    """What drafting brought; None where it was cut off before it was counted."""
    return read(DraftResult, job.result) if "kept" in (job.result or {}) else None


def intake(job: Job) -> IntakeResult | None:
    """What an import brought; None where it did not finish."""
    return read(IntakeResult, job.result) if job.state is JobState.FINISHED else None


def delivery(job: Job) -> DeliveryResult | None:
    """The export that a job made; None where it did not finish."""
    return read(DeliveryResult, job.result) if job.state is JobState.FINISHED else None


def train(job: Job) -> TrainResult:
    """How a training run ended; nothing but defaults where it has not."""
    return read(TrainResult, job.result or {})


def probe(job: Job) -> ProbeResult | None:
    """What a probe measured; None where it did not finish."""
    return read(ProbeResult, job.result) if job.state is JobState.FINISHED else None
