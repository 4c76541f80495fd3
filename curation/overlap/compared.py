"""The texts of a project's pairs and how they relate: looked up where remembered, else compared.

A project of few pairs is compared anew each time; of a larger one only what is new is read.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from sqlalchemy import ColumnElement, Text, case, cast, func, or_, select
from sqlalchemy.orm import Session

from curation.overlap import duplicates, leakage
from curation.overlap.duplicates import Near
from curation.overlap.leakage import Alike
from curation.overlap.near import relations, remembered
from curation.overlap.near.candidates import Places
from curation.overlap.near.relations import Fetch, Keys, Relations
from curation.overlap.near.remembered import Remembered
from storage import pairs, steps
from storage.tables import PairRow
from storage.types import PairStatus

LARGE = 2_000
"""Pairs from which on what was compared is remembered, and a comparison is a job of its own."""
_AT_ONCE = 500
_READ, _INPUTS = 0.06, 0.93
"""What is done of a first comparison once the texts are read, and once inputs are compared."""


class Stand(NamedTuple):
    """A pair as it stands, without its words."""

    id: int
    content_sha256: str
    swept_sha256: str | None
    held_out: bool
    source: str | None
    """The document that it says it comes from."""
    alive: bool
    """Whether it is not rejected."""


@dataclass(frozen=True, slots=True)
class Compared:
    """Pairs that are not rejected, and how their texts relate."""

    stands: list[Stand]
    """By id."""
    inputs: Places
    """Of each pair the place of its input in `of_inputs`."""
    wholes: Places
    """Of each pair the place of its input and output in `of_wholes`."""
    of_inputs: Relations
    of_wholes: Relations
    read_inputs: Fetch
    """Reads normalised inputs by their places in `of_inputs`."""


def _stands(session: Session, project_id: int) -> list[Stand]:
    """The pairs that are not rejected, and all test pairs: nothing that repeats one may train."""
    named: ColumnElement[object] = func.json_extract(PairRow.source, "$.id")
    living = PairRow.status != PairStatus.REJECTED
    query = (
        select(
            PairRow.id,
            PairRow.content_sha256,
            PairRow.swept_sha256,
            PairRow.held_out,
            case((named.in_([0, ""]), None), else_=cast(named, Text)),
            living,
        )
        .where(PairRow.project_id == project_id, or_(living, PairRow.held_out))
        .order_by(PairRow.id)
    )
    return list(map(Stand._make, session.execute(query)))


def look(session: Session, project_id: int, step: steps.Step = steps.quiet) -> Compared:
    """Compare the pairs of a project that are not rejected, as far as that was not done before."""
    stands = _stands(session, project_id)
    count = len(stands)
    path = _file(session, project_id)
    large = count >= LARGE
    before = remembered.load(path) if large else None
    contents = np.array([int(stand.content_sha256[:16], 16) for stand in stands], np.uint64)
    inputs, wholes = _keys(session, stands, contents, before, steps.part(step, 0, _READ, count))
    reader = _Reader(session, stands)
    read_inputs = reader.inputs(inputs)
    of_inputs = relations.related(
        before.of_inputs if before else None,
        _distinct(inputs),
        read_inputs,
        by_edits=True,
        step=steps.part(step, _READ, _INPUTS, count),
    )
    of_wholes = relations.related(
        before.of_wholes if before else None,
        _distinct(wholes),
        reader.wholes(wholes),
        by_edits=False,
        step=steps.part(step, _INPUTS, 1, count),
    )
    if large and _is_news(before, contents):
        each = np.unique(contents, return_index=True)
        remembered.save(
            path, Remembered(each[0], inputs[each[1]], wholes[each[1]], of_inputs, of_wholes)
        )
    alive = np.array([stand.alive for stand in stands], np.bool_)
    at_inputs = np.searchsorted(of_inputs.keys, inputs)[alive]
    at_wholes = np.searchsorted(of_wholes.keys, wholes)[alive]
    return Compared(
        [stand for stand in stands if stand.alive],
        at_inputs,
        at_wholes,
        relations.among(of_inputs, at_inputs),
        relations.among(of_wholes, at_wholes),
        read_inputs,
    )


def _distinct(keys: Keys) -> Keys:
    """Each once, ascending; numpy's own `unique` takes five times as long."""
    ascending = np.sort(keys)
    first = np.ones(len(ascending), np.bool_)
    first[1:] = ascending[1:] != ascending[:-1]
    distinct: Keys = ascending[first]
    return distinct


