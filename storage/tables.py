"""The tables. Verbs hold rows of these classes, pages never do: see `storage.values`."""

from datetime import UTC, date, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    JSON,
    CheckConstraint,
    Date,
    DateTime,
    Enum,
    ForeignKey,
    Index,
    MetaData,
    String,
    Text,
    TypeDecorator,
    UniqueConstraint,
    text,
)
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from storage import types as t


class UtcDateTime(TypeDecorator[datetime]):
    """Moments in UTC; SQLite keeps no zone, so it is put back on reading."""

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Store as naive UTC."""
        return None if value is None else value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Give back as aware UTC."""
        return None if value is None else value.replace(tzinfo=UTC)


def _values(noun: type[StrEnum]) -> Enum:
    """A column that stores the values, not the names, and whose words the database checks."""
    return Enum(
        noun,
        values_callable=lambda kind: [member.value for member in kind],
        native_enum=False,
        create_constraint=True,
        length=24,
        name=noun.__name__.lower(),
    )


_NOUNS: tuple[type[StrEnum], ...] = (
    t.Origin,
    t.PairStatus,
    t.Action,
    t.Outcome,
    t.Split,
    t.FindingState,
    t.LinkState,
    t.LinkKind,
    t.JobKind,
    t.JobState,
    t.Stage,
    t.Arm,
    t.Choice,
)
_COLUMNS: dict[Any, Any] = {
    datetime: UtcDateTime,
    date: Date,
    **dict.fromkeys((dict[str, Any], dict[str, int], dict[str, str | int | None]), JSON),
    list[Any]: JSON,
    str: Text,
    **{noun: _values(noun) for noun in _NOUNS},
}


