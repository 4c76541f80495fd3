"""What a browser's outbox may say: decisions and votes; whatever is not well formed is ignored."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta

from storage.types import Action, Choice

LIMIT = 200
"""Operations read from one outbox; the others come with its next message."""
LONGEST_TEXT = 64 * 1024
"""Characters of an input or an output that a browser may send."""
LONGEST_REASON = 200
LARGEST_NUMBER = 2**53 - 1
"""The largest whole number that JavaScript holds exactly."""

ACTIONS = frozenset({Action.APPROVE, Action.REJECT, Action.FLAG, Action.SKIP, Action.UNDO})
"""What a reviewer can do to a card. The other actions belong to other pages."""

Text = Annotated[str, Meta(max_length=LONGEST_TEXT)]
Phrase = Annotated[str, Meta(max_length=LONGEST_REASON)]
Name = Annotated[str, Meta(min_length=1, max_length=LONGEST_REASON)]
Number = Annotated[int, Meta(ge=0, le=LARGEST_NUMBER)]
Identity = Annotated[str, Meta(pattern=r"\A[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z")]
"""A UUID in its canonical form."""

T = TypeVar("T")


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

    op: Identity
    """Made once, in the browser: the same op twice is one decision."""
    row: Number
    version: Number
    fence: Number
    action: Action
    prompt: Text | None = None
    """The edited words; None where the reviewer changed nothing."""
    response: Text | None = None
    reason: Phrase | None = None
    target: Identity | None = None
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

    op: Identity
    item: Name
    choice: Choice
    target: Identity | None = None


@dataclass(frozen=True, slots=True)
class Submission:
    """A pair that an expert asks to save."""

    op: Identity
    prompt: Text
    response: Text
    topic: Name | None = None


@dataclass(frozen=True, slots=True)
class Scratch:
    """Words an expert is typing; `at` is the browser's clock in milliseconds."""

    prompt: Text
    response: Text
    topic: Name | None
    at: Number


def ops(value: object) -> list[Op]:
    """Read a review outbox `{"ops": [...], ...}`; entries that are not well formed are left out."""
    decisions = _read_all(Op, value, reason=Phrase, target=Identity)
    return [op for op in decisions if op.action in ACTIONS and _aimed(op, Action.UNDO, op.action)]


def ballot_ops(value: object) -> list[BallotOp]:
    """Read a ballot outbox; entries that are not well formed are left out."""
    votes = _read_all(BallotOp, value, target=Identity)
    return [vote for vote in votes if _aimed(vote, Choice.WITHDRAWN, vote.choice)]


def _aimed(op: Op | BallotOp, undo: StrEnum, chosen: StrEnum) -> bool:
    """Whether what takes something back names it, and nothing else does."""
    return (chosen is undo) == (op.target is not None)


def submissions(value: object) -> list[Submission]:
    """Read the pairs that the editor asks to save; entries not well formed are left out."""
    return _read_all(Submission, value, topic=Name)


def scratch(value: object) -> Scratch | None:
    """Read the words being typed; None where they are not well formed."""
    return _read(Scratch, _mended(value, topic=Name)) if isinstance(value, Mapping) else None


def loaded(value: object) -> list[int]:
    """The rows that a browser says it has in memory."""
    return _listed(value, "have", Number)


def wanted(value: object) -> list[int]:
    """The rows that a browser waits for: reopened ones, and those that changed under it."""
    return _listed(value, "want", Number)


def loaded_items(value: object) -> list[str]:
    """The ballot items that a browser says it has in memory."""
    return _listed(value, "have", Name)


def number(value: object) -> int | None:
    """A whole number from 0, or None."""
    return _read(Number, value)


def _read_all(kind: type[T], value: object, **optional: type[str]) -> list[T]:
    """The entries of an outbox that are well formed; of the `optional` fields junk is dropped."""
    entries = (_mended(entry, **optional) for entry in _entries(value, "ops"))
    return [op for entry in entries if (op := _read(kind, entry)) is not None]


def _listed(value: object, field: str, kind: type[T]) -> list[T]:
    return [part for entry in _entries(value, field) if (part := _read(kind, entry)) is not None]


def _entries(value: object, field: str) -> list[object]:
    entries = value.get(field) if isinstance(value, Mapping) else None
    return entries[:LIMIT] if isinstance(entries, list) else []


def _mended(entry: object, **optional: type[str]) -> object:
    if not isinstance(entry, Mapping):
        return entry
    fields = {name: _exact(part) for name, part in entry.items()}
    return fields | {name: _read(kind, fields.get(name)) for name, kind in optional.items()}


def _exact(value: object) -> object:
    """JSON carries 3 as 3.0 at times."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _read(kind: type[T], value: object) -> T | None:
    try:
        read = msgspec.convert(_exact(value), kind)
        msgspec.json.encode(read)  # a lone surrogate cannot be encoded: no database holds it
    except (msgspec.ValidationError, UnicodeEncodeError):
        return None
    return read
