"""Short stories on a real database that tests begin with: a project, drafted rows, approved rows."""

import json
import uuid
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Engine

from curation import overlaps, review, scrub
from curation.ops import Op
from storage import pairs, projects
from storage.engine import reading, writing
from storage.types import Action, Card, Origin, Pair, Project, Role, User
from tests.ui import join

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
"""Leases taken then have run out, so no story holds a row that another person wants."""
TEAMS = ("cards", "payments", "loans", "fraud")
SCHEMA: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["team"],
    "properties": {"team": {"enum": list(TEAMS)}},
}
_WORDS = (
    "card account transfer statement branch letter mortgage cheque payee pension deposit refund "
    "balance contract signature overdraft currency invoice salary insurance receipt address"
).split()


def project(engine: Engine, name: str = "Desk", **changes: Any) -> Project:  # noqa: ANN401 - as `projects.create` takes them
    """A project with a schema and the label field `team`; gold needs no second person."""
    settings: dict[str, Any] = {
        "output_schema": SCHEMA,
        "label_field": "team",
        "guidelines": "Route each message to one team.",
        "two_people": False,
        **changes,
    }
    lead = join(engine, "lena", Role.LEAD)
    with writing(engine) as session:
        return projects.create(
            session,
            lead,
            name,
            "Route messages.",
            "You route messages. Answer in JSON.",
            **settings,
        )


def answer(team: str) -> str:
    """An output that fits the schema."""
    return json.dumps({"team": team})


def message(number: int) -> str:
    """An input unlike that of any other number up to 10,000: no near-duplicates by accident."""
    n = len(_WORDS)
    chosen = [_WORDS[(number // n**place + place * 5) % n] for place in range(3)]
    return f"Ticket {number}: my {chosen[0]} and the {chosen[1]} {number * 7919} of {chosen[2]}."


def drafted(
    engine: Engine,
    project: Project,
    rows: int | Sequence[tuple[str, str]],
    *,
    origin: Origin = Origin.IMPORT,
    author: User | None = None,
    held_out: bool = False,
    start: int = 0,
) -> list[Pair]:
    """Rows that wait for review: so many different ones, or these texts."""
    if isinstance(rows, int):
        numbers = range(start, start + rows)
        rows = [(message(i), answer(TEAMS[i % len(TEAMS)])) for i in numbers]
    with writing(engine) as session:
        return [
            pairs.pair(
                pairs.add(
                    session, project.id, prompt, response, origin, author=author, held_out=held_out
                )
            )
            for prompt, response in rows
        ]


def approved(
    engine: Engine,
    project: Project,
    rows: int | Sequence[tuple[str, str]],
    *,
    by: User | None = None,
    origin: Origin = Origin.IMPORT,
    author: User | None = None,
    held_out: bool = False,
    start: int = 0,
) -> list[Pair]:
    """Rows that a person approved (`ana`, unless another reviewer is given)."""
    waiting = drafted(
        engine, project, rows, origin=origin, author=author, held_out=held_out, start=start
    )
    approve(engine, by or join(engine, "ana", Role.EXPERT), waiting)
    return again(engine, waiting)


def approve(engine: Engine, by: User, rows: Iterable[Pair]) -> None:
    """Approve waiting rows as they stand."""
    ids = {row.id: row.project_id for row in rows}
    with writing(engine) as session:
        for project_id in set(ids.values()):
            held = review.lease(session, by, project_id, limit=10_000, now=LONG_AGO)
            for card in held:
                if card.pair.id in ids:
                    review.decide(session, by, decision(card, Action.APPROVE))


def decision(card: Card, action: Action, reason: str | None = None, **words: str) -> Op:
    """What the browser would send for a card."""
    return Op(
        op=str(uuid.uuid4()), row=card.pair.id, version=card.pair.version, fence=card.fence,
        action=action, prompt=words.get("prompt"), response=words.get("response"), reason=reason,
        target=None,
    )  # fmt: skip


def again(engine: Engine, rows: Iterable[Pair]) -> list[Pair]:
    """The same rows as they are now."""
    with reading(engine) as session:
        return [pairs.get(session, row.id) for row in rows]


def compared(engine: Engine, project: Project, by: User | None = None) -> int:
    """Compare all rows with each other; how many links that found."""
    with writing(engine) as session:
        return overlaps.sweep(session, by or join(engine, "ana", Role.EXPERT), project.id)


def scanned(
    engine: Engine,
    project: Project,
    found: Mapping[int, Sequence[tuple[str, str, str]]] | None = None,
    quarantined: Mapping[int, str] | None = None,
) -> None:
    """A scan of all rows that found these `(field, words, type)` by pair, and nothing else.

    The language model itself has tests of its own (tests/test_analyzer.py).
    """
    actor = join(engine, "ana", Role.EXPERT)
    with writing(engine) as session:
        lines = [
            _line(pair, (found or {}).get(pair.id, ()), (quarantined or {}).get(pair.id))
            for pair in scrub.unscanned(session, project.id)
        ]
        scrub.store(session, actor, project.id, lines)


def _line(
    pair: Pair, found: Sequence[tuple[str, str, str]], quarantined: str | None
) -> dict[str, Any]:
    line: dict[str, Any] = {
        "pair_id": pair.id,
        "content_sha256": pair.content_sha256,
        "config_sha256": "of-a-test",
    }
    if quarantined is not None:
        return {**line, "quarantined": quarantined}
    findings = []
    for field, words, kind in found:
        start = getattr(pair, field).index(words)
        end = start + len(words)
        findings.append({"field": field, "start": start, "end": end, "type": kind, "score": 0.9})
    return {**line, "findings": findings}