class Base(DeclarativeBase):
    """All tables; the naming convention lets migrations drop constraints by name."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(column_0_N_label)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = _COLUMNS


def _now() -> datetime:
    return datetime.now(UTC)


class UserRow(Base):
    """A person. `person` is what the approval trigger asks for: no other kind can approve."""

    __tablename__ = "user"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(80), unique=True)
    roles: Mapped[list[Any]]
    kind: Mapped[str] = mapped_column(String(12), default="person")
    created_at: Mapped[datetime] = mapped_column(default=_now)
    __table_args__ = (CheckConstraint("kind IN ('person', 'machine')", name="kind"),)


class ProjectRow(Base):
    """One task."""

    __tablename__ = "project"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(120), unique=True)
    task: Mapped[str]
    system_message: Mapped[str]
    output_schema: Mapped[dict[str, Any] | None]
    guidelines: Mapped[str]
    label_field: Mapped[str | None]
    two_people: Mapped[bool]
    sample: Mapped[bool]
    scrub_key: Mapped[str | None] = mapped_column(String(64))
    """Secret of the keyed hashes in `stand_in`; never leaves the server."""
    created_at: Mapped[datetime] = mapped_column(default=_now)


class EraRow(Base):
    """A policy era."""

    __tablename__ = "era"
    id: Mapped[int] = mapped_column(primary_key=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("project.id"), index=True)
    name: Mapped[str]
    starts_on: Mapped[date]
    retired: Mapped[bool]
    phrases: Mapped[list[Any]]
    ends_on: Mapped[date | None]
    document: Mapped[str | None]
    url: Mapped[str | None]
    __table_args__ = (UniqueConstraint("project_id", "name"),)


class EraRevisionRow(Base):
    """An era as it stood after one change, and who made it. Insert-only."""

    __tablename__ = "era_revision"
    id: Mapped[int] = mapped_column(primary_key=True)
    era_id: Mapped[int] = mapped_column(ForeignKey("era.id"))
    number: Mapped[int]
    user_id: Mapped[int | None] = mapped_column(ForeignKey("user.id"))
    verb: Mapped[str] = mapped_column(String(12))
    name: Mapped[str]
    starts_on: Mapped[date]
    ends_on: Mapped[date | None]
    document: Mapped[str | None]
    url: Mapped[str | None]
    retired: Mapped[bool]
    phrases: Mapped[list[Any]]
    created_at: Mapped[datetime] = mapped_column(default=_now)
    __table_args__ = (UniqueConstraint("era_id", "number"),)


class PairRow(Base):
    """One input and its output, as they stand now; every earlier text is a `revision`."""

    __tablename__ = "pair"
    id: Mapped[int] = mapped_column(primary_key=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("project.id"))
    prompt: Mapped[str]
    response: Mapped[str]
    status: Mapped[t.PairStatus]
    origin: Mapped[t.Origin]
    version: Mapped[int]
    content_sha256: Mapped[str] = mapped_column(String(64))
    author_id: Mapped[int | None] = mapped_column(ForeignKey("user.id"))
    era_id: Mapped[int | None] = mapped_column(ForeignKey("era.id"))
    held_out: Mapped[bool] = mapped_column(default=False)
    flagged: Mapped[bool] = mapped_column(default=False)
    topic: Mapped[str | None]
    source: Mapped[dict[str, str | int | None]]
    source_key: Mapped[str | None] = mapped_column(String(200))
    approval_id: Mapped[int | None]
    reject_reason: Mapped[str | None]
    fence: Mapped[int] = mapped_column(default=0)
    swept_sha256: Mapped[str | None] = mapped_column(String(64))
    """The text that was last compared with every other row; differs where a search is due."""
    scan_id: Mapped[int | None]
    """The scan for personal data that counts for the present text: the last one of it."""
    scanned_with: Mapped[str | None] = mapped_column(String(16))
    """The settings of that scan, as `scan_settings.short` names them."""
    created_at: Mapped[datetime] = mapped_column(default=_now)
    __table_args__ = (
        UniqueConstraint("project_id", "source_key"),
        Index("ix_pair_queue", "project_id", "status", "flagged", "id"),
        Index("ix_pair_scanned", "project_id", "status", "scanned_with"),
        # All that is counted of pairs, so that counting never reads their texts.
        Index(
            "ix_pair_figures",
            "project_id",
            "status",
            "held_out",
            "origin",
            "author_id",
            "era_id",
            "topic",
            "content_sha256",
            "swept_sha256",
        ),
    )


class ImportRow(Base):
    """Pairs that are written in chunks, under ids that were set aside for them: unseen until
    `whole_at` makes them all pairs of the project at once (`storage.imports`).
    """

    __tablename__ = "import"
    id: Mapped[int] = mapped_column(primary_key=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("project.id"))
    user_id: Mapped[int] = mapped_column(ForeignKey("user.id"))
    sha256: Mapped[str] = mapped_column(String(64))
    """Of the file."""
    first_id: Mapped[int]
    last_id: Mapped[int]
    job_id: Mapped[str | None] = mapped_column(String(36))
    alive_until: Mapped[datetime]
    """Renewed with each chunk; a process that let it pass is gone."""
    whole_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(default=_now)
    __table_args__ = (Index("ix_import_half", "first_id", sqlite_where=text("whole_at IS NULL")),)


class RevisionRow(Base):
    """A text that a pair once had. Insert-only."""

    __tablename__ = "revision"
    id: Mapped[int] = mapped_column(primary_key=True)
    pair_id: Mapped[int] = mapped_column(ForeignKey("pair.id"))
    number: Mapped[int]
    prompt: Mapped[str]
    response: Mapped[str]
    content_sha256: Mapped[str] = mapped_column(String(64))
    user_id: Mapped[int | None] = mapped_column(ForeignKey("user.id"))
    created_at: Mapped[datetime] = mapped_column(default=_now)
    __table_args__ = (UniqueConstraint("pair_id", "number"),)


class PairMarkRow(Base):
    """What a pair's text shows for a task (`curation.health`), so that each is looked at once.

    It counts where the content hash is the pair's; gone as soon as the pair is rewritten.
    """

    __tablename__ = "pair_mark"
    pair_id: Mapped[int] = mapped_column(ForeignKey("pair.id"), primary_key=True)
    content_sha256: Mapped[str] = mapped_column(String(64))
    task: Mapped[str] = mapped_column(String(16))
    prompt_tokens: Mapped[int]
    response_tokens: Mapped[int]
    word_count: Mapped[int]
    language: Mapped[str | None] = mapped_column(String(8))
    encoding: Mapped[str]
    """Kinds of trouble, parted by commas."""
    odd: Mapped[str]
    """Keys of measures, parted by commas."""
    fits: Mapped[bool]
    label: Mapped[str | None]
    answer: Mapped[str | None] = mapped_column(String(16))
    question: Mapped[str] = mapped_column(String(16))


class ClaimRow(Base):
    """Who holds a pair for review, with a fence that tells a late decision from a timely one."""

    __tablename__ = "claim"
    pair_id: Mapped[int] = mapped_column(ForeignKey("pair.id"), primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("user.id"), index=True)
    fence: Mapped[int]
    lease_until: Mapped[datetime]


class HandoutRow(Base):
    """That a pair was handed to a person under a fence. Insert-only: a late decision needs it."""

    __tablename__ = "handout"
    pair_id: Mapped[int] = mapped_column(ForeignKey("pair.id"), primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("user.id"), primary_key=True)
    fence: Mapped[int] = mapped_column(primary_key=True)


class DecisionRow(Base):
    """What one person decided. Insert-only; `op` makes a repeated press one decision."""

    __tablename__ = "decision"
    id: Mapped[int] = mapped_column(primary_key=True)
    op: Mapped[str] = mapped_column(String(64), unique=True)
    pair_id: Mapped[int] = mapped_column(ForeignKey("pair.id"))
    user_id: Mapped[int] = mapped_column(ForeignKey("user.id"), index=True)
    action: Mapped[t.Action]
    outcome: Mapped[t.Outcome]
    seen_version: Mapped[int]
    fence: Mapped[int]
    before_sha256: Mapped[str] = mapped_column(String(64))
    after_sha256: Mapped[str] = mapped_column(String(64))
    prompt: Mapped[str | None]
    response: Mapped[str | None]
    reason: Mapped[str | None]
    supersedes_id: Mapped[int | None] = mapped_column(ForeignKey("decision.id"), unique=True)
    created_at: Mapped[datetime] = mapped_column(default=_now)
    __table_args__ = (
        Index("ix_decision_own", "pair_id", "user_id", "action"),
        Index("ix_decision_day", "user_id", "created_at", "action", "pair_id"),
        Index("ix_decision_late", "user_id", "pair_id", sqlite_where=text("outcome = 'late'")),
    )


class ResolutionRow(Base):
    """What a lead did with a late decision. Insert-only, one per decision."""

    __tablename__ = "resolution"
    decision_id: Mapped[int] = mapped_column(ForeignKey("decision.id"), primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("user.id"))
    choice: Mapped[str] = mapped_column(String(12))
    created_at: Mapped[datetime] = mapped_column(default=_now)


class ScratchRow(Base):
    """Unsent words of one person in one form."""

    __tablename__ = "scratch"
    user_id: Mapped[int] = mapped_column(ForeignKey("user.id"), primary_key=True)
    form: Mapped[str] = mapped_column(String(80), primary_key=True)
    words: Mapped[dict[str, Any]]
    updated_at: Mapped[datetime] = mapped_column(default=_now)


class ScanConfigRow(Base):
    """What a project's scan for personal data looks for. Insert-only; the newest counts."""

    __tablename__ = "scan_config"
    id: Mapped[int] = mapped_column(primary_key=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("project.id"))
    number: Mapped[int]
    settings: Mapped[dict[str, Any]]
    sha256: Mapped[str] = mapped_column(String(64))
    created_by: Mapped[int] = mapped_column(ForeignKey("user.id"))
    created_at: Mapped[datetime] = mapped_column(default=_now)
    __table_args__ = (UniqueConstraint("project_id", "number"),)


