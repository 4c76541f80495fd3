"""Each line of the gate by itself: nothing there, exactly at its limit, and one below."""

from collections.abc import Sequence

import pytest
from hypothesis import given, strategies as st

from curation.gate import readiness, signals
from curation.gate.signals import Audited, LinkCount
from storage.types import PairSample, Signal

counts = st.integers(0, 400)
ids = st.lists(st.integers(1, 50), unique=True, max_size=6)

NONE, FOUR = PairSample.of(()), PairSample.of((4,))


def _links(linked: Sequence[tuple[int, int]]) -> LinkCount:
    return LinkCount(len(linked), PairSample.of(side for pair in linked for side in pair))


def audited(judged: int, good: int, **other: int) -> Audited:
    return Audited(judged, good, other.get("left", 0), (0.8, 1.0), 0.8, 9, other.get("failed", 0))


PAGES = frozenset(
    {"review", "write", "browse", "scrub", "duplicates", "audit", "eras", "versions", "decide"}
)
"""Addresses of pages that a line may point to."""


@pytest.mark.parametrize(("n", "met"), [(0, False), (199, False), (200, True)])
def test_reviewed(n: int, met: bool) -> None:
    assert signals.reviewed(n).met is met


@pytest.mark.parametrize(("n", "met"), [(0, False), (49, False), (50, True)])
def test_gold(n: int, met: bool) -> None:
    assert signals.gold(n).met is met


@pytest.mark.parametrize(
    ("version", "rows", "met"), [(None, (), False), (1, (), True), (1, (7,), False)]
)
def test_unapproved(version: int | None, rows: Sequence[int], met: bool) -> None:
    line = signals.unapproved(version, PairSample.of(rows))
    assert (line.met, line.pairs.ids) == (met, tuple(rows))


@pytest.mark.parametrize(
    ("found", "approved", "met"),
    [
        (None, 0, False),
        (None, 200, False),
        (audited(0, 0), 0, False),
        (audited(20, 19), 200, True),
        (audited(20, 18), 200, False),
        (audited(20, 20), 201, False),
        (audited(21, 20), 201, True),
        (audited(20, 20, left=1), 200, False),
        (audited(40, 38, failed=1), 200, False),
    ],
)
def test_audit(found: Audited | None, approved: int, met: bool) -> None:
    assert signals.audit(found, approved).met is met


def test_an_audit_that_is_met_still_says_how_little_it_proves() -> None:
    assert "9 more good pairs would prove 95 %" in signals.audit(audited(20, 20), 200).fix
    assert "groups that fail: 1" in signals.audit(audited(40, 38, failed=1), 200).measured


@pytest.mark.parametrize(
    ("test", "total", "met"),
    [
        (0, 0, False),
        (0, 100, False),
        (14, 100, True),
        (139, 1_000, False),
        (21, 100, True),
        (211, 1_000, False),
    ],
)
def test_the_share_of_test_rows(test: int, total: int, met: bool) -> None:
    parts = {"train": total - test, "validation": 0, "test": test}
    assert signals.test_share(1, parts).met is met
    assert not signals.test_share(None, {}).met


@pytest.mark.parametrize("line", [signals.leakage, signals.near_duplicates, signals.contradictions])
@pytest.mark.parametrize(
    ("linked", "due", "met"), [((), 0, True), ((), 1, False), (((1, 2),), 0, False)]
)
def test_links(line: object, linked: Sequence[tuple[int, int]], due: int, met: bool) -> None:
    found: Signal = line(_links(linked), due)  # type: ignore[operator]
    assert found.met is met
    assert found.pairs.ids == tuple(i for pair in linked for i in pair)


@pytest.mark.parametrize(
    ("line", "met"),
    [
        (signals.personal_data(NONE), True),
        (signals.personal_data(FOUR), False),
        (signals.unscanned(NONE, NONE), True),
        (signals.unscanned(FOUR, NONE), False),
        (signals.unscanned(NONE, FOUR), False),
        (signals.system_messages(()), False),
        (signals.system_messages(("a", "a")), True),
        (signals.system_messages(("a", "b")), False),
        (signals.schema(NONE, has_schema=True), True),
        (signals.schema(NONE, has_schema=False), True),
        (signals.schema(FOUR, has_schema=True), False),
        (signals.retired_era(NONE, ""), True),
        (signals.retired_era(FOUR, ""), False),
        (signals.baseline(None), False),
        (signals.baseline((0, 40)), True),
        (signals.plateau(0, 3), False),
        (signals.plateau(2, 3), False),
        (signals.plateau(3, 3), True),
        (signals.facts_change(None, "weekly"), False),
        (signals.facts_change("weekly", "weekly"), False),
        (signals.facts_change("monthly", "weekly"), True),
        (signals.decision_record(()), False),
        (signals.decision_record(("business",)), False),
        (signals.decision_record(("business", "business")), False),
        (signals.decision_record(("technical", "business")), True),
    ],
    ids=lambda one: f"{one.key}-{one.measured}" if isinstance(one, Signal) else str(one),
)
def test_the_other_lines(line: Signal, met: bool) -> None:
    assert line.met is met
    assert line.key in readiness.KEYS


@given(counts, counts, counts, ids, ids)
def test_a_line_says_what_it_measured_what_is_asked_and_what_to_do(
    a: int, b: int, c: int, rows: list[int], others: list[int]
) -> None:
    judged = min(a, b)
    lines = [
        signals.reviewed(a),
        signals.gold(a),
        signals.unapproved(1, PairSample.of(rows)),
        signals.audit(audited(judged, min(judged, c), left=len(rows)), b),
        signals.test_share(2, {"train": a, "validation": b, "test": c}),
        signals.leakage(_links([(one, one + 100) for one in rows]), len(others)),
        signals.unscanned(PairSample.of(rows), PairSample.of(others)),
    ]
    for line in lines:
        assert line.measured
        assert line.required
        assert line.fix
        assert line.page in PAGES


@given(st.integers(1, 400), st.integers(0, 400), st.integers(0, 500))
def test_a_better_audit_never_fails_where_a_worse_one_passes(j: int, good: int, n: int) -> None:
    good = min(good, j)
    if signals.audit(audited(j, good), n).met:
        assert signals.audit(audited(j, min(j, good + 1)), n).met
        assert signals.audit(audited(j, good), max(0, n - 1)).met
