"""The statistics against published figures, scipy, and brute force."""

import importlib
import itertools
import math

import pytest
from hypothesis import given, settings, strategies as st

from curation import statistics
from storage.errors import BadInput

stats = importlib.import_module("scipy.stats")
counts = st.integers(0, 300).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@settings(deadline=None)
@given(counts, st.sampled_from([0.8, 0.9, 0.95, 0.99]))
def test_intervals_agree_with_scipy(count: tuple[int, int], confidence: float) -> None:
    k, n = count
    if n == 0:
        assert statistics.wilson(k, n) == statistics.clopper_pearson(k, n) == (0.0, 1.0)
        return
    test = stats.binomtest(k, n)
    for ours, method in ((statistics.wilson, "wilson"), (statistics.clopper_pearson, "exact")):
        theirs = test.proportion_ci(confidence, method)
        assert ours(k, n, confidence) == pytest.approx((theirs.low, theirs.high), abs=1e-9)


@settings(deadline=None)
@given(counts)
def test_the_sign_test_agrees_with_scipy(count: tuple[int, int]) -> None:
    k, n = count
    expected = stats.binomtest(k, n).pvalue if n else 1.0
    assert statistics.sign_test(k, n - k) == pytest.approx(expected, abs=1e-12)


def test_sixty_of_a_hundred_is_not_shown() -> None:
    assert round(statistics.sign_test(60, 40), 3) == 0.057
    assert [round(100 * end, 1) for end in statistics.wilson(60, 100)] == [50.2, 69.1]


@pytest.mark.parametrize(
    ("preference", "eighty", "ninety"),
    [(0.6, 210, 274), (0.65, 97, 121), (0.7, 54, 70), (0.75, 35, 42), (0.8, 23, 30)],
)
def test_votes_needed_match_the_published_table(
    preference: float, eighty: int, ninety: int
) -> None:
    assert statistics.needed_decisive(preference) == eighty
    assert statistics.needed_decisive(preference, 0.9) == ninety


@pytest.mark.parametrize(("preference", "target"), [(0.62, 0.8), (0.85, 0.5), (0.99, 0.99)])
def test_no_larger_number_of_votes_falls_short(preference: float, target: float) -> None:
    needed = statistics.needed_decisive(preference, target)
    enough = [statistics.power(n, preference) >= target for n in range(needed - 1, needed + 400)]
    assert enough == [False] + [True] * 400


def test_power_matches_the_rules_and_enumeration() -> None:
    assert round(statistics.power(30, 0.7), 2) == 0.59
    assert round(statistics.power(100, 0.65), 2) == 0.83
    assert statistics.power(5, 0.99) == 0.0
    shown = sum(
        0.7 ** sum(votes) * 0.3 ** (10 - sum(votes))
        for votes in itertools.product((0, 1), repeat=10)
        if sum(votes) > 5 and statistics.sign_test(sum(votes), 10 - sum(votes)) <= 0.05
    )
    assert statistics.power(10, 0.7) == pytest.approx(shown)


def test_an_audit_shows_its_bound_and_what_would_prove_it() -> None:
    assert round(statistics.wilson(19, 20)[0], 2) == 0.76
    assert [statistics.rows_to_prove(defects) for defects in (0, 1, 2)] == [59, 93, 124]


@settings(deadline=None)
@given(st.integers(0, 12), st.sampled_from([0.8, 0.9, 0.95, 0.98]))
def test_rows_to_prove_is_the_first_audit_that_proves_it(defects: int, share: float) -> None:
    n = statistics.rows_to_prove(defects, share)
    assert statistics.proven_share(n - defects, n) >= share - 1e-9
    assert statistics.proven_share(n - 1 - defects, n - 1) < share


def test_agreement_beyond_chance_matches_a_worked_example() -> None:
    # Two raters, 125 items, 118 + 2 agreements: kappa would be low, one answer dominates.
    table = [("+", "+")] * 118 + [("+", "-")] * 5 + [("-", "-")] * 2
    assert statistics.raw_agreement(table) == pytest.approx(0.96)
    plus = (123 + 118) / 250
    chance = 2 * plus * (1 - plus)
    expected = (0.96 - chance) / (1 - chance)
    assert statistics.gwet_ac1(table, 2) == pytest.approx(expected)


def test_agreement_where_nothing_can_agree() -> None:
    assert statistics.raw_agreement([("left",), ()]) is None
    assert statistics.gwet_ac1([("left",)], 4) is None
    assert statistics.gwet_ac1([("left", "left")], 1) is None
    assert statistics.gwet_ac1([("left", "left"), ("right",)], 4) == 1.0


def test_the_median() -> None:
    assert statistics.median([]) is None
    assert statistics.median([3, 1, 2]) == 2
    assert statistics.median([1.0, 2.0]) == 1.5


def test_nonsense_is_refused() -> None:
    for call in (
        lambda: statistics.wilson(3, 2),
        lambda: statistics.clopper_pearson(-1, 2),
        lambda: statistics.sign_test(-1, 4),
        lambda: statistics.wilson(1, 2, 1.0),
        lambda: statistics.needed_decisive(0.51),
        lambda: statistics.needed_decisive(0.7, math.inf),
        lambda: statistics.rows_to_prove(-1),
    ):
        with pytest.raises(BadInput):
            call()


def test_a_rate_reads_as_a_sentence() -> None:
    assert statistics.rate(57, 64) == "57 of 64 (89 %, 95 % interval 79 to 95 %)"
    assert statistics.rate(0, 0) == "0 of 0"
    assert statistics.percent((0.0136, 0.3331), digits=1) == "1.4 to 33.3 %"