def _is_news(before: Remembered | None, contents: Keys) -> bool:
    """Whether something was compared that is not remembered."""
    return before is None or not np.isin(contents, before.contents).all()


def _file(session: Session, project_id: int) -> Path:
    return remembered.file(Path(str(session.get_bind().engine.url.database)), project_id)


def remembering(session: Session, project_id: int) -> Alike:
    """How inputs are compared in a project: those that were compared before are not again."""
    before = remembered.load(_file(session, project_id))
    if before is None:
        return leakage.anew
    return partial(_from_memory, before.of_inputs)


def _from_memory(
    before: Relations, distinct: Sequence[str], threshold: float, step: steps.Step
) -> tuple[list[Near], list[Near]]:
    keys = np.array([relations.key(text) for text in distinct], np.uint64)
    order = np.argsort(keys)
    ascending = keys[order]
    if threshold != duplicates.THRESHOLD or (ascending[1:] == ascending[:-1]).any():
        return leakage.anew(distinct, threshold, step)
    related = relations.related(
        before,
        ascending,
        lambda places: [distinct[place] for place in order[places].tolist()],
        by_edits=True,
        step=step,
    )
    return _pairs(related.edges, related.runs, order), _pairs(related.edges, related.edits, order)


def _pairs(
    edges: npt.NDArray[np.int32], shares: npt.NDArray[np.float64], order: Places
) -> list[Near]:
    ends = np.sort(order[edges[shares > 0]], axis=1)
    alike = shares[shares > 0]
    return [Near(a, b, share) for (a, b), share in zip(ends.tolist(), alike.tolist(), strict=True)]


def _keys(
    session: Session,
    stands: Sequence[Stand],
    contents: Keys,
    before: Remembered | None,
    step: steps.Step,
) -> tuple[Keys, Keys]:
    """Of each pair the key of its input, and of input and output."""
    inputs, wholes = np.zeros(len(stands), np.uint64), np.zeros(len(stands), np.uint64)
    fresh = np.ones(len(stands), np.bool_)
    if before is not None and len(before.contents):
        at = np.searchsorted(before.contents, contents).clip(max=len(before.contents) - 1)
        stored = before.contents[at] == contents
        inputs[stored], wholes[stored] = before.inputs[at[stored]], before.wholes[at[stored]]
        fresh = ~stored
    places = np.flatnonzero(fresh)
    for first in range(0, len(places), _AT_ONCE):
        step(first, len(places))
        some = places[first : first + _AT_ONCE].tolist()
        words = texts(session, [stands[place].id for place in some])
        for place in some:
            prompt, response = words[stands[place].id]
            inputs[place] = relations.key(_input(prompt, response))
            wholes[place] = relations.key(_whole(prompt, response))
    return inputs, wholes


def texts(session: Session, ids: Sequence[int]) -> dict[int, tuple[str, str]]:
    """Input and output of pairs, by id."""
    if not ids:
        return {}
    query = select(PairRow.id, PairRow.prompt, PairRow.response)
    rows = session.execute(query.where(pairs.among(PairRow.id, ids)))
    return {row[0]: (row[1], row[2]) for row in rows}


def _input(prompt: str, _response: str) -> str:
    return duplicates.normalised(prompt)


def _whole(prompt: str, response: str) -> str:
    return duplicates.normalised(f"{prompt}\n{response}")


class _Reader:
    """Reads normalised texts by the place of their key, of each the first pair that has it."""

    def __init__(self, session: Session, stands: Sequence[Stand]) -> None:
        self._session = session
        self._ids = np.array([stand.id for stand in stands], np.int64)

    def inputs(self, keys: Keys) -> Fetch:
        """Of the inputs with these keys, one a pair."""
        first = self._first(keys)
        return lambda places: self._read(first[places], _input)

    def wholes(self, keys: Keys) -> Fetch:
        """Of inputs with outputs, as one text."""
        first = self._first(keys)
        return lambda places: self._read(first[places], _whole)

    def _first(self, keys: Keys) -> npt.NDArray[np.int64]:
        first: npt.NDArray[np.int64] = self._ids[np.unique(keys, return_index=True)[1]]
        return first

    def _read(self, ids: Places, form: Callable[[str, str], str]) -> list[str]:
        forms: list[str] = []
        for first in range(0, len(ids), _AT_ONCE):
            some = ids[first : first + _AT_ONCE].tolist()
            words = texts(self._session, some)
            forms += (form(*words[pair_id]) for pair_id in some)
        return forms
