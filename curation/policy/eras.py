"""Policy eras: which rules were in force when, by which document, and which of them are retired.

An era without an end lasts until the next one starts. Every change leaves the era as it then stood
in an insert-only history; taking a change back is one more change.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from curation.review import phrases as wording
from storage import events, pairs, people, projects
from storage.access import allowed
from storage.blank import trim
from storage.errors import BadInput, NotFound, RuleBroken
from storage.tables import EraRevisionRow, EraRow, PairRow
from storage.types import Era, Role, User

LIMITS = (
    "Old wording is found word for word where an era lists its phrases, in any case and width; "
    "other forms of a word (“fees” for “fee”) and the same rule in other words are not."
)
_LONGEST = 500


@dataclass(frozen=True, slots=True)
class Revision:
    """One change of an era, with the era as it stood afterwards."""

    number: int
    verb: str
    by: str
    """Who changed it; "" for eras made before changes were kept."""
    at: datetime
    era: Era


def get(session: Session, era_id: int) -> Era:
    """One era.

    Raises:
        NotFound: there is no such era.
    """
    return projects.era(_row(session, era_id))


def named(session: Session, project_id: int, name: str) -> Era:
    """The era of this name.

    Raises:
        NotFound: the project has none.
    """
    eras = projects.eras(session, project_id)
    for era in eras:
        if era.name.casefold() == trim(name).casefold():
            return era
    names = ", ".join(era.name for era in eras) or "none yet"
    raise NotFound(f"This project has no era {name[:80]!r}. There are: {names}.")


def names_of(session: Session, pair_ids: Iterable[int]) -> dict[int, str]:
    """The name of each row's era, by its tag; rows without one are left out."""
    query = (
        select(PairRow.id, EraRow.name)
        .join(EraRow, EraRow.id == PairRow.era_id)
        .where(pairs.among(PairRow.id, pair_ids))
    )
    return {row[0]: row[1] for row in session.execute(query)}


@allowed(Role.LEAD, Role.ADMIN)
def add(
    session: Session,
    actor: User,
    project_id: int,
    name: str,
    starts_on: date,
    *,
    ends_on: date | None = None,
    document: str = "",
    url: str = "",
    retired: bool = False,
    phrases: Sequence[str] = (),
) -> Era:
    """Add a policy era. Admins may too: whoever opens the sample project adds its eras.

    Raises:
        BadInput: the name is empty or taken, the dates are reversed or overlap another era's, or
            a phrase or the document's reference cannot be taken.
    """
    wish = Era(0, project_id, name, starts_on, retired, tuple(phrases), ends_on, document, url)
    fit = _fitting(wish, projects.eras(session, project_id))
    row = EraRow(project_id=project_id, **_columns(fit))
    session.add(row)
    session.flush()
    return _record(session, actor, row, "add")


@allowed(Role.LEAD)
def change(
    session: Session,
    actor: User,
    era_id: int,
    *,
    revision: int,
    name: str,
    starts_on: date,
    ends_on: date | None = None,
    document: str = "",
    url: str = "",
    phrases: Sequence[str] = (),
) -> Era:
    """Give an era other dates, words or another document. `revision` is the one on the screen.

    Rows keep their tags: what they were written under does not change with the era's name.

    Raises:
        RuleBroken: someone changed it since it was shown.
        BadInput: as for `add`.
    """
    row = _row(session, era_id)
    newest = history(session, era_id)[0]
    if newest.number != revision:
        raise RuleBroken(f"The era {row.name} changed since it was shown. Look at it again.")
    wish = replace(
        newest.era,
        name=name,
        starts_on=starts_on,
        ends_on=ends_on,
        document=document,
        url=url,
        phrases=tuple(phrases),
    )
    others = [era for era in projects.eras(session, row.project_id) if era.id != era_id]
    return _write(session, actor, row, _fitting(wish, others), "change")


@allowed(Role.LEAD)
def retire(session: Session, actor: User, era_id: int) -> Era:
    """Retire an era: the gate counts its rows until they are written anew or rejected.

    Raises:
        RuleBroken: it is retired already.
    """
    return _turn(session, actor, era_id, retired=True)


@allowed(Role.LEAD)
def reinstate(session: Session, actor: User, era_id: int) -> Era:
    """Take a retirement back. Rows that were rejected meanwhile stay rejected.

    Raises:
        RuleBroken: it is in force already.
    """
    return _turn(session, actor, era_id, retired=False)


@allowed(Role.LEAD)
def undo(session: Session, actor: User, era_id: int, revision: int) -> Era:
    """Put an era back to what it said before its last change, as one more change.

    Raises:
        RuleBroken: nothing changed since it was added, or it changed since it was shown.
        BadInput: another era has taken its days or its name meanwhile.
    """
    row, revisions = _row(session, era_id), history(session, era_id)
    if revisions[0].number != revision:
        raise RuleBroken(f"The era {row.name} changed since it was shown. Look at it again.")
    if len(revisions) < 2:
        raise RuleBroken(f"The era {row.name} stands as it was added. There is nothing to undo.")
    others = [era for era in projects.eras(session, row.project_id) if era.id != era_id]
    return _write(session, actor, row, _fitting(revisions[1].era, others), "undo")


