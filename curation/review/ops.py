"""What a browser's outbox may say: decisions and votes; whatever is not well formed is ignored."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

from storage.types import Action, Choice

MOST_OPS = 200
"""Operations read from one outbox; the rest comes with its next message."""
LONGEST_TEXT = 64 * 1024
"""Characters of a prompt or a response that a browser may send."""
LONGEST_REASON = 200
LARGEST_NUMBER = 2**53 - 1
"""The largest whole number that JavaScript holds exactly."""

ACTIONS = frozenset({Action.APPROVE, Action.REJECT, Action.FLAG, Action.SKIP, Action.UNDO})
"""What a reviewer can do to a card. The other actions belong to other pages."""

M = TypeVar("M", bound=StrEnum)


class Answer(StrEnum):
    """What became of an operation. The browser keeps resending until it hears one of these."""

    SAVED = "saved"
    LATE = "late"
    """Someone else holds the row now; the decision is kept for a lead."""
    REFUSED = "refused"
    """A rule says no; the card comes back with the words still in the editor."""
    CONFLICT = "conflict"
    """The row changed since it was shown; nothing was applied."""


@dataclass(frozen=True, slots=True)
class Op:
    """One decision of a reviewer, with the row as it was on the screen."""

    op: str
    """Made once, in the browser: the same op twice is one decision."""
    row: int
    version: int
    fence: int
    action: Action
    prompt: str | None
    """The edited words; None where the reviewer changed nothing."""
    response: str | None
    reason: str | None
    target: str | None
    """For an undo: the op it takes back."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """The server's answer to one op, with the row as it stands now."""

    op: str
    status: Answer
    message: str
    version: int | None
    fence: int | None


@dataclass(frozen=True, slots=True)
class BallotOp:
    """One blind vote, or (`Choice.WITHDRAWN`) the withdrawal of the vote that `target` cast."""

    op: str
    item: str
    choice: Choice
    target: str | None


@dataclass(frozen=True, slots=True)
class Submission:
    """A pair that an expert asks to save."""

    op: str
    prompt: str
    response: str
    topic: str | None


@dataclass(frozen=True, slots=True)
class Scratch:
    """Words an expert is typing; `at` is the browser's clock in milliseconds."""

    prompt: str
    response: str
    topic: str | None
    at: int


def ops(value: object) -> list[Op]:
    """Read a review outbox `{"ops": [...], ...}`; entries that are not well formed are left out."""
    return [op for entry in _entries(value) if (op := _op(entry)) is not None]


def ballot_ops(value: object) -> list[BallotOp]:
    """Read a ballot outbox; entries that are not well formed are left out."""
    return [op for entry in _entries(value) if (op := _ballot_op(entry)) is not None]


def submissions(value: object) -> list[Submission]:
    """Read the pairs that the editor asks to save; entries not well formed are left out."""
    return [pair for entry in _entries(value) if (pair := _submission(entry)) is not None]


def scratch(value: object) -> Scratch | None:
    """Read the words being typed; None where they are not well formed."""
    if not isinstance(value, Mapping):
        return None
    prompt, response = _text(value.get("prompt")), _text(value.get("response"))
    at = number(value.get("at"))
    if prompt is None or response is None or at is None:
        return None
    return Scratch(prompt, response, _text(value.get("topic"), LONGEST_REASON) or None, at)


def held(value: object) -> list[int]:
    """The rows that a browser says it holds in memory."""
    return _rows(value, "have")


def wanted(value: object) -> list[int]:
    """The rows that a browser waits for: reopened ones, and those that changed under it."""
    return _rows(value, "want")


def held_items(value: object) -> list[str]:
    """The ballot items that a browser says it holds in memory."""
    have = value.get("have") if isinstance(value, Mapping) else None
    if not isinstance(have, list):
        return []
    return [item for entry in have[:MOST_OPS] if (item := _text(entry, LONGEST_REASON))]


def _rows(value: object, field: str) -> list[int]:
    rows = value.get(field) if isinstance(value, Mapping) else None
    if not isinstance(rows, list):
        return []
    return [row for entry in rows[:MOST_OPS] if (row := number(entry)) is not None]


def _entries(value: object) -> list[Mapping[str, object]]:
    entries = value.get("ops") if isinstance(value, Mapping) else None
    if not isinstance(entries, list):
        return []
    return [entry for entry in entries[:MOST_OPS] if isinstance(entry, Mapping)]


def _op(entry: Mapping[str, object]) -> Op | None:
    op, row = _identity(entry.get("op")), number(entry.get("row"))
    version, fence = number(entry.get("version")), number(entry.get("fence"))
    action = _member(Action, entry.get("action"))
    target = _identity(entry.get("target"))
    if op is None or row is None or version is None or fence is None or action not in ACTIONS:
        return None
    if (action is Action.UNDO) != (target is not None) or not _edits_fit(entry):
        return None
    return Op(
        op=op,
        row=row,
        version=version,
        fence=fence,
        action=action,
        prompt=_text(entry.get("prompt")),
        response=_text(entry.get("response")),
        reason=_text(entry.get("reason"), LONGEST_REASON),
        target=target,
    )


def _submission(entry: Mapping[str, object]) -> Submission | None:
    op = _identity(entry.get("op"))
    prompt, response = _text(entry.get("prompt")), _text(entry.get("response"))
    if op is None or prompt is None or response is None:
        return None
    return Submission(op, prompt, response, _text(entry.get("topic"), LONGEST_REASON) or None)


def _edits_fit(entry: Mapping[str, object]) -> bool:
    """Whether each edited field is absent or usable: approving the old words would be worse."""
    edits = [entry[field] for field in ("prompt", "response") if entry.get(field) is not None]
    return all(_text(edit) is not None for edit in edits)


def _ballot_op(entry: Mapping[str, object]) -> BallotOp | None:
    op, item = _identity(entry.get("op")), _text(entry.get("item"), LONGEST_REASON)
    choice, target = _member(Choice, entry.get("choice")), _identity(entry.get("target"))
    if op is None or not item or choice is None:
        return None
    if (choice is Choice.WITHDRAWN) != (target is not None):
        return None
    return BallotOp(op, item, choice, target)


def _identity(value: object) -> str | None:
    """A canonical UUID, or None."""
    if not isinstance(value, str) or len(value) != 36:
        return None
    try:
        return value if str(uuid.UUID(value)) == value else None
    except ValueError:
        return None


def number(value: object) -> int | None:
    """A whole number from 0, or None; JSON carries 3 as 3.0 at times."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if not 0 <= value <= LARGEST_NUMBER or value != int(value):
        return None
    return int(value)


def _text(value: object, longest: int = LONGEST_TEXT) -> str | None:
    """Text that fits and that a database can hold: a lone surrogate cannot be encoded."""
    if not isinstance(value, str) or len(value) > longest:
        return None
    try:
        value.encode()
    except UnicodeEncodeError:
        return None
    return value


def _member(kind: type[M], value: object) -> M | None:
    try:
        return kind(value) if isinstance(value, str) else None
    except ValueError:
        return None
