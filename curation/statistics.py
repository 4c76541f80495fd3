"""The statistics Assay shows: intervals, sign test, sample sizes, audit bounds, agreement.

`count`, `percent` and `rate` say how such figures stand in a sentence.
"""

import statistics
from collections import Counter
from collections.abc import Callable, Sequence
from math import comb, exp, lgamma, log, log1p, sqrt

from storage.errors import BadInput

Interval = tuple[float, float]

_BISECTIONS = 60
_MINIMUM_PREFERENCE = 0.55


def _check_counts(k: int, n: int) -> None:
    if not 0 <= k <= n:
        raise BadInput(f"{k} of {n} is not a count: give 0 <= k <= n.")


def _check_open(name: str, value: float) -> None:
    if not 0 < value < 1:
        raise BadInput(f"{name} is {value}, but must lie between 0 and 1, both excluded.")


def wilson(k: int, n: int, confidence: float = 0.95) -> Interval:
    """Two-sided Wilson score interval of the share k / n; (0, 1) where n is 0 (Wilson, 1927)."""
    _check_counts(k, n)
    _check_open("Confidence", confidence)
    if n == 0:
        return 0.0, 1.0
    z = statistics.NormalDist().inv_cdf((1 + confidence) / 2)
    share, spread = k / n, z * z / n
    centre = share + spread / 2
    half = sqrt(spread * (share * (1 - share) + spread / 4))
    low = 0.0 if k == 0 else (centre - half) / (1 + spread)
    high = 1.0 if k == n else (centre + half) / (1 + spread)
    return low, high


def count(n: int, noun: str, plural: str = "") -> str:
    """A number with its noun, as "1 pair" or "12 pairs"; a plural not made with an s is given."""
    return f"{n} {noun}" if n == 1 else f"{n} {plural or noun + 's'}"


def percent(interval: Interval, digits: int = 0) -> str:
    """An interval of a share, as "79 to 95 %"."""
    low, high = interval
    return f"{low * 100:.{digits}f} to {high * 100:.{digits}f} %"


def rate(k: int, n: int) -> str:
    """A share with its 95 % Wilson interval, as "57 of 64 (89 %, 95 % interval 79 to 95 %)"."""
    if n == 0:
        return "0 of 0"
    return f"{k} of {n} ({k / n * 100:.0f} %, 95 % interval {percent(wilson(k, n))})"


def _log_term(n: int, k: int, share: float) -> float:
    """Logarithm of the binomial probability of k successes in n, 0 < share < 1."""
    return _ways(n, k) + k * log(share) + (n - k) * log1p(-share)


def _chance(n: int, ks: range, share: float) -> float:
    """Probability that a binomial count of n trials falls in `ks`.

    Summed from its largest term outwards, each from the one before, until nothing is added.
    """
    if share in (0.0, 1.0):
        return float((n if share else 0) in ks)
    if not ks:
        return 0.0
    top = min(max(ks[0], int((n + 1) * share)), ks[-1])
    largest, odds = exp(_log_term(n, top, share)), share / (1 - share)
    total = term = largest
    for k in range(top, ks[-1]):
        term *= (n - k) / (k + 1) * odds
        if total + term == total:
            break
        total += term
    term = largest
    for k in range(top, ks[0], -1):
        term *= k / ((n - k + 1) * odds)
        if total + term == total:
            break
        total += term
    return min(1.0, total)


def _crossing(rising: Callable[[float], float], level: float) -> float:
    """The share in [0, 1] where a function that rises with it reaches `level`."""
    low, high = 0.0, 1.0
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        low, high = (middle, high) if rising(middle) < level else (low, middle)
    return (low + high) / 2


def _lower(k: int, n: int, tail: float) -> float:
    """Exact lower bound of a share: at most `tail` chance of k or more successes below it."""
    return 0.0 if k == 0 else _crossing(lambda p: _chance(n, range(k, n + 1), p), tail)


def clopper_pearson(k: int, n: int, confidence: float = 0.95) -> Interval:
    """Two-sided exact interval of the share k / n; (0, 1) where n is 0 (Clopper, Pearson, 1934)."""
    _check_counts(k, n)
    _check_open("Confidence", confidence)
    tail = (1 - confidence) / 2
    return _lower(k, n, tail), 1 - _lower(n - k, n, tail)


def sign_test(wins: int, losses: int) -> float:
    """Two-sided exact p-value of even odds; 1 without votes. Ties are left out before the call."""
    n, fewer = wins + losses, min(wins, losses)
    _check_counts(fewer, n)
    tail = sum(comb(n, k) for k in range(fewer + 1))
    return min(1.0, 2 * tail / (1 << n))


def _critical(n: int, alpha: float) -> int:
    """The most losses with which n votes are still significant; -1 where none is."""
    tail, term, k = 0, 1, -1
    while (tail + term) / (1 << n) <= alpha / 2:
        k += 1
        tail += term
        term = term * (n - k) // (k + 1)
    return k


