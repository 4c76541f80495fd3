"""Begin a project: its output schema is checked before the first pair is held to it."""

from typing import Any

from sqlalchemy.orm import Session

from curation import schema_check, strict_json
from storage import projects
from storage.access import allowed
from storage.blank import trim
from storage.errors import BadInput
from storage.types import Project, Role, User


@allowed(Role.LEAD, Role.ADMIN)
def begin(
    session: Session,
    actor: User,
    name: str,
    task: str,
    system_message: str,
    *,
    schema_text: str = "",
    label_field: str = "",
    guidelines: str = "",
    two_people: bool = True,
) -> Project:
    """Begin a project. `schema_text` is a JSON schema; empty where any text may be an output.

    Raises:
        BadInput: a field is empty or taken, the schema is no schema that can be checked safely, or
            it has no field called `label_field`.
    """
    schema = _schema(schema_text)
    label = trim(label_field) or None
    if label is not None and label not in (schema or {}).get("properties", {}):
        raise BadInput(
            f"The schema has no field {label[:40]!r}. Name one of its fields as the label, or none."
        )
    return projects.create(
        session,
        actor,
        name,
        task,
        system_message,
        guidelines=guidelines,
        output_schema=schema,
        label_field=label,
        two_people=two_people,
    )


def _schema(text: str) -> dict[str, Any] | None:
    if not trim(text):
        return None
    try:
        schema = strict_json.loads(text)
    except BadInput as error:
        raise BadInput(f"The output schema is not valid JSON. {error}") from error
    schema_check.check_schema(schema)
    if not isinstance(schema, dict):  # said to the type checker; check_schema has refused it
        raise BadInput("The output schema must be a JSON object.")
    return schema
