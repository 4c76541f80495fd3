"""The nouns of Assay as frozen values. Verbs hold rows of the ORM; pages only ever see these."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Any, ClassVar


class Role(StrEnum):
    """What a person may do. One person may hold several."""

    EXPERT = "expert"
    REVIEWER = "reviewer"
    LEAD = "lead"
    ADMIN = "admin"


class Origin(StrEnum):
    """Where the words of a pair come from."""

    GOLD = "gold"
    IMPORT = "import"
    DRAFT = "draft"
    PRODUCTION = "production"


class PairStatus(StrEnum):
    """Where a pair stands. Only APPROVED pairs can enter a version."""

    WAITING = "waiting"
    APPROVED = "approved"
    REJECTED = "rejected"


class Action(StrEnum):
    """What a person decided about a pair. Undo is an action of its own, never a deletion."""

    APPROVE = "approve"
    REJECT = "reject"
    FLAG = "flag"
    SKIP = "skip"
    UNDO = "undo"
    SCRUB = "scrub"
    REOPEN = "reopen"
    HOLD_OUT = "hold_out"


class Outcome(StrEnum):
    """What became of a decision: applied, or kept aside because the row had moved on."""

    APPLIED = "applied"
    LATE = "late"


class Split(StrEnum):
    """The part of a version that a row belongs to."""

    TRAIN = "train"
    VALIDATION = "validation"
    TEST = "test"


class FindingState(StrEnum):
    """What a person said about a personal-data finding."""

    OPEN = "open"
    ACCEPTED = "accepted"
    DISMISSED = "dismissed"


class LinkState(StrEnum):
    """What a person said about two rows that are nearly the same."""

    OPEN = "open"
    RESOLVED = "resolved"
    BOTH_RIGHT = "both_right"


class LinkKind(StrEnum):
    """How two rows relate."""

    EXACT = "exact"
    NEAR = "near"
    CONTRADICTION = "contradiction"
    LEAK = "leak"


class JobKind(StrEnum):
    """Long work that runs in a process of its own."""

    SCAN = "scan"
    MEANING = "meaning"
    DRAFT = "draft"
    TRAIN = "train"
    EVALUATE = "evaluate"
    PROBE = "probe"
    EXPORT = "export"
    CHECK = "check"
    IMPORT = "import"
    LAYOUT = "layout"
    EVERYWHERE = "everywhere"
    SWEEP = "sweep"
    FREEZE = "freeze"
    REOPEN = "reopen"


class JobState(StrEnum):
    """State of a job, decided from evidence in its directory. The last four are final."""

    QUEUED = "queued"
    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"
    CANCELLED = "cancelled"
    LOST = "lost"

    @property
    def final(self) -> bool:
        """Whether the job can no longer change state."""
        return self not in (JobState.QUEUED, JobState.RUNNING)


class Stage(StrEnum):
    """How far an adapter has come. One without any stage change is a candidate."""

    CANDIDATE = "candidate"
    APPROVED = "approved"
    PRODUCTION = "production"
    RETIRED = "retired"


class Arm(StrEnum):
    """Which model wrote an answer."""

    BASE = "base"
    TUNED = "tuned"


class Choice(StrEnum):
    """What a blind reviewer pressed. WITHDRAWN undoes the vote it supersedes."""

    LEFT = "left"
    RIGHT = "right"
    TIE = "tie"
    BOTH_BAD = "both_bad"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True, slots=True)
class User:
    """A person with a profile."""

    id: int
    name: str
    roles: frozenset[Role]


@dataclass(frozen=True, slots=True)
class Project:
    """One task: what goes in, what must come out, and under which guidelines."""

    id: int
    name: str
    task: str
    system_message: str
    output_schema: dict[str, object] | None
    guidelines: str
    label_field: str | None
    """Key of a JSON output used for stratifying and for task accuracy, if any."""
    two_people: bool
    """Whether gold pairs need the approval of someone who did not write them."""
    sample: bool


@dataclass(frozen=True, slots=True)
class Era:
    """A policy era: the rules that were in force when a pair was written."""

    id: int
    project_id: int
    name: str
    starts_on: date
    retired: bool
    phrases: tuple[str, ...]
    """Wording that only this era used; an output with it belongs to the era whatever its tag."""
    ends_on: date | None = None
    """The last day it is in force; None where it lasts until the next era starts."""
    document: str = ""
    """Title of the policy it stands for."""
    url: str = ""
    """Where that policy can be read; shown as text, never opened."""


@dataclass(frozen=True, slots=True)
class Pair:
    """One input and the output the model should produce."""

    id: int
    project_id: int
    prompt: str
    response: str
    status: PairStatus
    origin: Origin
    version: int
    content_sha256: str
    author_id: int | None
    """The person whose words these are; None for imports and drafts."""
    era_id: int | None
    held_out: bool
    """Test rows: once held out, never trained on."""
    flagged: bool
    topic: str | None
    source: dict[str, str | int | None]
    """Provenance: file hash and line, or model, prompt hash and seed."""
    reject_reason: str | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Card:
    """A pair as a reviewer holds it: with the claim that lets them decide."""

    pair: Pair
    fence: int
    lease_until: datetime
    draft_response: str
    """The response as it first arrived; edits are shown against it."""
    draft_prompt: str
    era: str | None


@dataclass(frozen=True, slots=True)
class Decision:
    """One decision of one person about one pair. Insert-only."""

    id: int
    pair_id: int
    user_id: int
    action: Action
    outcome: Outcome
    seen_version: int
    reason: str | None
    prompt: str | None
    response: str | None
    supersedes_id: int | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Finding:
    """A span that may be personal data, in one field of one pair as it stood when scanned."""

    id: int
    pair_id: int
    field: str
    """"prompt", "response", "topic" or "source" (what came along with an imported row)."""
    start: int
    end: int
    """Offsets in characters; end exclusive."""
    type: str
    score: float
    state: FindingState
    decided_by: int | None
    key: str | None = None
    """Name of the value, where the field is "source"."""


@dataclass(frozen=True, slots=True)
class Link:
    """Two rows that are the same, nearly the same, or contradict each other."""

    id: int
    a: int
    b: int
    kind: LinkKind
    similarity: float
    """Exact Jaccard similarity of the shingle sets, 0 to 1; of rows found by what they mean
    (`curation.overlap.near.meanings`) the cosine."""
    state: LinkState
    reason: str | None


@dataclass(frozen=True, slots=True)
class PairSample:
    """How many pairs something concerns, and the first of them by id: as many as a page links."""

    count: int
    ids: tuple[int, ...]
    LIMIT: ClassVar[int] = 300

    @classmethod
    def of(cls, ids: Iterable[int]) -> "PairSample":
        """The sample of these ids."""
        ordered = sorted(ids)
        return cls(len(ordered), tuple(ordered[: cls.LIMIT]))

    def __bool__(self) -> bool:
        """Whether there is any."""
        return self.count > 0


@dataclass(frozen=True, slots=True)
class Signal:
    """One line of the readiness report: what was measured, what is required, what to do."""

    key: str
    name: str
    met: bool
    measured: str
    required: str
    fix: str
    pairs: PairSample = PairSample(0, ())
    """The pairs to fix."""
    page: str = ""
    """The address of the page that lists them."""
    limits: str = ""
    """What this check does not catch."""
    waiver: str | None = None
    """Who waived the line, why and until when; None where nobody did."""


@dataclass(frozen=True, slots=True)
class VersionManifest:
    """What was frozen beside the pairs of a version, as it is stored."""

    note: str
    origins: dict[str, int]
    """Pairs by origin, where there are any."""
    approvals: dict[str, int]
    """Pairs by the id of their approver."""
    system_message: str
    system_message_sha256: str
    output_schema: dict[str, object] | None
    label_field: str | None
    shares: tuple[float, float, float]
    """Of training, validation and test, as they were asked for."""
    groups: int
    """How many groups of pairs stay on one side of the split."""


@dataclass(frozen=True, slots=True)
class Version:
    """A frozen, content-addressed set of approved rows with its split."""

    id: int
    project_id: int
    number: int
    sha256: str
    seed: int
    counts: dict[str, int]
    """Rows per split."""
    manifest: VersionManifest
    created_by: int
    created_at: datetime


@dataclass(frozen=True, slots=True)
class VersionRow:
    """One row of a version, with the text it had when frozen."""

    pair_id: int
    split: Split
    prompt: str
    response: str
    content_sha256: str
    origin: Origin
    group: int
    """Rows of one group (near-duplicates, one source) are never separated by a split."""


@dataclass(frozen=True, slots=True)
class Job:
    """Long work in a process of its own."""

    id: str
    project_id: int
    kind: JobKind
    state: JobState
    requested_by: int
    spec: dict[str, Any]
    result: dict[str, Any] | None
    message: str | None
    """One sentence for the person where the job did not finish."""
    created_at: datetime
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """Answers of one or two arms to the held-out rows of a version, and what they scored."""

    id: int
    project_id: int
    version_id: int
    job_id: str
    adapter_id: int | None
    summary: dict[str, Any]
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Output:
    """One frozen answer."""

    pair_id: int
    arm: Arm
    text: str
    valid: bool
    correct: bool
    sha256: str


@dataclass(frozen=True, slots=True)
class Adapter:
    """A tuned LoRA adapter with its lineage."""

    id: int
    project_id: int
    number: int
    """Its place among the adapters of the project, from 1: adapter 3 is `adapter@3`."""
    name: str
    job_id: str
    version_id: int
    sha256: str
    path: str
    created_at: datetime
    card: dict[str, Any]


@dataclass(frozen=True, slots=True)
class StageChange:
    """That someone moved an adapter to a stage, and what the gate said then. Insert-only."""

    adapter_id: int
    number: int
    """Its place among the changes of the adapter, from 1."""
    stage: Stage
    by: str
    reason: str
    gate: tuple[dict[str, Any], ...]
    """The lines of the promotion gate as they were, waivers included; empty where none is asked."""
    created_at: datetime


@dataclass(frozen=True, slots=True)
class CheckPrompt:
    """A project's own red-team prompt: words that an answer must have, and must not have."""

    id: int
    project_id: int
    prompt: str
    must: tuple[str, ...]
    must_not: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Trial:
    """A sealed blind comparison of base and tuned answers. Holds nothing that tells the sides."""

    id: int
    project_id: int
    evaluation_id: int
    planned: int
    question: str
    commitment: str
    """sha256 of the secret that sets the sides; the secret is shown when the trial is closed."""
    registration: dict[str, Any]
    created_by: int
    created_at: datetime
    closed_at: datetime | None


@dataclass(frozen=True, slots=True)
class Ballot:
    """What a blind reviewer sees of one item, and nothing else."""

    item: str
    """Opaque id."""
    prompt: str
    left: str
    right: str
    position: int
    planned: int


@dataclass(frozen=True, slots=True)
class Event:
    """One link of the hash-chained log: who did what to what. Never holds text of a pair."""

    id: int
    at: datetime
    actor_id: int | None
    project_id: int | None
    verb: str
    noun: str
    noun_id: str
    detail: dict[str, Any]
    hash: str
