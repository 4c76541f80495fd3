"""Once a test row, never training: also not its copies, its source, or after it is gone."""

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import IntegrityError

from curation.exchange import intake
from curation.exchange.incoming import Incoming
from curation.overlap import ledger, overlaps
from curation.overlap.leakage import How
from curation.review import decisions
from curation.versions import archive, freezing
from storage import pairs
from storage.engine import reading, writing
from storage.errors import RuleBroken
from storage.types import LinkKind, Origin, Pair, Project, Split, Version
from tests.support import curated, stories
from training.draft import drafts

TEXT = "my card was eaten by the machine at the station this morning and I need a new one today"


def frozen(engine: Engine, rows: int = 30) -> tuple[Project, Version, Pair]:
    """A project with a version, and one of its test rows."""
    desk = stories.project(engine)
    curated.approved(engine, desk, rows)
    version = curated.frozen(engine, desk)
    with reading(engine) as session:
        row = archive.rows(session, version.id, Split.TEST)[0]
        return desk, version, pairs.get(session, row.pair_id)


def rejected(engine: Engine, row: Pair) -> None:
    """The row is gone, as far as anyone can see."""
    ana = curated.ana(engine)
    with writing(engine) as session:
        decisions.reject(session, ana, pairs.row_of(session, row.id), "Not our policy")


def incoming(*rows: tuple[str, str | None]) -> tuple[Incoming, ...]:
    return tuple(
        Incoming(n, prompt, stories.CARDS, None, None, source)
        for n, (prompt, source) in enumerate(rows, 1)
    )


def test_a_copy_of_a_test_row_that_is_long_gone_is_not_frozen(engine: Engine) -> None:
    desk, _, row = frozen(engine)
    rejected(engine, row)
    copy = curated.approved(engine, desk, [(row.prompt.upper(), row.response)])[0]
    curated.compared(engine, desk)
    assert curated.links(engine, desk, LinkKind.LEAK) == []
    lena = stories.person(engine, "lena")
    why = rf"first is pair {copy.id} \(normalised\): pair {row.id} was a test pair of version 1"
    with writing(engine) as session, pytest.raises(RuleBroken, match=why):
        freezing.freeze(session, lena, desk.id)
    rejected(engine, copy)
    assert curated.frozen(engine, desk).number == 2


def test_the_ledger_knows_each_wording_that_was_tested_and_when(engine: Engine) -> None:
    desk, version, row = frozen(engine)
    held = stories.waiting(engine, desk, [("Held out from the start", "{}")], held_out=True)[0]
    ana = curated.ana(engine)
    with writing(engine) as session:
        stored = pairs.row_of(session, row.id)
        decisions.send_back(session, ana, stored, "look again")
        pairs.rewrite(session, stored, "Quite another question", row.response, ana)
    with reading(engine) as session:
        known = ledger.tested(session, desk.id)
    said = {(one.pair_id, one.prompt, one.version) for one in known}
    assert (row.id, row.prompt, 1) in said
    assert (row.id, "Quite another question", None) in said
    assert (held.id, held.prompt, None) in said
    assert len(known) == version.counts["test"] + 2


def test_an_import_names_the_rows_that_repeat_test_rows_and_they_never_train(
    engine: Engine,
) -> None:
    desk, _, row = frozen(engine)
    ana = curated.ana(engine)
    rows = incoming((f"Hello, {row.prompt}", None), ("Something new altogether", "mail-7"))
    with writing(engine) as session:
        taken = intake.take(session, ana, desk.id, rows, name="a.csv", sha256="a" * 64)
        overlaps.sweep(session, ana, desk.id)
    assert [(one.line, one.test_id, one.how) for one in taken.repeating] == [(1, row.id, How.NEAR)]
    assert taken.repeating[0].pair_id == taken.added[0]
    shown = curated.links(engine, desk, LinkKind.LEAK)
    assert [(one.a, one.b) for one in shown] == [(row.id, taken.added[0])]
    with reading(engine) as session:
        groups = overlaps.grouped(session, desk.id, [LinkKind.LEAK])
        fresh = [pairs.get(session, one) for one in taken.added]
    assert [pair.id for pair in groups[0].pairs] == [row.id, taken.added[0]]
    curated.approve(engine, desk, fresh)
    lena = stories.person(engine, "lena")
    with writing(engine) as session, pytest.raises(RuleBroken, match="repeat held-out test pairs"):
        freezing.freeze(session, lena, desk.id)


def test_rows_of_a_source_that_was_tested_are_named_too_and_held_out_ones_not(
    engine: Engine,
) -> None:
    desk, ana = stories.project(engine), curated.ana(engine)
    with writing(engine) as session:
        first = incoming((TEXT, "mail-1"), ("Where is my money?", None))
        held = intake.take(session, ana, desk.id, first, name="t", sha256="b" * 64, held_out=True)
        rows = incoming(("Nothing like the others", "mail-1"), (TEXT, None))
        again = intake.take(session, ana, desk.id, rows, name="u", sha256="c" * 64, held_out=True)
        taken = intake.take(session, ana, desk.id, rows, name="v", sha256="d" * 64)
    assert held.repeating == again.repeating == ()
    hows = {(one.line, one.how) for one in taken.repeating}
    assert {(1, How.SOURCE), (1, How.EXACT), (2, How.EXACT)} <= hows


def test_what_repeats_a_test_row_is_no_example_for_drafts(engine: Engine) -> None:
    desk, _, row = frozen(engine)
    author, ben = stories.person(engine, "eva"), stories.person(engine, "ben")
    texts = [(f"Please: {row.prompt}", row.response), *stories.messages(2, start=900)]
    gold = curated.approved(engine, desk, texts, origin=Origin.GOLD, author=author, by=ben)
    with reading(engine) as session:
        fit = ledger.untested(session, desk.id, gold)
        shown = drafts._examples(session, desk.id, seed=1)
    assert [pair.id for pair in fit] == [gold[1].id, gold[2].id]
    assert sorted(one.prompt for one in shown) == sorted(pair.prompt for pair in gold[1:])


def test_the_database_itself_keeps_a_copy_of_a_test_row_out_of_training(engine: Engine) -> None:
    desk, version, row = frozen(engine)
    copy = curated.approved(engine, desk, [(row.prompt, row.response)])[0]
    insert = text(
        "INSERT INTO version_row (version_id, pair_id, split, prompt, response, content_sha256,"
        " origin, group_id) SELECT :version, id, :split, prompt, response, content_sha256, origin,"
        " id FROM pair WHERE id = :pair"
    )
    with writing(engine) as session, pytest.raises(IntegrityError, match="once never trains"):
        session.execute(insert, {"version": version.id, "split": "train", "pair": copy.id})
    with writing(engine) as session:
        session.execute(insert, {"version": version.id, "split": "test", "pair": copy.id})


def test_a_run_is_not_prepared_with_rows_that_were_tested(engine: Engine) -> None:
    desk, version, row = frozen(engine)
    with reading(engine) as session:
        rows = archive.rows(session, version.id)
        train = [one for one in rows if one.split is not Split.TEST]
        ledger.check(session, desk.id, ledger.rows(session, desk.id, train), "launch")
        with pytest.raises(RuleBroken, match=f"pair {row.id} was a test pair of version 1"):
            ledger.check(session, desk.id, ledger.rows(session, desk.id, rows), "launch")
        assert len(ledger.digests(session, desk.id)) == version.counts["test"]
