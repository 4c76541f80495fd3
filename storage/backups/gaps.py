"""What a restored database lacks: files that it names, and what was saved after the backup."""

from sqlalchemy import Engine, func, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from storage.engine import driver, open_readonly, reading
from storage.errors import AssayError
from storage.settings import Settings
from storage.tables import (
    AdapterRow,
    Base,
    ComparisonRow,
    DecisionRow,
    EventRow,
    JobRow,
    PairRow,
    TrialRow,
    UserRow,
    VersionRowTable,
    VoteRow,
)
from storage.types import JobState

_NOUNS: dict[str, type[Base]] = {
    "people": UserRow,
    "pairs": PairRow,
    "decisions": DecisionRow,
    "versions": VersionRowTable,
    "jobs": JobRow,
    "adapters": AdapterRow,
    "comparisons": ComparisonRow,
    "trials": TrialRow,
    "votes": VoteRow,
}
_NAMED = 5
"""Names listed in a sentence; the others are counted."""


def missing(engine: Engine, settings: Settings) -> tuple[str, ...]:
    """Sentences on files that the database names and the folder lacks, or has and it does not
    name.
    """
    with reading(engine) as session:
        jobs = dict(session.execute(select(JobRow.id, JobRow.state)).all())
        adapters = [row for row in session.scalars(select(AdapterRow)) if _has_files(row)]
        lost = [row.name for row in adapters if not _adapter(settings, row.job_id)]
    folders = {path.name for path in settings.jobs.glob("*/") if path.is_dir()}
    began = {key for key, state in jobs.items() if state is not JobState.QUEUED}
    sentences = []
    if lost:
        sentences.append(f"The files of {_listed(lost, 'adapter')} are not in the folder.")
    if gone := sorted(began - folders):
        sentences.append(f"The files of {_listed(gone, 'job')} are not in the folder.")
    if later := sorted(folders - set(jobs)):
        sentences.append(
            f"The folder has files of {_listed(later, 'job')} that the backup does not know; "
            "they were left as they are."
        )
    return tuple(sentences)


def _has_files(row: AdapterRow) -> bool:
    return row.card.get("kind") != "provider"


def _adapter(settings: Settings, job_id: str) -> bool:
    return (settings.jobs / job_id / "adapter").is_dir()


def _listed(names: list[str], noun: str) -> str:
    shortened = ", ".join(name[:40] for name in names[:_NAMED])
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"{len(names)} {noun}{'s' if len(names) > 1 else ''} ({shortened}{more})"


def newer(settings: Settings, backup: Engine) -> tuple[str, ...]:
    """Sentences on what the present database has and the backup has not, by counts."""
    if not settings.database.exists():
        return ()
    present = open_readonly(settings.database)
    try:
        with reading(present) as now, reading(backup) as then:
            return _differences(now, then)
    except (AssayError, DBAPIError, driver().Error, ValueError):
        return (
            "The database that was set aside cannot be read, so what it had beyond the backup is "
            "not known.",
        )
    finally:
        present.dispose()


def _differences(now: Session, then: Session) -> tuple[str, ...]:
    last = then.scalar(select(func.max(EventRow.id))) or 0
    query = select(EventRow.hash).where(EventRow.id == last)
    if last and now.scalar(query) != then.scalar(query):
        return ("The database that was set aside does not continue the backup: it is another one.",)
    more = {name: _count(now, noun) - _count(then, noun) for name, noun in _NOUNS.items()}
    counts = ", ".join(f"{name} {count:,}" for name, count in more.items() if count > 0)
    later = _count(now, EventRow) - last
    if not later and not counts:
        return ("Nothing was saved after the backup.",)
    moment = then.scalar(select(EventRow.at).where(EventRow.id == last)) or "its beginning"
    since = f"Saved after the backup ({moment[:16].replace('T', ' ')} UTC) and only in the "
    return (f"{since}database set aside: {counts or 'changes'}; events {later:,}.",)


def _count(session: Session, noun: type[Base]) -> int:
    return session.scalar(select(func.count()).select_from(noun)) or 0
