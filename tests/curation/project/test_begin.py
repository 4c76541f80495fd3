"""Beginning a project: what it asks for, and what it refuses."""

import pytest
from sqlalchemy import Engine

from curation.project import begin
from storage.engine import writing
from storage.errors import BadInput, NotAllowed
from storage.types import Project, Role
from tests.support.ui import join

SCHEMA = '{"type": "object", "properties": {"team": {"enum": ["cards", "loans"]}}}'


def begun(engine: Engine, **words: str) -> Project:
    """A project of a lead, with these fields changed."""
    fields = {"name": "Desk", "task": "Answer", "system_message": "You answer.", **words}
    lead = join(engine, "lea", Role.LEAD)
    with writing(engine) as session:
        return begin.begin(session, lead, **fields)  # type: ignore[arg-type]


def test_a_schema_and_its_label_are_kept(engine: Engine) -> None:
    project = begun(engine, schema_text=SCHEMA, label_field=" team ")
    assert project.label_field == "team"
    assert project.output_schema is not None
    assert project.output_schema["type"] == "object"


def test_without_a_schema_any_text_may_be_an_output(engine: Engine) -> None:
    assert begun(engine, schema_text="  ").output_schema is None


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ({"schema_text": "{"}, "not valid JSON"),
        ({"schema_text": "[1]"}, "must be a JSON object"),
        ({"schema_text": '{"type": "objekt"}'}, "not valid at"),
        ({"schema_text": '{"pattern": "(a+)+b"}'}, "pattern"),
        ({"schema_text": SCHEMA, "label_field": "mood"}, "no field 'mood'"),
        ({"label_field": "team"}, "no field 'team'"),
        ({"name": " "}, "needs a name"),
        ({"task": ""}, "task description"),
    ],
)
def test_it_refuses_what_rows_could_not_be_held_to(
    engine: Engine, words: dict[str, str], why: str
) -> None:
    with pytest.raises(BadInput, match=why):
        begun(engine, **words)


def test_an_expert_may_not_begin_one(engine: Engine) -> None:
    expert = join(engine, "eva", Role.EXPERT)
    with pytest.raises(NotAllowed), writing(engine) as session:
        begin.begin(session, expert, "Desk", "Answer", "You answer.")
