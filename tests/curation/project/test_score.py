"""Scoring an answer against the expected one."""

import pytest

from curation.project.score import Score, rates, score, tally
from tests.support.tiny_model import SCHEMA

WANTED = '{"team": "cards", "urgency": "low"}'


@pytest.mark.parametrize(
    ("text", "valid", "correct", "label"),
    [
        (WANTED, True, True, True),
        (' {"urgency":"low","team":"cards"}\n', True, True, True),
        ('{"team": "cards", "urgency": "high"}', True, False, True),
        ('{"team": "loans", "urgency": "low"}', True, False, False),
        ('{"team": "cards"}', False, False, True),
        ('{"team": "cards", "urgency": "low", "x": 1}', False, False, True),
        ('{"team": "cards", "team": "cards", "urgency": "low"}', False, False, False),
        ('{"team": "cards", "urgency": NaN}', False, False, False),
        (f"Here you are: {WANTED}", False, False, False),
        ("[" * 100_000, False, False, False),
        ("", False, False, False),
        ("null", False, False, False),
    ],
)
def test_answers_with_a_schema(text: str, valid: bool, correct: bool, label: bool) -> None:
    got = score(text, WANTED, SCHEMA, "team")
    assert (got.valid, got.correct, got.label) == (valid, correct, label)


def test_answers_without_a_schema_compare_words() -> None:
    assert score("Call  back\n", "Call back", None, None) == Score(True, True, None, {})
    assert score(" ", "Call back", None, None) == Score(False, False, None, {})


def test_fields_are_judged_one_by_one() -> None:
    got = score('{"team": "cards", "urgency": "high"}', WANTED, SCHEMA, None)
    assert got.field_matches == {"team": True, "urgency": False}
    assert got.label is None


def test_the_tally_gives_shares_counts_and_intervals() -> None:
    found = [score(WANTED, WANTED, SCHEMA, "team")] * 3 + [score("no", WANTED, SCHEMA, "team")]
    figures = tally(found, "tuned")
    assert figures["tuned_accuracy"] == 0.75
    assert figures["tuned_valid_count"] == 3
    low, high = figures["tuned_accuracy_interval"]
    assert (round(low, 3), round(high, 3)) == (0.301, 0.954)
    assert figures["tuned_field_urgency"] == 0.75


def test_rates_of_a_comparison_are_asked_by_metric_and_older_ones_still_open() -> None:
    old = {
        "n": 8,
        "base": {"correct": 2, "valid": 5},
        "made": {"base_label_accuracy_count": 3},
    }
    assert {metric.key: (rate.hits, rate.n) for metric, rate in rates(old, "base").items()} == {
        "correct": (2, 8),
        "valid": (5, 8),
        "label": (3, 8),
    }
    assert rates(old, "tuned") == {}
    new = {**old, "made": {"base_label_accuracy_count": 3, "base_label_accuracy_n": 6}}
    assert {metric.key: rate.n for metric, rate in rates(new, "base").items()}["label"] == 6