class StandInRow(Base):
    """What stands for certain words in a whole project, under a keyed hash of them. Insert-only."""

    __tablename__ = "stand_in"
    id: Mapped[int] = mapped_column(primary_key=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("project.id"))
    type: Mapped[str] = mapped_column(String(40))
    digest: Mapped[str] = mapped_column(String(64))
    words: Mapped[str] = mapped_column(String(200))
    created_at: Mapped[datetime] = mapped_column(default=_now)
    __table_args__ = (
        UniqueConstraint("project_id", "digest"),
        UniqueConstraint("project_id", "words"),
    )


class MessageScanRow(Base):
    """What a scan found in a project's system message, and what was called harmless in it."""

    __tablename__ = "message_scan"
    id: Mapped[int] = mapped_column(primary_key=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("project.id"))
    text_sha256: Mapped[str] = mapped_column(String(64))
    config_sha256: Mapped[str] = mapped_column(String(64))
    quarantined: Mapped[str | None]
    found: Mapped[list[Any]]
    dismissed: Mapped[list[Any]]
    created_at: Mapped[datetime] = mapped_column(default=_now)
    __table_args__ = (UniqueConstraint("project_id", "text_sha256", "config_sha256"),)


class ScanRow(Base):
    """That a pair's present text was scanned for personal data, or could not be."""

    __tablename__ = "scan"
    id: Mapped[int] = mapped_column(primary_key=True)
    pair_id: Mapped[int] = mapped_column(ForeignKey("pair.id"))
    content_sha256: Mapped[str] = mapped_column(String(64))
    config_sha256: Mapped[str] = mapped_column(String(64))
    quarantined: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(default=_now)
    __table_args__ = (
        UniqueConstraint("pair_id", "content_sha256", "config_sha256"),
        Index("ix_scan_quarantined", "pair_id", sqlite_where=text("quarantined IS NOT NULL")),
    )