def history(session: Session, era_id: int) -> list[Revision]:
    """Every change of an era, newest first."""
    return histories(session, [era_id]).get(era_id, [])


def histories(session: Session, era_ids: Sequence[int]) -> dict[int, list[Revision]]:
    """Every change of these eras, newest first, by era."""
    projects_of = {
        row.id: row.project_id
        for row in session.scalars(select(EraRow).where(EraRow.id.in_(era_ids)))
    }
    names = people.names(session)
    query = (
        select(EraRevisionRow)
        .where(EraRevisionRow.era_id.in_(era_ids))
        .order_by(EraRevisionRow.number.desc())
    )
    revisions: dict[int, list[Revision]] = {}
    for row in session.scalars(query):
        era = projects.era(row, id=row.era_id, project_id=projects_of[row.era_id])
        by = "" if row.user_id is None else names.get(row.user_id, "someone")
        revisions.setdefault(row.era_id, []).append(
            Revision(row.number, row.verb, by, row.created_at, era)
        )
    return revisions


def _row(session: Session, era_id: int) -> EraRow:
    row = session.get(EraRow, era_id)
    if row is None:
        raise NotFound(f"There is no era {era_id}.")
    return row


def _turn(session: Session, actor: User, era_id: int, *, retired: bool) -> Era:
    row = _row(session, era_id)
    if row.retired is retired:
        state = "retired" if retired else "in force"
        raise RuleBroken(f"The era {row.name} is {state} already. Look at it again.")
    fit = replace(projects.era(row), retired=retired)
    return _write(session, actor, row, fit, "retire" if retired else "reinstate")


def _write(session: Session, actor: User, row: EraRow, era: Era, verb: str) -> Era:
    for column, value in _columns(era).items():
        setattr(row, column, value)
    session.flush()
    return _record(session, actor, row, verb)


def _record(session: Session, actor: User, row: EraRow, verb: str) -> Era:
    """Keep the era as it stands in its history and in the log."""
    era, revisions = projects.era(row), history(session, row.id)
    number = revisions[0].number + 1 if revisions else 1
    session.add(
        EraRevisionRow(era_id=row.id, number=number, user_id=actor.id, verb=verb, **_columns(era))
    )
    session.flush()
    events.record(
        session, actor, f"{verb}_era", "era", row.id, project_id=row.project_id, revision=number
    )
    return era


def _columns(era: Era) -> Mapping[str, object]:
    return {
        "name": era.name,
        "starts_on": era.starts_on,
        "ends_on": era.ends_on,
        "document": era.document or None,
        "url": era.url or None,
        "retired": era.retired,
        "phrases": list(era.phrases),
    }


def _fitting(era: Era, others: Sequence[Era]) -> Era:
    """The era with its words trimmed, where it may stand beside the others."""
    name = trim(" ".join(era.name.split()))
    if not name or len(name) > 80:
        raise BadInput("An era needs a name of 1 to 80 characters.")
    if any(sibling.name.casefold() == name.casefold() for sibling in others):
        raise BadInput(f"There is already an era {name}. Choose another name.")
    _check_days(name, era, others)
    document, url = (trim(" ".join(text.split())) for text in (era.document, era.url))
    if max(len(document), len(url)) > _LONGEST:
        raise BadInput(f"The era {name}: a title or an address is over {_LONGEST} characters.")
    phrases = wording.cleaned(era.phrases)
    _check_phrases(name, phrases)
    return replace(era, name=name, document=document, url=url, phrases=phrases)


def _check_days(name: str, era: Era, others: Sequence[Era]) -> None:
    if era.ends_on is not None and era.ends_on < era.starts_on:
        raise BadInput(
            f"The era {name} would end on {era.ends_on}, before it starts on {era.starts_on}. "
            "Exchange the dates."
        )
    for neighbour in others:
        first, second = sorted((era, neighbour), key=lambda each: each.starts_on)
        tied = first.starts_on == second.starts_on
        if tied or (first.ends_on is not None and first.ends_on >= second.starts_on):
            raise BadInput(
                f"The era {name} would overlap the era {neighbour.name} on {second.starts_on}: "
                "only one policy is in force on a day. Change the dates of one of them."
            )


def _check_phrases(name: str, phrases: Sequence[str]) -> None:
    if len(phrases) > wording.LIMIT or any(len(phrase) > wording.LONGEST for phrase in phrases):
        raise BadInput(
            f"The era {name} may list {wording.LIMIT} phrases of {wording.LONGEST} characters."
        )
    if any(not any(c.isalnum() for c in phrase) for phrase in phrases):
        raise BadInput(f"The era {name} lists a phrase without a letter or a digit. Take it out.")
