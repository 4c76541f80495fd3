"""Short stories on a real database that tests begin with: people, a desk, waiting rows, presses."""

import json
import uuid
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Engine

from curation.review import claims, decisions
from curation.review.ops import Op, Receipt
from storage import pairs, people, projects
from storage.engine import reading, writing
from storage.types import Action, Card, Origin, Pair, Project, Role, User
from storage.values import value_of

__all__ = ["Card", "Pair"]

TEAMS = ("cards", "payments", "loans", "fraud")
CARDS, PAYMENTS, LOANS, FRAUD = (json.dumps({"team": team}) for team in TEAMS)
SCHEMA: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["team"],
    "properties": {"team": {"enum": list(TEAMS)}},
}
_THINGS = (
    *("card", "account", "transfer", "statement", "branch", "letter", "mortgage", "cheque"),
    *("payee", "pension", "deposit", "refund", "balance", "contract", "signature", "overdraft"),
    *("currency", "invoice", "salary", "insurance", "receipt", "address"),
)


def person(engine: Engine, name: str, *roles: Role) -> User:
    """The person of this name, made where missing; all four roles unless some are given."""
    with writing(engine) as session:
        for user in people.everyone(session):
            if user.name == name:
                return user
        return people.join(session, name, frozenset(roles or Role))


def project(engine: Engine, name: str = "Desk", **changes: Any) -> Project:  # noqa: ANN401 - as `projects.create` takes them
    """A project with a schema and the label field `team`."""
    given: dict[str, Any] = {
        "guidelines": "Route each message to one team.",
        "output_schema": SCHEMA,
        "label_field": "team",
        **changes,
    }
    lead = person(engine, "lena", Role.LEAD)
    with writing(engine) as session:
        return projects.create(
            session, lead, name, "Route messages.", "You route messages. Answer in JSON.", **given
        )


def messages(count: int, start: int = 0) -> list[tuple[str, str]]:
    """So many rows that fit the schema, no two alike enough to be near-duplicates."""
    return [
        (_message(number), json.dumps({"team": TEAMS[number % len(TEAMS)]}))
        for number in range(start, start + count)
    ]


def _message(number: int) -> str:
    n = len(_THINGS)
    things = [_THINGS[(number // n**place + place * 5) % n] for place in range(3)]
    return f"Ticket {number}: my {things[0]} and the {things[1]} {number * 7919} of {things[2]}."


def waiting(
    engine: Engine,
    desk: Project,
    rows: Sequence[tuple[str, str]],
    origin: Origin = Origin.IMPORT,
    author: User | None = None,
    *,
    held_out: bool = False,
) -> list[Pair]:
    """These rows, waiting for review."""
    with writing(engine) as session:
        return [
            value_of(
                Pair,
                pairs.add(
                    session, desk.id, prompt, response, origin, author=author, held_out=held_out
                ),
            )
            for prompt, response in rows
        ]


def card(engine: Engine, reviewer: User, desk: Project, limit: int = 20) -> Card:
    """The first card that this person holds now."""
    with writing(engine) as session:
        return claims.lease(session, reviewer, desk.id, limit=limit)[0]


def op(
    shown: Card,
    action: Action = Action.APPROVE,
    *,
    prompt: str | None = None,
    response: str | None = None,
    reason: str | None = None,
    target: str | None = None,
    op: str | None = None,
) -> Op:
    """What the browser sends for a card."""
    return Op(
        op=op or str(uuid.uuid4()),
        row=shown.pair.id,
        version=shown.pair.version,
        fence=shown.fence,
        action=action,
        prompt=prompt,
        response=response,
        reason=reason,
        target=target,
    )


def decide(engine: Engine, reviewer: User, sent: Op) -> Receipt:
    """One decision in a transaction of its own."""
    with writing(engine) as session:
        return decisions.decide(session, reviewer, sent)


def again(engine: Engine, row: Pair) -> Pair:
    """The same row as it is now."""
    with reading(engine) as session:
        return pairs.get(session, row.id)