class FindingRow(Base):
    """A span that may be personal data."""

    __tablename__ = "finding"
    id: Mapped[int] = mapped_column(primary_key=True)
    scan_id: Mapped[int] = mapped_column(ForeignKey("scan.id"), index=True)
    pair_id: Mapped[int] = mapped_column(ForeignKey("pair.id"), index=True)
    field: Mapped[str] = mapped_column(String(12))
    key: Mapped[str | None] = mapped_column(String(200))
    """Name of the value in the pair's provenance, where `field` is "source"."""
    start: Mapped[int]
    end: Mapped[int]
    type: Mapped[str] = mapped_column(String(40))
    score: Mapped[float]
    state: Mapped[t.FindingState]
    decided_by: Mapped[int | None] = mapped_column(ForeignKey("user.id"))
    decided_at: Mapped[datetime | None]
    settled: Mapped[bool | None]
    """Whether nothing is left to do about it: the words are gone, or are invented ones of ours."""
    surface: Mapped[str | None] = mapped_column(String(16), index=True)
    """Keyed hash of the words, so that the same ones are found in other pairs without reading
    their texts; None in older findings, and once the words are gone."""
    __table_args__ = (Index("ix_finding_state", "state", "pair_id"),)


class LinkRow(Base):
    """Two rows that are the same, nearly the same, contradict, or leak."""

    __tablename__ = "link"
    id: Mapped[int] = mapped_column(primary_key=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("project.id"), index=True)
    a: Mapped[int] = mapped_column(ForeignKey("pair.id"))
    b: Mapped[int] = mapped_column(ForeignKey("pair.id"))
    a_sha256: Mapped[str] = mapped_column(String(64))
    b_sha256: Mapped[str] = mapped_column(String(64))
    kind: Mapped[t.LinkKind]
    similarity: Mapped[float]
    state: Mapped[t.LinkState]
    reason: Mapped[str | None]
    decided_by: Mapped[int | None] = mapped_column(ForeignKey("user.id"))
    __table_args__ = (UniqueConstraint("a", "b", "kind", "a_sha256", "b_sha256"),)


class AuditRow(Base):
    """A seeded random draw of approved rows to be judged by someone else."""

    __tablename__ = "audit"
    id: Mapped[int] = mapped_column(primary_key=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("project.id"), index=True)
    seed: Mapped[int]
    drawn: Mapped[list[Any]]
    population: Mapped[int]
    strata: Mapped[list[Any] | None]
    """Of each stratum its origin, author, era, number of rows and the rows drawn beside."""
    created_by: Mapped[int] = mapped_column(ForeignKey("user.id"))
    created_at: Mapped[datetime] = mapped_column(default=_now)