def power(n: int, preference: float, alpha: float = 0.05) -> float:
    """Chance that n decisive votes show a true preference (exact two-sided sign test)."""
    _check_open("Preference", preference)
    limit = _critical(n, alpha)
    return _chance(n, range(limit + 1), 1 - preference)


def needed_decisive(preference: float, target: float = 0.8, alpha: float = 0.05) -> int:
    """Decisive votes (no ties) that show a true preference with at least `target` power.

    Exact power rises in a sawtooth: this is the smallest n after which it never falls short again.

    Raises:
        BadInput: the preference is under 55 % (more votes than people cast) or not under 100 %.
    """
    if not _MINIMUM_PREFERENCE <= preference < 1:
        raise BadInput(f"A preference of {preference} cannot be planned for: give 0.55 to 0.99.")
    _check_open("Power", target)
    normal = statistics.NormalDist()
    z = normal.inv_cdf(1 - alpha / 2) + normal.inv_cdf(max(target, 0.5))
    n = round(1.3 * (z / (2 * preference - 1)) ** 2) + 20
    while n > 1 and power(n - 1, preference, alpha) >= target:
        n -= 1
    return n


def proven_share(good: int, n: int, confidence: float = 0.95) -> float:
    """The share of good rows an audit proves: the exact one-sided lower bound; 0 without rows."""
    _check_counts(good, n)
    _check_open("Confidence", confidence)
    return _lower(good, n, 1 - confidence)


def proven_of(good: int, n: int, population: int, confidence: float = 0.95) -> float:
    """As `proven_share`, of this very population (hypergeometric, with its finite size); 0 of none.

    It says nothing of rows that come later from the same hands; `proven_share` does, and is never
    the greater.
    """
    _check_counts(good, n)
    _check_counts(n, population)
    _check_open("Confidence", confidence)
    low, high = good, population - (n - good)
    while low < high:
        middle = (low + high) // 2
        if _drawn(good, n, middle, population) > 1 - confidence:
            high = middle
        else:
            low = middle + 1
    return low / population if n else 0.0


def _drawn(good: int, n: int, goods: int, population: int) -> float:
    """Chance of at least so many good rows among n drawn of a population with `goods` good ones."""
    highest, lowest = min(n, goods), max(good, n - (population - goods))
    total = _ways(population, n)
    return min(
        1.0,
        sum(
            exp(_ways(goods, k) + _ways(population - goods, n - k) - total)
            for k in range(lowest, highest + 1)
        ),
    )


def _ways(n: int, k: int) -> float:
    """Logarithm of the number of ways to draw k of n."""
    return lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1)


def at_least(k: int, n: int, share: float) -> float:
    """Chance of k or more of n, each with this share (exact binomial)."""
    _check_counts(k, n)
    _check_open("Share", share)
    return _chance(n, range(k, n + 1), share)


def rows_to_prove(defects: int, share: float = 0.95, confidence: float = 0.95) -> int:
    """Rows an audit with so many defects needs to prove `share` good (exact, one-sided)."""
    if defects < 0:
        raise BadInput(f"{defects} is no count of defects: give 0 or more.")
    _check_open("Share", share)
    _check_open("Confidence", confidence)
    low, high = defects, defects + 1
    while _chance(high, range(defects + 1), 1 - share) > 1 - confidence:
        low, high = high, high * 2
    while high - low > 1:
        middle = (low + high) // 2
        enough = _chance(middle, range(defects + 1), 1 - share) <= 1 - confidence
        low, high = (low, middle) if enough else (middle, high)
    return high


def _agreeing(ratings: Sequence[str]) -> float:
    """Share of the ordered pairs of one item's ratings that agree."""
    n = len(ratings)
    return sum(count * (count - 1) for count in Counter(ratings).values()) / (n * (n - 1))


def raw_agreement(items: Sequence[Sequence[str]]) -> float | None:
    """Mean share of agreeing pairs of ratings over items rated twice or more; None without any."""
    shares = [_agreeing(ratings) for ratings in items if len(ratings) > 1]
    return statistics.fmean(shares) if shares else None


def gwet_ac1(items: Sequence[Sequence[str]], categories: int) -> float | None:
    """Agreement beyond chance (Gwet, 2008), any number of raters; steady where one answer rules.

    `categories` counts the answers a rater could give. Items rated once count for how common an
    answer is.
    None where no item was rated twice or fewer than two answers were possible.
    """
    raw = raw_agreement(items)
    if raw is None or categories < 2:
        return None
    rated = [ratings for ratings in items if ratings]
    answers = {answer for ratings in rated for answer in ratings}
    common = [
        statistics.fmean(ratings.count(a) / len(ratings) for ratings in rated) for a in answers
    ]
    chance = sum(share * (1 - share) for share in common) / (categories - 1)
    return (raw - chance) / (1 - chance)


def median(values: Sequence[float]) -> float | None:
    """The median, or None of nothing."""
    return statistics.median(values) if values else None
