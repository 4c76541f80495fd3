"""Write gold pairs: an expert's own, checked against the schema, stored once."""

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from curation.review import decisions
from curation.review.ops import Submission
from storage import events, pairs, projects, scratch
from storage.access import allowed
from storage.blank import trim
from storage.errors import RuleBroken
from storage.tables import PairRow
from storage.types import Origin, Pair, PairStatus, Role, User
from storage.values import value_of

_TOPICS = 200
"""Topics that the editor proposes."""


def form(project_id: int) -> str:
    """The name under which a person's unsent gold pair is kept."""
    return f"write-{project_id}"


@allowed(Role.EXPERT, Role.LEAD)
def gold(
    session: Session,
    actor: User,
    project_id: int,
    submission: Submission,
    era_id: int | None = None,
) -> Pair:
    """Store a gold pair; it waits for review. The same submission twice is one pair.

    Raises:
        RuleBroken: a side is empty, or the output does not fit the schema.
    """
    key = f"write:{submission.op}"
    stored = session.scalar(
        select(PairRow).where(PairRow.project_id == project_id, PairRow.source_key == key)
    )
    if stored is not None:
        return value_of(Pair, stored)
    if not trim(submission.prompt) or not trim(submission.response):
        raise RuleBroken("A gold pair needs an input and an output. Fill in the empty one.")
    wrong = decisions.problems(projects.get(session, project_id), submission.response)
    if wrong:
        raise RuleBroken(f"The output does not fit the schema: {wrong[0]}")
    row = pairs.add(
        session,
        project_id,
        submission.prompt,
        submission.response,
        Origin.GOLD,
        author=actor,
        era_id=era_id if era_id is not None else current_era(session, project_id),
        topic=trim(submission.topic or "") or None,
        source_key=key,
    )
    scratch.clear(session, actor, form(project_id))
    events.record(
        session, actor, "write", "pair", row.id, project_id=project_id, after=row.content_sha256
    )
    return value_of(Pair, row)


def topics(session: Session, project_id: int) -> list[str]:
    """The topics of the gold pairs of a project; of very many the commonest."""
    query = (
        select(PairRow.topic)
        .where(
            PairRow.project_id == project_id,
            PairRow.origin == Origin.GOLD,
            PairRow.topic.is_not(None),
        )
        .group_by(PairRow.topic)
        .order_by(func.count().desc(), PairRow.topic)
        .limit(_TOPICS)
    )
    return sorted(topic for topic in session.scalars(query) if topic)


def latest(session: Session, author: User, project_id: int, limit: int) -> list[Pair]:
    """The newest gold pairs of a person, newest first."""
    own = (
        select(PairRow.id)
        .where(
            PairRow.project_id == project_id,
            # All there are: so the index that begins with them leads to the author.
            PairRow.status.in_(list(PairStatus)),
            PairRow.held_out.in_([False, True]),
            PairRow.origin == Origin.GOLD,
            PairRow.author_id == author.id,
        )
        .order_by(PairRow.id.desc())
        .limit(limit)
    )
    rows = session.scalars(select(PairRow).where(PairRow.id.in_(own)).order_by(PairRow.id.desc()))
    return [value_of(Pair, row) for row in rows]


def current_era(session: Session, project_id: int) -> int | None:
    """The era in force today; None where the project has none."""
    era = projects.current_era(projects.eras(session, project_id))
    return None if era is None else era.id