class AuditVerdictRow(Base):
    """One auditor's verdict on one drawn row. Insert-only."""

    __tablename__ = "audit_verdict"
    id: Mapped[int] = mapped_column(primary_key=True)
    audit_id: Mapped[int] = mapped_column(ForeignKey("audit.id"))
    pair_id: Mapped[int] = mapped_column(ForeignKey("pair.id"))
    user_id: Mapped[int] = mapped_column(ForeignKey("user.id"))
    content_sha256: Mapped[str] = mapped_column(String(64))
    good: Mapped[bool]
    note: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(default=_now)
    __table_args__ = (UniqueConstraint("audit_id", "pair_id"),)


class WaiverRow(Base):
    """A line of a gate waived by a lead, by name, with reason and expiry. Insert-only."""

    __tablename__ = "waiver"
    id: Mapped[int] = mapped_column(primary_key=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("project.id"), index=True)
    signal: Mapped[str] = mapped_column(String(40))
    user_id: Mapped[int] = mapped_column(ForeignKey("user.id"))
    reason: Mapped[str]
    expires_on: Mapped[date]
    created_at: Mapped[datetime] = mapped_column(default=_now)


class RecordRow(Base):
    """The decision record: why tuning at all. Insert-only; the newest counts."""

    __tablename__ = "record"
    id: Mapped[int] = mapped_column(primary_key=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("project.id"), index=True)
    answers: Mapped[dict[str, Any]]
    written_by: Mapped[int] = mapped_column(ForeignKey("user.id"))
    created_at: Mapped[datetime] = mapped_column(default=_now)


class SignatureRow(Base):
    """A named owner's signature under a decision record. Insert-only."""

    __tablename__ = "signature"
    id: Mapped[int] = mapped_column(primary_key=True)
    record_id: Mapped[int] = mapped_column(ForeignKey("record.id"))
    part: Mapped[str] = mapped_column(String(12))
    user_id: Mapped[int] = mapped_column(ForeignKey("user.id"))
    created_at: Mapped[datetime] = mapped_column(default=_now)
    __table_args__ = (
        UniqueConstraint("record_id", "part"),
        UniqueConstraint("record_id", "user_id"),
        CheckConstraint("part IN ('business', 'technical')", name="part"),
    )


class VersionRowTable(Base):
    """A frozen set. Insert-only."""

    __tablename__ = "version"
    id: Mapped[int] = mapped_column(primary_key=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("project.id"), index=True)
    number: Mapped[int]
    sha256: Mapped[str] = mapped_column(String(64))
    seed: Mapped[int]
    counts: Mapped[dict[str, int]]
    manifest: Mapped[dict[str, Any]]
    created_by: Mapped[int] = mapped_column(ForeignKey("user.id"))
    created_at: Mapped[datetime] = mapped_column(default=_now)
    __table_args__ = (UniqueConstraint("project_id", "number"),)


class FreezingRow(Base):
    """A version whose rows are written in chunks: unseen, with all of them, until `whole_at`
    (`storage.freezings`).
    """

    __tablename__ = "freezing"
    id: Mapped[int] = mapped_column(primary_key=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("project.id"))
    version_id: Mapped[int] = mapped_column(unique=True)
    """Set aside for it: there was no version with this id, nor with a higher one."""
    job_id: Mapped[str | None] = mapped_column(String(36))
    alive_until: Mapped[datetime]
    """Renewed with each chunk; a process that let it pass is gone."""
    whole_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(default=_now)
    __table_args__ = (
        Index("ix_freezing_half", "version_id", sqlite_where=text("whole_at IS NULL")),
    )


class MemberRow(Base):
    """One row of a version. Insert-only, and refused without a person's approval of this text."""

    __tablename__ = "version_row"
    version_id: Mapped[int] = mapped_column(ForeignKey("version.id"), primary_key=True)
    pair_id: Mapped[int] = mapped_column(ForeignKey("pair.id"), primary_key=True, index=True)
    split: Mapped[t.Split]
    prompt: Mapped[str]
    response: Mapped[str]
    content_sha256: Mapped[str] = mapped_column(String(64), index=True)
    origin: Mapped[t.Origin]
    group: Mapped[int] = mapped_column("group_id")


