"""The draw of an audit and what it proves: in proportion, fair, and right as often as it says."""

import random
from collections import Counter
from functools import cache

import pytest
from hypothesis import given, strategies as st

from curation import statistics
from curation.gate import sampling
from curation.gate.sampling import Stratum

Sizes = dict[Stratum, list[int]]


def strata(*sizes: int) -> Sizes:
    """Strata of these sizes with consecutive ids."""
    found, first = {}, 0
    for author, size in enumerate(sizes):
        found[Stratum("import", author, None)] = list(range(first, first + size))
        first += size
    return found


@given(st.lists(st.integers(1, 60), min_size=1, max_size=8), st.integers(0, 99), st.data())
def test_every_stratum_gives_its_proportion_and_none_is_left_out(
    sizes: list[int], seed: int, data: st.DataObject
) -> None:
    groups, total = strata(*sizes), sum(sizes)
    count = data.draw(st.integers(1, total))
    drawn, beside = sampling.draw(groups, count, random.Random(seed))
    assert len(set(drawn)) == count
    for ids in groups.values():
        given_up = len({*drawn} & {*ids})
        assert abs(given_up - count * len(ids) / total) < 1 + 1e-9
        assert given_up + len({*beside} & {*ids}) >= 1
    assert sampling.draw(groups, count, random.Random(seed)) == (drawn, beside)


def test_every_row_has_the_same_chance() -> None:
    groups, often = strata(37, 3, 10), Counter[int]()
    for seed in range(4_000):
        often.update(sampling.draw(groups, 5, random.Random(seed))[0])
    assert all(abs(often[row] / 4_000 - 0.1) < 0.025 for row in range(50))


@pytest.mark.parametrize(
    ("bad", "judged", "fails"),
    [
        (0, 0, False),
        (1, 1, False),
        (2, 2, True),
        (2, 7, True),
        (2, 8, False),
        (3, 16, True),
        (3, 17, False),
        (20, 400, False),
    ],
)
def test_a_stratum_fails_where_one_in_twenty_cannot_explain_it(
    bad: int, judged: int, fails: bool
) -> None:
    assert sampling.fails(bad, judged) is fails


def test_a_stratum_at_the_limit_fails_one_time_in_twenty_at_most() -> None:
    dice = random.Random(2)
    for judged in (5, 10, 20, 40, 100):
        failed = sum(
            sampling.fails(sum(dice.random() < sampling.BAD for _ in range(judged)), judged)
            for _ in range(2_000)
        )
        assert failed / 2_000 <= 0.05 + 0.012


@cache
def interval(good: int, n: int) -> tuple[float, float]:
    return statistics.clopper_pearson(good, n)


@cache
def proven(good: int, n: int, population: int) -> tuple[float, float]:
    return statistics.proven_share(good, n), statistics.proven_of(good, n, population)


@pytest.mark.parametrize("count", [20, 59])
@pytest.mark.parametrize(
    "bad", [(0, 0, 0), (10, 0, 0), (4, 4, 2), (0, 0, 20), (30, 20, 0), (1, 0, 0)], ids=str
)
def test_stated_coverage_holds_over_whole_audits(bad: tuple[int, int, int], count: int) -> None:
    """200 rows in three strata with so many bad ones each, 1,200 audits: the exact bounds hold."""
    groups, runs = strata(140, 40, 20), 1_200
    spoilt = {row for ids, n in zip(groups.values(), bad, strict=True) for row in ids[:n]}
    truth = 1 - len(spoilt) / 200
    inside = under = under_here = 0
    for seed in range(runs):
        drawn, _ = sampling.draw(groups, count, random.Random(seed))
        good = sum(row not in spoilt for row in drawn)
        low, high = interval(good, count)
        inside += low <= truth <= high
        sure, sure_here = proven(good, count, 200)
        under += sure <= truth + 1e-12
        under_here += sure_here <= truth + 1e-12
    # With true coverage of 95 %, 1,200 audits would show less than 93.5 % once in a hundred times.
    assert inside / runs >= 0.95 - 0.015
    assert under / runs >= 0.95 - 0.015
    assert under_here / runs >= 0.95 - 0.015


@given(st.integers(0, 30), st.integers(0, 30), st.integers(0, 60))
def test_the_finite_bound_is_never_under_the_other_and_certain_at_the_end(
    good: int, bad: int, rest: int
) -> None:
    n = good + bad
    here = statistics.proven_of(good, n, n + rest)
    assert here >= statistics.proven_share(good, n) - 1e-9 or rest == 0
    assert here <= (good + rest) / max(1, n + rest)
    if n and not rest:
        assert here == good / n


@pytest.mark.parametrize(("defects", "rows"), [(0, 59), (1, 93), (2, 124)])
def test_what_it_takes_to_prove_95_percent(defects: int, rows: int) -> None:
    assert statistics.rows_to_prove(defects) == rows
    assert statistics.proven_share(rows - defects, rows) >= 0.95
    assert statistics.proven_share(rows - 1 - defects, rows - 1) < 0.95
