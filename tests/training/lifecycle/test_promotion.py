"""The lines of the promotion gate: counts in, met or not, with words that say why."""

import pytest

from storage.types import Signal
from training.lifecycle import promotion
from training.lifecycle.promotion import CheckCounts, Judged


def _checked(base: int, lost: int, gained: int, **other: int | bool) -> CheckCounts:
    counts: dict[str, int | bool] = {"prompts": 30, "passed": 30, "base_passed": 30, **other}
    tuned = base - lost + gained
    return CheckCounts(48, base, tuned, lost, gained, **counts)  # type: ignore[arg-type]


@pytest.mark.parametrize(("compared", "met"), [(0, False), (2, False), (3, True), (7, True)])
def test_three_runs_are_compared(compared: int, met: bool) -> None:
    assert promotion.runs(compared).met is met


@pytest.mark.parametrize(
    ("base", "lost", "gained", "met"),
    [
        (30, 0, 0, True),
        (30, 4, 0, True),
        (30, 5, 0, False),  # over a tenth of 48
        (30, 7, 3, True),
        (30, 9, 3, False),
        (10, 0, 0, True),
        (9, 0, 0, False),  # nothing can be said
        (9, 0, 9, False),
    ],
)
def test_general_tasks(base: int, lost: int, gained: int, met: bool) -> None:
    assert promotion.regression(_checked(base, lost, gained)).met is met


def test_a_significant_loss_counts_however_many_tasks_there_are() -> None:
    many = CheckCounts(
        n=1000, base=500, tuned=450, lost=50, gained=0, prompts=1, passed=1, base_passed=1
    )
    assert many.lost < promotion.TOLERANCE * many.n
    assert not promotion.regression(many).met


def test_a_weak_base_is_said_to_show_nothing() -> None:
    line = promotion.regression(_checked(4, 0, 0))
    assert "too few right by the base to tell" in line.measured
    assert "4 of 48 (8 %, 95 % interval 3 to 20 %)" in line.measured
    assert "Use a larger base, or waive the line" in line.fix


@pytest.mark.parametrize(
    ("valid", "n", "schema", "met"),
    [
        (None, 0, True, False),
        (40, 40, True, True),
        (39, 40, True, False),
        (None, 0, False, True),
    ],
)
def test_the_form_of_answers(valid: int | None, n: int, schema: bool, met: bool) -> None:
    assert promotion.format_(valid, n, has_schema=schema).met is met


def test_red_team_prompts() -> None:
    assert promotion.redteam(_checked(30, 0, 0)).met
    one = promotion.redteam(_checked(30, 0, 0, passed=29))
    assert not one.met
    assert one.measured.startswith("29 of 30 (97 %, 95 % interval 83 to 99 %) passed")
    assert not promotion.redteam(_checked(30, 0, 0, prompts=0, passed=0)).met
    assert "changed since" in promotion.redteam(_checked(30, 0, 0, outdated=True)).measured


@pytest.mark.parametrize(
    ("found", "met"),
    [
        (None, False),
        (Judged(open=True), False),
        (Judged(False, "better", 20, 20, 15, 3), True),
        (Judged(False, "better", 20, 19, 15, 3), False),
        (Judged(False, "no difference shown", 20, 20, 10, 9), False),
        (Judged(False, "worse", 20, 20, 3, 15), False),
    ],
)
def test_the_blind_trial(found: Judged | None, met: bool) -> None:
    assert promotion.trial(found).met is met


def test_an_open_trial_tells_nothing() -> None:
    assert promotion.trial(Judged(open=True)).measured.startswith("open")
    for line in (
        promotion.regression(_checked(30, 20, 0)),
        promotion.redteam(_checked(30, 0, 0, passed=3)),
        promotion.format_(11, 40, has_schema=True),
    ):
        kept = promotion.withheld(line)
        assert not kept.met
        assert not any(c.isdigit() for c in kept.measured + kept.fix)


@pytest.mark.parametrize(
    "line",
    [
        promotion.files("its files are gone"),
        promotion.base("its base model is gone"),
        promotion.eras([4, 9], 30, ""),
    ],
)
def test_what_is_wrong_with_the_adapter_itself(line: Signal) -> None:
    assert not line.met
    assert line.key in promotion.NEVER_WAIVED


def test_the_keys_name_every_line_once() -> None:
    assert len(set(promotion.KEYS)) == len(promotion.KEYS) == 8