class VersionProofRow(Base):
    """What seals a version: its Merkle root, what held when it was frozen, a hash over all of it.

    Insert-only. Versions frozen by Assay 0.1.0 have none.
    """

    __tablename__ = "version_proof"
    version_id: Mapped[int] = mapped_column(ForeignKey("version.id"), primary_key=True)
    merkle_root: Mapped[str] = mapped_column(String(64))
    facts: Mapped[dict[str, Any]]
    seal: Mapped[str] = mapped_column(String(64))


class VersionTagRow(Base):
    """That a person gave a name to a version. Insert-only: the newest row of a name counts."""

    __tablename__ = "version_tag"
    id: Mapped[int] = mapped_column(primary_key=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("project.id"), index=True)
    name: Mapped[str] = mapped_column(String(40))
    version_id: Mapped[int] = mapped_column(ForeignKey("version.id"))
    user_id: Mapped[int] = mapped_column(ForeignKey("user.id"))
    created_at: Mapped[datetime] = mapped_column(default=_now)


class JobRow(Base):
    """Long work in a process of its own."""

    __tablename__ = "job"
    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("project.id"), index=True)
    kind: Mapped[t.JobKind]
    state: Mapped[t.JobState]
    requested_by: Mapped[int] = mapped_column(ForeignKey("user.id"))
    spec: Mapped[dict[str, Any]]
    result: Mapped[dict[str, Any] | None]
    message: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(default=_now)
    ended_at: Mapped[datetime | None]
    __table_args__ = (
        Index(
            "uq_job_one_training",
            "kind",
            unique=True,
            sqlite_where=text("kind = 'train' AND state = 'running'"),
        ),
    )


class AdapterRow(Base):
    """A tuned adapter."""

    __tablename__ = "adapter"
    id: Mapped[int] = mapped_column(primary_key=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("project.id"), index=True)
    name: Mapped[str] = mapped_column(String(120))
    job_id: Mapped[str] = mapped_column(ForeignKey("job.id"), unique=True)
    version_id: Mapped[int] = mapped_column(ForeignKey("version.id"))
    sha256: Mapped[str] = mapped_column(String(64))
    card: Mapped[dict[str, Any]]
    created_at: Mapped[datetime] = mapped_column(default=_now)
    __table_args__ = (UniqueConstraint("project_id", "name"),)


class AdapterStageRow(Base):
    """That a person moved an adapter to a stage; the newest one counts. Insert-only."""

    __tablename__ = "adapter_stage"
    id: Mapped[int] = mapped_column(primary_key=True)
    adapter_id: Mapped[int] = mapped_column(ForeignKey("adapter.id"))
    number: Mapped[int]
    stage: Mapped[t.Stage]
    user_id: Mapped[int] = mapped_column(ForeignKey("user.id"))
    reason: Mapped[str]
    gate: Mapped[list[Any]]
    created_at: Mapped[datetime] = mapped_column(default=_now)
    __table_args__ = (UniqueConstraint("adapter_id", "number"),)


class CheckPromptRow(Base):
    """A project's own red-team prompt."""

    __tablename__ = "check_prompt"
    id: Mapped[int] = mapped_column(primary_key=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("project.id"), index=True)
    prompt: Mapped[str]
    must: Mapped[list[Any]]
    must_not: Mapped[list[Any]]
    user_id: Mapped[int] = mapped_column(ForeignKey("user.id"))
    created_at: Mapped[datetime] = mapped_column(default=_now)
    dropped_at: Mapped[datetime | None]
    """When it was taken out of the checks to come."""


class ComparisonRow(Base):
    """Answers to the held-out rows of a version, scored."""

    __tablename__ = "evaluation"
    id: Mapped[int] = mapped_column(primary_key=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("project.id"), index=True)
    version_id: Mapped[int] = mapped_column(ForeignKey("version.id"))
    job_id: Mapped[str] = mapped_column(ForeignKey("job.id"), unique=True)
    adapter_id: Mapped[int | None] = mapped_column(ForeignKey("adapter.id"))
    summary: Mapped[dict[str, Any]]
    created_at: Mapped[datetime] = mapped_column(default=_now)


