"""The decision record: why to tune at all, signed by a business owner and a technical owner."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from storage import events
from storage.access import allowed
from storage.blank import trim
from storage.errors import BadInput, RuleBroken
from storage.tables import RecordRow, SignatureRow
from storage.types import Role, User

QUESTIONS = {
    "need": "What must the model do that it does not do now?",
    "truth": "What must be true in its answers, and how does one check it?",
    "prompting": "Which prompts were tried, and where did they stop getting better?",
    "retrieval": "Would looking facts up answer it? Why, or why not?",
    "failure_cost": "What does a wrong answer cost, and who pays?",
    "kpi": "One figure with a target: how will success be measured?",
}
CHANGE = ("never or yearly", "monthly", "weekly or daily")
"""How often the facts in the answers change; the last asks for retrieval instead of tuning."""
OWNERS = ("business", "technical")
"""Who signs a record, each by another person."""
PLATEAU = 3
"""Prompt iterations with the same class of error that show that prompting has stopped helping."""


@dataclass(frozen=True, slots=True)
class DecisionRecord:
    """The newest decision record of a project."""

    id: int
    answers: Mapping[str, str]
    facts_change: str
    iterations: int
    """Prompt iterations tried that ended in the same class of error."""
    signatures: Mapping[str, int]
    """Who signed as "business" and as "technical" owner."""
    signed_at: Mapping[str, datetime]
    written_by: int
    created_at: datetime


def latest(session: Session, project_id: int) -> DecisionRecord | None:
    """The newest record; None where nobody has written one."""
    row = session.scalar(
        select(RecordRow)
        .where(RecordRow.project_id == project_id)
        .order_by(RecordRow.id.desc())
        .limit(1)
    )
    if row is None:
        return None
    query = select(SignatureRow).where(SignatureRow.record_id == row.id)
    signatures = session.scalars(query).all()
    answers = dict(row.answers)
    return DecisionRecord(
        id=row.id,
        facts_change=answers.pop("facts_change"),
        iterations=answers.pop("iterations"),
        answers=answers,
        signatures={signature.part: signature.user_id for signature in signatures},
        signed_at={signature.part: signature.created_at for signature in signatures},
        written_by=row.written_by,
        created_at=row.created_at,
    )


@allowed(Role.LEAD)
def write(
    session: Session,
    actor: User,
    project_id: int,
    answers: Mapping[str, str],
    facts_change: str,
    iterations: int,
) -> DecisionRecord:
    """Write a new record. It replaces the one before and needs both signatures anew.

    Raises:
        BadInput: a question is unanswered.
    """
    for key, question in QUESTIONS.items():
        if not trim(answers.get(key, "")):
            raise BadInput(f"Please answer: {question}")
    if facts_change not in CHANGE or iterations < 0:
        raise BadInput("Say how often facts change, and how many prompt iterations were tried.")
    row = RecordRow(
        project_id=project_id,
        answers={
            **{key: trim(answers[key]) for key in QUESTIONS},
            "facts_change": facts_change,
            "iterations": iterations,
        },
        written_by=actor.id,
    )
    session.add(row)
    session.flush()
    events.record(session, actor, "write", "record", row.id, project_id=project_id)
    record = latest(session, project_id)
    assert record is not None  # noqa: S101 - it was written above
    return record


@allowed(Role.LEAD)
def sign(session: Session, actor: User, project_id: int, part: str) -> None:
    """Sign the newest record as "business" or "technical" owner; nobody signs as both.

    Raises:
        RuleBroken: there is no record, the part is signed, or the person signed the other part.
    """
    record = latest(session, project_id)
    if record is None:
        raise RuleBroken("There is no decision record to sign. Write it first.")
    if part not in OWNERS:
        raise BadInput("A record is signed by the business owner and by the technical owner.")
    if part in record.signatures:
        raise RuleBroken(f"The {part} owner has already signed.")
    if actor.id in record.signatures.values():
        raise RuleBroken("You signed as the other owner. Ask another lead to sign this part.")
    session.add(SignatureRow(record_id=record.id, part=part, user_id=actor.id))
    session.flush()
    events.record(session, actor, "sign", "record", record.id, project_id=project_id, part=part)
