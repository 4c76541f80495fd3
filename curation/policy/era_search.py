"""Find the rows that a policy change concerns, by era, phrase, topic or label.

It finds words, not meaning: see `curation.review.phrases` for what it misses.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from curation.health import marks
from curation.policy import eras
from curation.review import phrases
from storage import leases, pairs, projects
from storage.errors import BadInput, NotFound
from storage.tables import PairRow
from storage.types import Era, Pair, PairStatus


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
    claimed: frozenset[int]
    """Those in a reviewer's hand now."""
    rejected: int
    counts: Mapping[str, int]
    """Waiting and approved rows that meet each part of the search by itself, in plain words."""


def affected(session: Session, project_id: int, search: Search) -> Affected:
    """The rows that meet a search.

    Raises:
        BadInput: it asks for nothing, or for phrases that cannot be searched.
    """
    tests = _tests(session, project_id, search)
    everything = pairs.listing(session, project_id)
    alive = [pair for pair in everything if pair.status is not PairStatus.REJECTED]
    met = {name: {pair.id for pair in everything if test(pair)} for name, test in tests.items()}
    wanted = set.intersection(*met.values())
    matches = tuple(pair for pair in alive if pair.id in wanted)
    ids = {pair.id for pair in alive}
    return Affected(
        pairs=matches,
        claimed=frozenset(claimed(session, [pair.id for pair in matches])),
        rejected=len(wanted - ids),
        counts={name: len(rows & ids) for name, rows in met.items()},
    )


def _tests(session: Session, project_id: int, search: Search) -> dict[str, Callable[[Pair], bool]]:
    tests: dict[str, Callable[[Pair], bool]] = {}
    if search.era_id is not None:
        era = era_of(session, project_id, search.era_id)
        tests[f"of the era {era.name}"] = lambda pair: eras.belongs(pair, era)
    if wording := _searchable(search.phrases):
        name = "with the phrase" if len(wording) == 1 else "with one of the phrases"
        tests[name] = lambda p: bool(phrases.matches(f"{p.prompt}\n{p.response}", wording))
    if search.topic is not None:
        topic = search.topic
        tests[f"of the topic {topic}"] = lambda pair: pair.topic == topic
    if search.label is not None:
        field, label = projects.get(session, project_id).label_field, search.label
        tests[f"with the label {label}"] = lambda pair: _label(field, pair) == label
    if not tests:
        raise BadInput("Say what to look for: an era, a phrase, a topic or a label.")
    return tests


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
    listed = pairs.listing(session, project_id)
    return sorted({label for pair in listed if (label := _label(name, pair)) is not None})


def _label(name: str | None, pair: Pair) -> str | None:
    return None if name is None else marks.label_of(name, pair.response)


def claimed(session: Session, ids: Collection[int]) -> set[int]:
    """Which of these rows are in a reviewer's hand now."""
    return set(ids) & leases.holders(session).keys()
