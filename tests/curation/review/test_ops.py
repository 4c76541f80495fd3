"""What comes from a browser is read strictly: junk is ignored, an edit is never half taken."""

import uuid
from typing import Any

import pytest
from hypothesis import given, strategies as some

from curation.review import ops
from storage.types import Action, Choice

OP = str(uuid.UUID(int=1, version=4))
TARGET = str(uuid.UUID(int=2, version=4))
GOOD: dict[str, Any] = {"op": OP, "row": 3, "version": 1, "fence": 2, "action": "approve", "at": 5}
JUNK = some.recursive(
    some.none() | some.booleans() | some.integers() | some.floats() | some.text(max_size=20),
    lambda inner: some.lists(inner, max_size=4) | some.dictionaries(some.text(), inner, max_size=4),
    max_leaves=12,
)


def test_a_decision_is_read() -> None:
    read = ops.ops({"ops": [{**GOOD, "row": 3.0, "response": "new"}], "have": [1], "n": 4})
    assert read == [ops.Op(OP, 3, 1, 2, Action.APPROVE, None, "new", None, None)]


@pytest.mark.parametrize(
    "wrong",
    [
        {"op": "1"},
        {"op": OP.upper().replace("0", "A")},
        {"row": -1},
        {"row": True},
        {"row": 1.5},
        {"row": float("nan")},
        {"row": float("inf")},
        {"row": 2**53},
        {"fence": "2"},
        {"action": "scrub"},
        {"action": "undo"},
        {"action": ["approve"]},
        {"target": TARGET},
        {"response": "x" * (ops.LONGEST_TEXT + 1)},
        {"prompt": 7},
        {"response": "\ud800"},
    ],
)
def test_what_is_not_well_formed_is_left_out(wrong: dict[str, Any]) -> None:
    assert ops.ops({"ops": [{**GOOD, **wrong}]}) == []


def test_an_undo_names_what_it_takes_back() -> None:
    read = ops.ops({"ops": [{**GOOD, "action": "undo", "target": TARGET}]})
    assert [(op.action, op.target) for op in read] == [(Action.UNDO, TARGET)]


def test_no_more_than_two_hundred_are_read() -> None:
    assert len(ops.ops({"ops": [GOOD] * 300})) == ops.LIMIT


def test_votes_are_read() -> None:
    votes = [
        {"op": OP, "item": "a1", "choice": "both_bad"},
        {"op": TARGET, "item": "a1", "choice": "withdrawn", "target": OP},
        {"op": OP, "item": "a1", "choice": "withdrawn"},
        {"op": OP, "item": "a1", "choice": "left", "target": TARGET},
        {"op": OP, "item": "", "choice": "left"},
    ]
    assert ops.ballot_ops({"ops": votes}) == [
        ops.BallotOp(OP, "a1", Choice.BOTH_BAD, None),
        ops.BallotOp(TARGET, "a1", Choice.WITHDRAWN, OP),
    ]


def test_words_and_submissions_are_read() -> None:
    words = {"prompt": "p", "response": "r", "topic": "", "at": 7}
    assert ops.scratch(words) == ops.Scratch("p", "r", None, 7)
    assert ops.scratch({**words, "at": None}) is None
    asked = {"ops": [{**words, "op": OP}, {**words, "op": "x"}]}
    assert ops.submissions(asked) == [ops.Submission(OP, "p", "r", None)]


def test_rows_held_and_wanted_are_read() -> None:
    outbox = {"have": [1, "2", 3.0, None], "want": [9]}
    assert ops.loaded(outbox) == [1, 3]
    assert ops.wanted(outbox) == [9]
    assert ops.loaded_items({"have": ["a", 1, ""]}) == ["a"]


@given(JUNK)
def test_junk_is_ignored(value: object) -> None:
    for read in (ops.ops, ops.ballot_ops, ops.submissions):
        assert read({"ops": [value]}) == []
        assert read({"ops": value}) == []
    for rows in (ops.loaded, ops.wanted, ops.loaded_items):
        assert rows(value) == []
    assert ops.scratch(value) is None
