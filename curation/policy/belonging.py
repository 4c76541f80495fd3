"""Which pairs belong to an era, by its tag or by wording that only it used, asked of the database.

Texts are read only where the database cannot exclude that they hold a phrase.
"""

from collections.abc import Sequence

from sqlalchemy import ColumnElement, LargeBinary, cast, func, or_, select, true
from sqlalchemy.orm import InstrumentedAttribute, Session

from curation.review import phrases
from storage import pairs, projects
from storage.tables import PairRow
from storage.types import Era

_CHUNK = 1000
"""Texts in memory at once."""


def of_era(session: Session, which: ColumnElement[bool], era: Era) -> ColumnElement[bool]:
    """That a pair, one of those looked at, bears the tag of an era or wording that only it used."""
    tagged = PairRow.era_id == era.id
    if not era.phrases:
        return tagged
    return or_(tagged, pairs.among(PairRow.id, worded(session, which, era.phrases)))


def retired(session: Session, project_id: int) -> set[int]:
    """The ids of the pairs that were written under a retired era."""
    own = PairRow.project_id == project_id
    eras = [era for era in projects.eras(session, project_id) if era.retired]
    return {
        pair_id
        for era in eras
        for pair_id in session.scalars(select(PairRow.id).where(own, of_era(session, own, era)))
    }


def worded(session: Session, which: ColumnElement[bool], wording: Sequence[str]) -> list[int]:
    """The ids of the pairs looked at that hold one of these phrases, as whole words."""
    texts = session.execute(
        select(PairRow.id, PairRow.prompt, PairRow.response)
        .where(which, may_hold(wording, PairRow.prompt, PairRow.response))
        .order_by(PairRow.id)
        .execution_options(yield_per=_CHUNK)
    )
    sought = tuple(wording)
    return [
        pair_id
        for pair_id, prompt, response in texts
        if phrases.matches(f"{prompt}\n{response}", sought)
    ]


def may_hold(wording: Sequence[str], *sides: InstrumentedAttribute[str]) -> ColumnElement[bool]:
    """False only where texts surely lack all of the phrases: in plain ASCII, without the longest
    word of each. Only such texts the database folds as `phrases.folded` does.
    """
    return or_(*(_may_hold(phrase, sides) for phrase in wording))


def _may_hold(phrase: str, sides: Sequence[InstrumentedAttribute[str]]) -> ColumnElement[bool]:
    word = max(phrases.folded(phrase).split(), key=len, default="")
    if not word or not word.isascii():
        return true()
    return or_(
        *(func.instr(func.lower(side), word) > 0 for side in sides),
        *(_beyond_ascii(side) for side in sides),
    )


def _beyond_ascii(text: InstrumentedAttribute[str]) -> ColumnElement[bool]:
    return func.length(text) != func.length(cast(text, LargeBinary))
