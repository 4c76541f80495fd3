"""Find the rows that a policy change concerns, by era, phrase, topic or label.

It finds words, not meaning: see `curation.review.phrases` for what it misses.
"""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from sqlalchemy import ColumnElement, ScalarResult, false, func, select
from sqlalchemy.orm import Session

from curation.health import marks
from curation.policy import belonging, eras
from curation.review import phrases
from storage import leases, pairs, projects
from storage.errors import BadInput, NotFound
from storage.tables import PairRow
from storage.types import Era, Pair, PairStatus
from storage.values import value_of

_CHUNK = 1000
"""Outputs in memory at once."""


@dataclass(frozen=True, slots=True)
class Search:
    """Which rows a policy change may concern: all that is set must hold, one of the phrases."""

    era_id: int | None = None
    phrases: tuple[str, ...] = ()
    topic: str | None = None
    label: str | None = None

    @property
    def empty(self) -> bool:
        """Whether it asks for nothing."""
        parts = (self.era_id, self.topic, self.label)
        return all(part is None for part in parts) and not any(map(str.strip, self.phrases))


@dataclass(frozen=True, slots=True)
class Affected:
    """The rows that a search finds; rejected ones are only counted."""

    pairs: tuple[Pair, ...]
    """All, or the first of them by id."""
    total: int
    """How many there are, also those not in `pairs`."""
    claimed: frozenset[int]
    """Those of `pairs` in a reviewer's hand now."""
    rejected: int
    counts: Mapping[str, int]
    """Waiting and approved rows that meet each part of the search by itself, in plain words."""


def affected(
    session: Session, project_id: int, search: Search, limit: int | None = None
) -> Affected:
    """The rows that meet a search, so many at most.

    Raises:
        BadInput: it asks for nothing, or for phrases that cannot be searched.
    """
    mine = PairRow.project_id == project_id
    parts = _parts(session, project_id, mine, search)
    alive, rejected = PairRow.status != PairStatus.REJECTED, PairRow.status == PairStatus.REJECTED
    rows = session.scalars(
        select(PairRow).where(mine, alive, *parts.values()).order_by(PairRow.id).limit(limit)
    )
    matches = tuple(value_of(Pair, row) for row in rows)
    return Affected(
        pairs=matches,
        total=_count(session, mine, alive, *parts.values()),
        claimed=frozenset(claimed(session, [pair.id for pair in matches])),
        rejected=_count(session, mine, rejected, *parts.values()),
        counts={name: _count(session, mine, alive, part) for name, part in parts.items()},
    )


def _count(session: Session, *conditions: ColumnElement[bool]) -> int:
    return session.scalar(select(func.count(PairRow.id)).where(*conditions)) or 0


def _parts(
    session: Session, project_id: int, mine: ColumnElement[bool], search: Search
) -> dict[str, ColumnElement[bool]]:
    parts: dict[str, ColumnElement[bool]] = {}
    if search.era_id is not None:
        era = era_of(session, project_id, search.era_id)
        parts[f"of the era {era.name}"] = belonging.of_era(session, mine, era)
    if wording := _searchable(search.phrases):
        name = "with the phrase" if len(wording) == 1 else "with one of the phrases"
        parts[name] = pairs.among(PairRow.id, belonging.worded(session, mine, wording))
    if search.topic is not None:
        parts[f"of the topic {search.topic}"] = PairRow.topic == search.topic
    if search.label is not None:
        field = projects.get(session, project_id).label_field
        parts[f"with the label {search.label}"] = _labelled(session, mine, field, search.label)
    if not parts:
        raise BadInput("Say what to look for: an era, a phrase, a topic or a label.")
    return parts


def _searchable(typed: tuple[str, ...]) -> tuple[str, ...]:
    wording = phrases.cleaned(typed)
    if len(wording) > phrases.LIMIT or any(len(phrase) > phrases.LONGEST for phrase in wording):
        raise BadInput(
            f"Search for {phrases.LIMIT} phrases of {phrases.LONGEST} characters at most."
        )
    if any(not any(c.isalnum() for c in phrase) for phrase in wording):
        raise BadInput("A phrase needs at least one letter or digit.")
    return wording


def era_of(session: Session, project_id: int, era_id: int) -> Era:
    """The era, where it is one of this project.

    Raises:
        NotFound: it is not.
    """
    era = eras.get(session, era_id)
    if era.project_id != project_id:
        raise NotFound(f"The era {era_id} belongs to another project.")
    return era


def tagged(session: Session, project_id: int) -> dict[int, int]:
    """How many rows bear the tag of each era."""
    query = (
        select(PairRow.era_id, func.count())
        .where(PairRow.project_id == project_id, PairRow.era_id.is_not(None))
        .group_by(PairRow.era_id)
    )
    return {era: n for era, n in session.execute(query) if era is not None}


def topics(session: Session, project_id: int) -> list[str]:
    """The topics that rows name, by name."""
    query = select(PairRow.topic).where(PairRow.project_id == project_id).distinct()
    return sorted(topic for topic in session.scalars(query) if topic)


def labels(session: Session, project_id: int) -> list[str]:
    """The labels in the outputs, by name; none where the project has no label field."""
    name = projects.get(session, project_id).label_field
    if name is None:
        return []
    outputs = session.scalars(
        select(func.min(PairRow.response))
        .where(PairRow.project_id == project_id, func.json_valid(PairRow.response) == 1)
        .group_by(func.json_extract(PairRow.response, _path(name)))
    )
    return sorted({label for text in outputs if (label := marks.label_of(name, text)) is not None})


def _path(field: str) -> str:
    """Where the field is, for the database; of a name that it cannot quote, the whole output."""
    return "$" if '"' in field else f'$."{field}"'


def _outputs(session: Session, mine: ColumnElement[bool]) -> ScalarResult[str]:
    """Each different output that may be JSON, a few at a time."""
    query = select(PairRow.response).where(mine, PairRow.response.contains("{")).distinct()
    return session.scalars(query.execution_options(yield_per=_CHUNK))


def _labelled(
    session: Session, mine: ColumnElement[bool], field: str | None, label: str
) -> ColumnElement[bool]:
    """That an output has this label."""
    if field is None:
        return false()
    outputs = _outputs(session, mine)
    having = [text for text in outputs if marks.label_of(field, text) == label]
    numbers = func.json_each(json.dumps(having)).table_valued("value")
    return PairRow.response.in_(select(numbers.c.value))


def claimed(session: Session, ids: Collection[int]) -> set[int]:
    """Which of these rows are in a reviewer's hand now."""
    return set(ids) & leases.holders(session).keys()
