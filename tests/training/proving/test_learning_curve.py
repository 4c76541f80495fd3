"""What more rows are worth: the curve finds what it was made of, and its interval holds."""

import numpy as np
import pytest

from storage.errors import RuleBroken
from training.proving.learning_curve import Measured, fit

SIZES = (50, 100, 150, 200)


def _share(rows: float, intercept: float = -4.0, slope: float = 1.0) -> float:
    return 1 / (1 + float(np.exp(-(intercept + slope * np.log(rows)))))


def _runs(held: int, seed: int, intercept: float = -4.0, slope: float = 1.0) -> list[Measured]:
    """Runs whose rows are as hard for one as for the next, as real ones are."""
    hard = np.random.default_rng(seed).random(held)
    return [
        Measured(rows, tuple(bool(one < _share(rows, intercept, slope)) for one in hard))
        for rows in SIZES
    ]


def test_the_curve_finds_what_it_was_made_of() -> None:
    curve = fit(_runs(20_000, seed=1))
    assert curve.share(200) == pytest.approx(_share(200), abs=0.01)
    worth = curve.worth(100)
    assert worth.gain == pytest.approx(_share(300) - _share(200), abs=0.01)
    assert worth.low < worth.gain < worth.high
    assert curve.band(100)[0] < curve.share(100) < curve.band(100)[1]


def test_the_interval_holds_the_true_gain_as_often_as_it_says() -> None:
    true = _share(300) - _share(200)
    held = [fit(_runs(120, seed)).worth(100) for seed in range(150)]
    covered = sum(one.low <= true <= one.high for one in held)
    assert covered >= 135, covered  # 90 % of 150, where 95 % is said


def test_runs_that_are_all_right_or_learn_nothing_give_a_curve_too() -> None:
    for right in (True, False):
        curve = fit([Measured(rows, (right,) * 30) for rows in SIZES])
        assert curve.worth(100).gain == pytest.approx(0, abs=0.01)


def test_the_same_runs_give_the_same_curve() -> None:
    assert fit(_runs(60, 3)).worth(50) == fit(_runs(60, 3)).worth(50)


def test_what_cannot_be_fitted_is_refused_in_words() -> None:
    runs = _runs(30, 0)
    with pytest.raises(RuleBroken, match="at least 3 sizes"):
        fit(runs[:2])
    with pytest.raises(RuleBroken, match="different held-out pairs"):
        fit([*runs[:3], Measured(400, (True,))])
    with pytest.raises(RuleBroken, match="1 to 200 more"):
        fit(runs).worth(500)