class OutputRow(Base):
    """One frozen answer. Insert-only."""

    __tablename__ = "output"
    evaluation_id: Mapped[int] = mapped_column(ForeignKey("evaluation.id"), primary_key=True)
    pair_id: Mapped[int] = mapped_column(ForeignKey("pair.id"), primary_key=True)
    arm: Mapped[t.Arm] = mapped_column(primary_key=True)
    text: Mapped[str]
    valid: Mapped[bool]
    correct: Mapped[bool]
    sha256: Mapped[str] = mapped_column(String(64))


class TrialRow(Base):
    """A sealed blind comparison. The secret never leaves the server while it is open."""

    __tablename__ = "trial"
    id: Mapped[int] = mapped_column(primary_key=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("project.id"), index=True)
    evaluation_id: Mapped[int] = mapped_column(ForeignKey("evaluation.id"))
    planned: Mapped[int]
    question: Mapped[str]
    secret: Mapped[str] = mapped_column(String(64))
    commitment: Mapped[str] = mapped_column(String(64))
    registration: Mapped[dict[str, Any]]
    created_by: Mapped[int] = mapped_column(ForeignKey("user.id"))
    created_at: Mapped[datetime] = mapped_column(default=_now)


class TrialItemRow(Base):
    """One message of a trial under an opaque id. Insert-only."""

    __tablename__ = "trial_item"
    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    trial_id: Mapped[int] = mapped_column(ForeignKey("trial.id"), index=True)
    position: Mapped[int]
    pair_id: Mapped[int] = mapped_column(ForeignKey("pair.id"))
    __table_args__ = (UniqueConstraint("trial_id", "position"),)


class TrialCloseRow(Base):
    """That a lead closed a trial. Insert-only."""

    __tablename__ = "trial_close"
    trial_id: Mapped[int] = mapped_column(ForeignKey("trial.id"), primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("user.id"))
    created_at: Mapped[datetime] = mapped_column(default=_now)


class VoteRow(Base):
    """One blind vote: the side that was pressed. Insert-only; the secret gives the arm."""

    __tablename__ = "vote"
    id: Mapped[int] = mapped_column(primary_key=True)
    op: Mapped[str] = mapped_column(String(64), unique=True)
    trial_id: Mapped[int] = mapped_column(ForeignKey("trial.id"), index=True)
    item_id: Mapped[str] = mapped_column(ForeignKey("trial_item.id"))
    user_id: Mapped[int] = mapped_column(ForeignKey("user.id"))
    choice: Mapped[t.Choice]
    supersedes_id: Mapped[int | None] = mapped_column(ForeignKey("vote.id"), unique=True)
    created_at: Mapped[datetime] = mapped_column(default=_now)


class ReportRow(Base):
    """Figures that are costly, as they were last computed. Replaced by the next computation."""

    __tablename__ = "report"
    name: Mapped[str] = mapped_column(String(40), primary_key=True)
    subject: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    """The id of the project or version that they are about."""
    state: Mapped[str] = mapped_column(String(200), default="")
    content: Mapped[str | None]
    """JSON, without any text of a pair; None while they were never computed."""
    seconds: Mapped[float] = mapped_column(default=0.0)
    computed_at: Mapped[datetime | None]
    busy_until: Mapped[datetime | None]
    """Somebody computes them until then; None where nobody does."""


class EventRow(Base):
    """The hash-chained log. Insert-only."""

    __tablename__ = "event"
    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[str] = mapped_column(String(32))
    actor_id: Mapped[int | None]
    project_id: Mapped[int | None] = mapped_column(index=True)
    verb: Mapped[str] = mapped_column(String(40))
    noun: Mapped[str] = mapped_column(String(24))
    noun_id: Mapped[str] = mapped_column(String(64))
    detail: Mapped[dict[str, Any]]
    prev: Mapped[str] = mapped_column(String(64))
    hash: Mapped[str] = mapped_column(String(64))
