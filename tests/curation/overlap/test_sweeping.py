"""The comparison of all pairs: remembered, grown, written in chunks, cut off, twice at once."""

import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from string import ascii_lowercase

import pytest
from sqlalchemy import Engine, delete, event, select

from curation.overlap import compared, duplicates, leakage, ledger, overlaps, sweeping
from curation.overlap.near import remembered
from curation.review import decisions
from storage import chunks, events, pairs, steps
from storage.engine import reading, writing
from storage.errors import NotAllowed
from storage.tables import LinkRow, PairRow
from storage.types import LinkKind, Origin, Pair, PairStatus, Project, Role, User
from tests.support import leaks, stories

Links = set[tuple[int, int, LinkKind, float]]


class Cut(Exception):
    """The process ends here."""


@pytest.fixture
def remembering(monkeypatch: pytest.MonkeyPatch) -> None:
    """A project of few pairs is remembered as a large one is."""
    monkeypatch.setattr(compared, "LARGE", 2)


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many transactions for few rows."""
    monkeypatch.setattr(chunks.write, "__defaults__", (steps.quiet, 3))


def _words(count: int, dice: random.Random) -> Iterator[tuple[str, str, str | None]]:
    """Input, output and source of pairs, many of which repeat or edit one another."""
    said = stories.messages(40)
    for number in range(count):
        prompt, response = dice.choice(said)
        edit = dice.choice(leaks.EDITS)
        if dice.random() < 0.03:
            prompt = f"Please tell me what the capital city of {number * 7919} is called"
        answer = response if dice.random() < 0.7 else json.dumps({"team": str(number)})
        yield edit(prompt, dice), answer, dice.choice(["a", "b", None, None, None, None, None])


def _add(engine: Engine, desk: Project, count: int, seed: int) -> None:
    dice = random.Random(seed)
    with writing(engine) as session:
        for prompt, response, source in _words(count, dice):
            pairs.add(
                session,
                desk.id,
                prompt,
                response,
                Origin.IMPORT,
                held_out=dice.random() < 0.2,
                source={"id": source} if source else None,
            )


def _links(engine: Engine) -> Links:
    with reading(engine) as session:
        rows = session.scalars(select(LinkRow))
        return {(row.a, row.b, row.kind, round(row.similarity, 9)) for row in rows}


def _forget_links(engine: Engine) -> None:
    with writing(engine) as session:
        session.execute(delete(LinkRow))


def _by_definition(engine: Engine, desk: Project) -> Links:
    """What each module says of all pairs, put together as links."""
    with reading(engine) as session:
        alive = [p for p in pairs.listing(session, desk.id) if p.status is not PairStatus.REJECTED]
    by_id = {pair.id: pair for pair in alive}
    clashing = duplicates.contradictions([(p.id, p.prompt, p.response) for p in alive])
    links = {(n.a, n.b, LinkKind.CONTRADICTION): n.similarity for n in clashing}
    ends = {(near.a, near.b) for near in clashing}
    for near in duplicates.pairs([(p.id, f"{p.prompt}\n{p.response}") for p in alive]):
        if (near.a, near.b) not in ends:
            same = _texts(by_id[near.a]) == _texts(by_id[near.b])
            links[near.a, near.b, LinkKind.EXACT if same else LinkKind.NEAR] = near.similarity
    train, test = (
        [ledger.row(pair) for pair in alive if pair.held_out is side] for side in (False, True)
    )
    for leak in leakage.leaks(train, test):
        a, b = sorted((leak.train_id, leak.test_id))
        links[a, b, LinkKind.LEAK] = leak.similarity
    return {(*ends, round(similarity, 9)) for ends, similarity in links.items()}


def _texts(pair: Pair) -> tuple[str, str]:
    return pair.prompt, pair.response


@pytest.mark.usefixtures("remembering")
@pytest.mark.parametrize("seed", range(3))
def test_what_is_compared_bit_by_bit_is_linked_as_if_compared_at_once(
    engine: Engine, seed: int
) -> None:
    """Pairs come, change, are rejected and come back between the comparisons."""
    lena, desk = stories.person(engine, "lena", Role.LEAD), stories.project(engine)
    dice = random.Random(seed)
    for _ in range(4):
        _add(engine, desk, 40, dice.randrange(1000))
        with writing(engine) as session:
            rows = dice.sample(list(session.scalars(select(PairRow))), 6)
            for row in rows[:3]:
                pairs.rewrite(session, row, leaks.words(row.prompt, dice), row.response, lena)
            for row in rows[3:]:
                if row.status is PairStatus.REJECTED:
                    row.status = PairStatus.WAITING
                else:
                    decisions.reject(session, lena, row, "Duplicate")
        sweeping.sweep_in_chunks(engine, lena, desk.id)
    wanted = _by_definition(engine, desk)
    assert _links(engine) >= wanted
    _forget_links(engine)  # also of texts that are gone, and of forms that were few at first
    sweeping.sweep_in_chunks(engine, lena, desk.id)
    assert _links(engine) == wanted
    assert {kind for _, _, kind, _ in wanted} == set(LinkKind)


@pytest.mark.usefixtures("remembering")
def test_leaks_and_families_are_the_same_from_memory(engine: Engine) -> None:
    """Of all pairs, of some, of none, and of texts that were never compared."""
    lena, desk = stories.person(engine, "lena", Role.LEAD), stories.project(engine)
    _add(engine, desk, 80, 1)
    sweeping.sweep_in_chunks(engine, lena, desk.id)
    _add(engine, desk, 40, 2)
    dice = random.Random(3)
    with reading(engine) as session:
        rows = [ledger.row(pair) for pair in pairs.listing(session, desk.id)]
        look = compared.remembering(session, desk.id)
    assert look is not leakage.anew
    for count in (120, 60, 0):
        train = sorted(dice.sample(rows, count), key=lambda row: row.id)
        test = [row for row in rows if row not in train]
        assert leakage.leaks(train, test, look=look) == leakage.leaks(train, test)
        assert leakage.families(train, look=look) == leakage.families(train)
        assert leakage.families(train, 0.7, look) == leakage.families(train, 0.7)


def _compared(engine: Engine, lena: User, desk: Project) -> list[str]:
    """Compare all pairs; the statements that read words of pairs."""
    reads: list[str] = []

    def note(*context: object) -> None:
        statement = str(context[2])
        if statement.startswith("SELECT") and "pair.prompt" in statement:
            reads.append(str(context[3]))

    event.listen(engine, "before_cursor_execute", note)
    sweeping.sweep_in_chunks(engine, lena, desk.id)
    event.remove(engine, "before_cursor_execute", note)
    return reads


@pytest.mark.usefixtures("remembering")
def test_only_what_is_new_is_read(engine: Engine) -> None:
    dice = random.Random(3)
    lena, desk = stories.person(engine, "lena", Role.LEAD), stories.project(engine)
    with writing(engine) as session:
        for _ in range(120):
            words = " ".join("".join(dice.choices(ascii_lowercase, k=6)) for _ in range(9))
            pairs.add(session, desk.id, words, words[::-1], Origin.IMPORT)
    assert _compared(engine, lena, desk)
    assert _compared(engine, lena, desk) == []
    with writing(engine) as session:
        pairs.add(session, desk.id, "Something else", "Entirely", Origin.IMPORT)
    reads = _compared(engine, lena, desk)
    assert reads, "the new one"
    assert all("[121]" in read for read in reads), "and no other"


@pytest.mark.usefixtures("remembering")
@pytest.mark.parametrize("harm", ["cut", "bit", "rules", "gone"])
def test_a_damaged_memory_is_made_anew(engine: Engine, harm: str) -> None:
    lena, desk = stories.person(engine, "lena", Role.LEAD), stories.project(engine)
    _add(engine, desk, 60, 1)
    sweeping.sweep_in_chunks(engine, lena, desk.id)
    path = remembered.file(Path(str(engine.url.database)), desk.id)
    data = path.read_bytes()
    path.unlink()
    if harm == "cut":
        path.write_bytes(data[: len(data) // 2])
    elif harm == "bit":
        path.write_bytes(data[:-900] + bytes([data[-900] ^ 1]) + data[-899:])
    elif harm == "rules":
        path.write_bytes(b"x" + data[1:])
    assert remembered.load(path) is None
    _add(engine, desk, 20, 2)
    _forget_links(engine)
    sweeping.sweep_in_chunks(engine, lena, desk.id)
    assert _links(engine) == _by_definition(engine, desk)
    assert path.read_bytes() != data


@pytest.mark.usefixtures("small_chunks")
def test_a_pair_that_changes_meanwhile_stays_due(engine: Engine) -> None:
    lena, desk = stories.person(engine, "lena", Role.LEAD), stories.project(engine)
    _add(engine, desk, 30, 1)
    changed: list[int] = []

    def step(_done: int, _total: int) -> None:
        if not changed:
            with writing(engine) as session:
                row = session.scalars(select(PairRow).order_by(PairRow.id.desc())).first()
                assert row is not None
                pairs.rewrite(session, row, "Quite another question", row.response, lena)
                changed.append(row.id)

    sweeping.sweep_in_chunks(engine, lena, desk.id, step=step)
    with reading(engine) as session:
        stale = PairRow.swept_sha256.is_distinct_from(PairRow.content_sha256)
        assert list(session.scalars(select(PairRow.id).where(stale))) == changed


@pytest.mark.usefixtures("small_chunks", "remembering")
def test_two_comparisons_at_once_link_nothing_twice(engine: Engine) -> None:
    lena, desk = stories.person(engine, "lena", Role.LEAD), stories.project(engine)
    _add(engine, desk, 60, 1)
    inner: list[int] = []

    def step(done: int, _total: int) -> None:
        if not inner and _links(engine):
            inner.append(done)
            sweeping.sweep_in_chunks(engine, lena, desk.id)

    sweeping.sweep_in_chunks(engine, lena, desk.id, step=step)
    assert inner
    assert _links(engine) == _by_definition(engine, desk)
    with reading(engine) as session:
        assert overlaps.due(session, desk.id) == 0


@pytest.mark.T08
@pytest.mark.usefixtures("small_chunks", "remembering")
def test_cut_off_at_any_chunk_it_leaves_pairs_that_are_due_and_nothing_wrong(
    engine: Engine, proof: Callable[..., None]
) -> None:
    lena, desk = stories.person(engine, "lena", Role.LEAD), stories.project(engine)
    _add(engine, desk, 60, 1)
    wanted = _by_definition(engine, desk)
    cuts = 0
    for left in range(200):
        steps = iter(range(left))

        def step(_done: int, _total: int, steps: Iterator[int] = steps) -> None:
            if next(steps, None) is None:
                raise Cut

        with reading(engine) as session:
            uncompared = overlaps.due(session, desk.id)
        try:
            sweeping.sweep_in_chunks(engine, lena, desk.id, step=step)
        except Cut:
            cuts += 1
        else:
            break
        assert _links(engine) <= wanted
        with reading(engine) as session:
            assert overlaps.due(session, desk.id) <= uncompared
            if _links(engine) != wanted:
                assert overlaps.due(session, desk.id) == 60, "links come first"
    assert cuts > 5
    assert _links(engine) == wanted
    proof(interleavings=cuts, lost=0)


@pytest.mark.usefixtures("remembering")
def test_who_stops_it_while_it_compares_leaves_nothing(engine: Engine) -> None:
    """At each of its steps before the first write: of all pairs, and of a few more later."""
    lena, desk = stories.person(engine, "lena", Role.LEAD), stories.project(engine)
    path = remembered.file(Path(str(engine.url.database)), desk.id)
    for count in (60, 3):
        _add(engine, desk, count, count)
        links, memory = _links(engine), path.read_bytes() if path.exists() else b""
        cuts = 0
        for stop in range(200):
            steps: list[tuple[int, int]] = []

            def step(
                done: int, total: int, steps: list[tuple[int, int]] = steps, stop: int = stop
            ) -> None:
                steps.append((done, total))
                if len(steps) > stop and done < 0.75 * total:
                    raise Cut

            try:
                sweeping.sweep_in_chunks(engine, lena, desk.id, step=step)
            except Cut:
                cuts += 1
                assert _links(engine) == links
                assert (path.read_bytes() if path.exists() else b"") == memory
                with reading(engine) as session:
                    assert overlaps.due(session, desk.id) == count
            else:
                break
        assert cuts >= 3
        assert steps == sorted(steps), "what is done never falls"
        assert len({total for _, total in steps}) == 1
        with reading(engine) as session:
            assert overlaps.due(session, desk.id) == 0


def test_who_may_not_compare_is_refused_before_anything_is_read(engine: Engine) -> None:
    ada, desk = stories.person(engine, "ada", Role.ADMIN), stories.project(engine)
    with pytest.raises(NotAllowed, match="ada may not sweep"):
        sweeping.sweep_in_chunks(engine, ada, desk.id)
    with reading(engine) as session:
        assert "sweep" not in {entry.verb for entry in events.latest(session)}
