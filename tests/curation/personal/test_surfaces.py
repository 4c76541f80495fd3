"""The same words in other pairs, found without reading texts; the scan that counts for a text."""

import pytest
from sqlalchemy import Engine, select, update

from curation.personal import findings, gaps, scrub, surfaces, waiting
from storage import pairs
from storage.engine import reading, writing
from storage.tables import FindingRow
from storage.types import FindingState, Project
from tests.support import curated, stories

SPELLINGS = ("Ana Roth", "ANA  ROTH", "ana roth")


@pytest.fixture
def desk(engine: Engine) -> Project:
    """Three pairs with one name, spelt in three ways, and a pair with another name."""
    desk = stories.project(engine)
    names = (*SPELLINGS, "Ben Ode")
    rows = curated.approved(
        engine, desk, [(f"Ticket {n}: I am {name}.", stories.CARDS) for n, name in enumerate(names)]
    )
    marks = {row.id: [("prompt", name, "PERSON")] for row, name in zip(rows, names, strict=True)}
    curated.scanned(engine, desk, marks)
    return desk


def repeats(engine: Engine, desk: Project, pair_id: int = 1) -> list[int]:
    """In how many pairs the words of each finding of a pair wait."""
    with reading(engine) as session:
        marked = waiting.marked(session, desk.id, pair_id)
        return list(surfaces.repeats(session, marked.pair, marked.findings).values())


def test_the_same_words_are_counted_whatever_their_case_and_spacing(
    engine: Engine, desk: Project
) -> None:
    assert repeats(engine, desk) == [3]
    assert repeats(engine, desk, 4) == [1]
    with writing(engine) as session:
        scrub.decide(session, curated.ana(engine), 2, FindingState.DISMISSED)
    assert repeats(engine, desk) == [2]


@pytest.mark.usefixtures("desk")
def test_words_are_kept_as_hashes_that_another_project_does_not_share(engine: Engine) -> None:
    second = stories.project(engine, "Second desk")
    row = curated.approved(engine, second, [("I am Ana Roth.", stories.CARDS)])[0]
    curated.scanned(engine, second, {row.id: [("prompt", "Ana Roth", "PERSON")]})
    with reading(engine) as session:
        hashes = list(session.scalars(select(FindingRow.surface).order_by(FindingRow.id)))
    assert len(set(hashes)) == 3
    assert not any("ana" in (hashed or "").lower() for hashed in hashes)


def test_what_was_found_before_there_were_hashes_is_compared_by_its_text(
    engine: Engine, desk: Project
) -> None:
    with writing(engine) as session:
        session.execute(update(FindingRow).where(FindingRow.id != 1).values(surface=None))
    assert repeats(engine, desk) == [3]


def test_no_hash_is_kept_of_what_is_kept_nowhere(engine: Engine, desk: Project) -> None:
    with writing(engine) as session:
        pairs.row_of(session, 4).source = {"id": "Ben Ode"}
        pairs.rewrite(session, pairs.row_of(session, 4), "My card is lost", stories.CARDS, None)
    curated.scanned(engine, desk, {4: [("source:id", "Ben Ode", "PERSON")]})
    with writing(engine) as session:
        finding = waiting.marked(session, desk.id, 4).findings[0]
        scrub.decide(session, curated.ana(engine), finding.id, FindingState.ACCEPTED)
    with reading(engine) as session:
        assert session.get_one(FindingRow, finding.id).surface is None


def test_a_text_that_is_back_is_scanned_as_it_was(engine: Engine, desk: Project) -> None:
    def write(text: str) -> tuple[int, int]:
        with writing(engine) as session:
            pairs.rewrite(session, pairs.row_of(session, 1), text, stories.CARDS, None)
        with reading(engine) as session:
            left = gaps.alive(session, desk.id)
            return left.unscanned.count, left.open.count

    with reading(engine) as session:
        before = pairs.get(session, 1).prompt
    assert write("Other words") == (1, 3)
    assert write(before) == (0, 4)
    with reading(engine) as session:
        assert len(findings.current(session, desk.id, 1)) == 1
