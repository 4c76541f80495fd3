"""Where answers differ: by field, the label first, and what means the same is the same."""

from curation.overlap import differences
from curation.overlap.differences import FieldDifference

SCHEMA = {"properties": {"tags": {"uniqueItems": True}, "steps": {}}}


def test_each_field_that_differs_is_named_with_what_each_row_says() -> None:
    answers = [
        '{"urgency": "low", "team": "cards", "who": {"name": "A", "age": 3}, "list": [1, 2]}',
        '{"team": "fraud", "urgency": "low", "who": {"name": "B", "age": 3.0}, "list": [1]}',
    ]
    assert differences.between(answers, None, "team") == [
        FieldDifference("team", ("cards", "fraud"), True),
        FieldDifference("who.name", ("A", "B"), False),
        FieldDifference("list[1]", ("2", None), False),
    ]


def test_only_the_order_that_the_schema_leaves_open_does_not_count() -> None:
    answers = [
        '{"tags": ["a", "b"], "steps": ["a", "b"]}',
        '{"tags": ["b", "a"], "steps": ["b", "a"]}',
    ]
    found = differences.between(answers, SCHEMA)
    assert found is not None
    assert [one.field for one in found] == ["steps[0]", "steps[1]"]


def test_answers_that_are_no_objects_have_no_fields() -> None:
    assert differences.between(["{}", "cards"]) is None
    assert differences.between(["[1]", "[2]"]) is None
    assert differences.between(["{}", "{}"]) == []
