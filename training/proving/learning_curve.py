"""What more rows are worth: a curve through the accuracy of runs on nested parts of a version.

The odds of a right answer are taken to grow with a power of the number of train rows, a logistic
regression on log(rows). Where errors are rare that is the power law of the error that learning
curves follow in practice (Hestness et al. 2017). The interval comes from drawing the held-out rows
anew, all runs together, so it holds for other messages of the same kind. It does not hold the luck
of a single run, another method, or rows of another kind than those there are; and it says nothing
far beyond the largest run.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from storage.errors import RuleBroken

LEAST = 3
"""Sizes that a curve needs: two leave no way to see whether it fits."""
_DRAWS = 1000
_STEPS = 12
_LARGEST_STEP = 4.0

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Measured:
    """A run on part of the train rows: which held-out rows it answered right."""

    rows: int
    right: tuple[bool, ...]
    """One for each held-out row, in the same order for every run."""

    @property
    def hits(self) -> int:
        """How many it answered right."""
        return sum(self.right)


@dataclass(frozen=True, slots=True)
class Worth:
    """What so many rows more are expected to add, as shares of right answers."""

    rows: int
    now: float
    """Expected share with all the rows there are, by the curve."""
    gain: float
    low: float
    high: float
    """95 % interval of the gain."""


@dataclass(frozen=True, slots=True)
class Curve:
    """The fitted curve: log-odds of a right answer = intercept + slope * log(rows)."""

    intercept: float
    slope: float
    draws: Floats
    """Intercept and slope of the curves through rows drawn anew, shape (draws, 2)."""
    largest: int
    """Train rows of the largest run."""

    def share(self, rows: float) -> float:
        """Expected share of right answers after training on so many rows."""
        return float(_expit(self.intercept + self.slope * np.log(rows)))

    def band(self, rows: float) -> tuple[float, float]:
        """95 % interval of `share`."""
        drawn = _expit(self.draws[:, 0] + self.draws[:, 1] * np.log(rows))
        low, high = np.quantile(drawn, (0.025, 0.975))
        return float(low), float(high)

    def worth(self, more: int = 100) -> Worth:
        """What `more` rows of the same kind are expected to add to those of the largest run.

        Raises:
            RuleBroken: they are more than there are now; the curve was not seen that far.
        """
        if not 0 < more <= self.largest:
            raise RuleBroken(
                f"The curve reaches to {2 * self.largest} pairs, twice the largest run. Ask for "
                f"1 to {self.largest} more."
            )
        log_now, log_then = np.log(self.largest), np.log(self.largest + more)
        gains = _expit(self.draws[:, 0] + self.draws[:, 1] * log_then) - _expit(
            self.draws[:, 0] + self.draws[:, 1] * log_now
        )
        low, high = np.quantile(gains, (0.025, 0.975))
        now = self.share(self.largest)
        return Worth(more, now, self.share(self.largest + more) - now, float(low), float(high))


def fit(points: Sequence[Measured], seed: int = 0) -> Curve:
    """The curve through runs of different sizes; the same points and seed give the same curve.

    Half a right and half a wrong answer are added to each run, which keeps the curve finite where
    all or none are right.

    Raises:
        RuleBroken: there are fewer than three sizes, or the runs answered different rows.
    """
    if len({point.rows for point in points}) < LEAST:
        raise RuleBroken(f"A learning curve needs runs of at least {LEAST} sizes.")
    if len({len(point.right) for point in points}) != 1 or not points[0].right:
        raise RuleBroken("The runs answered different held-out pairs. Compare them on one version.")
    right = np.array([point.right for point in points], dtype=float)
    sizes = np.array([point.rows for point in points], dtype=float)
    held_out = right.shape[1]
    drawn = np.random.default_rng(seed).integers(0, held_out, (_DRAWS, held_out))
    hits = np.concatenate([right.sum(1)[None], right[:, drawn].sum(2).T])
    coefficients = _logistic(np.log(sizes), hits, held_out)
    return Curve(
        float(coefficients[0, 0]), float(coefficients[0, 1]), coefficients[1:], int(sizes.max())
    )


def _logistic(x: Floats, hits: Floats, held_out: int) -> Floats:
    """Intercepts and slopes of logistic regressions on x, one for each row of hits (fits, sizes).

    Newton's method on all at once; x is centred, or intercept and slope would nearly be collinear.
    """
    centre = x.mean()
    design = np.stack([np.ones_like(x), x - centre])
    shares, weight = (hits + 0.5) / (held_out + 1), held_out + 1
    coefficients = np.zeros((len(hits), 2))
    for _ in range(_STEPS):
        expected = _expit(coefficients @ design)
        slopes = weight * (shares - expected) @ design.T
        spread = weight * expected * (1 - expected) + 1e-9
        curvature = np.einsum("fs,is,js->fij", spread, design, design)
        step = np.linalg.solve(curvature, slopes[..., None])[..., 0]
        coefficients += np.clip(step, -_LARGEST_STEP, _LARGEST_STEP)
    coefficients[:, 0] -= coefficients[:, 1] * centre
    return coefficients


def _expit(values: Floats) -> Floats:
    """The logistic function."""
    return 1 / (1 + np.exp(-np.clip(values, -700, 700)))
