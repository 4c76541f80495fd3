"""Turn a table that somebody else made into pairs: guess the columns, preview, refuse by line.

Text is taken as it is but for white space around it, which only counts in an export of Assay.
Invisible characters, markup and text that Unicode could write shorter (not NFC) are counted in the
notes, never rewritten.
"""

import hashlib
import unicodedata
from dataclasses import dataclass, field

from curation import strict_json, visible
from curation.exchange.columns import unescape
from curation.exchange.source import Faults, Refusal, Refused, Table, TableRow, Value
from curation.versions.layout import ColumnMapping
from curation.versions.verify_version import ESCAPED
from storage.blank import trim
from storage.errors import BadInput

_ROLES = {"human": "user", "gpt": "assistant", "bot": "assistant", "model": "assistant"}


@dataclass(frozen=True, slots=True)
class Incoming:
    """One pair on its way in. `line` is where its row starts in the file."""

    line: int
    prompt: str
    response: str
    era: str | None
    topic: str | None
    source_id: str | None
    system_sha256: str | None = None
    """Of the row's own system message, where it is not the project's."""


@dataclass(frozen=True, slots=True)
class Preview:
    """What an import would bring. `rows` are for looking at; take them through `take`."""

    rows: tuple[Incoming, ...]
    refusals: tuple[Refusal, ...] = ()
    """The first `source.LISTED`."""
    refused: int = 0
    """How many lines were refused in all."""
    foreign_system: int = 0
    """Rows whose system message is not the project's; theirs is left out."""
    notes: tuple[str, ...] = ()

    def take(self, name: str) -> tuple[Incoming, ...]:
        """All rows of the file called `name`, or `Refused` where a single line was refused."""
        if self.refused:
            raise Refused(name, self.refusals, self.refused)
        return self.rows


def apply(table: Table, mapping: ColumnMapping, system_message: str) -> Preview:
    """Every row as a pair under `mapping`, or refused with its line.

    Raises:
        BadInput: the mapping names no input or output, or a column that is not there.
    """
    _check_mapping(table, mapping)
    reading = _Reading(mapping, system_message.strip())
    for row in table.rows:
        reading.take(row, unescape(row.values))
    return reading.preview(_unused(table, mapping))


def _check_mapping(table: Table, mapping: ColumnMapping) -> None:
    if mapping.messages is None and (mapping.prompt is None or mapping.response is None):
        raise BadInput("Choose the column that holds the input and the one that holds the output.")
    if mapping.prompt is not None and mapping.prompt == mapping.response:
        raise BadInput("Input and output name the same column; choose two.")
    missing = sorted(mapping.used() - set(table.columns))
    if missing:
        raise BadInput(f'The file has no column "{missing[0][:40]}"; choose one that it has.')


def _unused(table: Table, mapping: ColumnMapping) -> tuple[str, ...]:
    unused = [c for c in table.columns if c not in mapping.used() and c != ESCAPED]
    names = ", ".join(f'"{c.strip()[:40]}"' for c in unused[:10])
    return (
        (f"Columns left out: {names}{' and more' if len(unused) > 10 else ''}.",) if unused else ()
    )


class _FaultyRowError(ValueError):
    """A row that cannot become a pair; the message reads after "line 7: "."""


@dataclass(slots=True)
class _Reading:
    """The rows of one table as they become pairs, with what a person should know of them."""

    mapping: ColumnMapping
    system_message: str
    rows: list[Incoming] = field(default_factory=list)
    faults: Faults = field(default_factory=lambda: Faults("the file"))
    foreign_system: int = 0
    hidden: int = 0
    markup: int = 0
    decomposed: int = 0

    def take(self, row: TableRow, values: dict[str, Value]) -> None:
        try:
            system, prompt, response = self._texts(values)
            mapping = self.mapping
            era, topic, source = (
                _label(values, c) for c in (mapping.era, mapping.topic, mapping.source)
            )
        except _FaultyRowError as fault:
            self.faults.add(row.line, str(fault))
            return
        for name, text in (("input", prompt), ("output", response)):
            if not trim(text):
                self.faults.add(row.line, f"its {name} is empty")
                return
        self._count(system, prompt, response)
        foreign = bool(system) and system != self.system_message
        sha256 = hashlib.sha256(system.encode()).hexdigest() if foreign else None
        self.rows.append(Incoming(row.line, prompt, response, era, topic, source, sha256))

    def preview(self, notes: tuple[str, ...]) -> Preview:
        counts = (
            (
                self.foreign_system,
                "with another system message than the project's; theirs is left out",
            ),
            (self.hidden, "with invisible characters; they are kept and shown as ⟦U+200B⟧"),
            (
                self.markup,
                "with HTML, links or images; they are kept as text and nothing is loaded",
            ),
            (self.decomposed, "with letters and accents stored apart (not NFC); kept as they are"),
        )
        counted = tuple(
            f"{n:,} {'row' if n == 1 else 'rows'} {description}." for n, description in counts if n
        )
        return Preview(
            tuple(self.rows),
            tuple(self.faults.refusals),
            self.faults.count,
            self.foreign_system,
            (*notes, *counted),
        )

    def _texts(self, values: dict[str, Value]) -> tuple[str, str, str]:
        """System, prompt and response of one row."""
        chat = "" if self.mapping.messages is None else values.get(self.mapping.messages, "")
        if self.mapping.messages is not None and (chat != "" or self.mapping.prompt is None):
            return self._bare(*_chat(chat))
        asking, answering = (
            values.get(column or "", "") for column in (self.mapping.prompt, self.mapping.response)
        )
        if isinstance(asking, list) and isinstance(answering, list):
            return self._bare(*_chat([*asking, *answering]))
        columns = (self.mapping.system, self.mapping.prompt, self.mapping.response)
        system, prompt, response = self._bare(*(_text(values, column) for column in columns))
        more = _text(values, self.mapping.input)
        return system, f"{prompt}\n\n{more.strip()}" if trim(more) else prompt, response

    def _bare(self, *texts: str) -> tuple[str, str, str]:
        """System, prompt and response, trimmed unless every character counts."""
        system, prompt, response = texts
        if self.mapping.exact:
            return system, prompt, response
        return trim(system), prompt.strip(), response.strip()

    def _count(self, system: str, prompt: str, response: str) -> None:
        both = f"{prompt}\n{response}"
        self.foreign_system += bool(system) and system.strip() != self.system_message
        self.hidden += bool(visible.hidden(both))
        self.markup += bool(visible.has_markup(both))
        self.decomposed += not unicodedata.is_normalized("NFC", both)


def _text(values: dict[str, Value], column: str | None) -> str:
    value = "" if column is None else values.get(column, "")
    if isinstance(value, list):
        raise _FaultyRowError(
            "a list of messages stands where a text is expected; choose it as the chat column"
        )
    return value


def _label(values: dict[str, Value], column: str | None) -> str | None:
    text = trim(_text(values, column))
    if len(text) > 200:
        raise _FaultyRowError("its era, topic or source is longer than 200 characters")
    return text or None


def _chat(value: Value) -> tuple[str, str, str]:
    """System message ("" without one), prompt and response of one chat."""
    turns = [_message(message) for message in _messages(value)]
    roles = [role for role, _ in turns]
    if roles[:1] == ["system"]:
        system, turns, roles = turns[0][1], turns[1:], roles[1:]
    else:
        system = ""
    if "system" in roles:
        raise _FaultyRowError("its system message does not stand first, or there are two")
    if roles != ["user", "assistant"]:
        raise _FaultyRowError(_wrong_roles(roles))
    return system, turns[0][1], turns[1][1]


def _wrong_roles(roles: list[str]) -> str:
    others = [role for role in roles if role not in ("user", "assistant")]
    if others:
        return "it has a message that is neither system, user nor assistant; take such rows out"
    if len(roles) > 2:
        return (
            f"it is a chat of {len(roles)} messages; a pair is one user and one assistant message"
        )
    return "it needs one user message and then one assistant message"


def _messages(value: Value) -> list[object]:
    if isinstance(value, str):
        try:
            value = strict_json.loads(value)
        except BadInput as fault:
            raise _FaultyRowError("its list of messages is not valid JSON") from fault
    if not isinstance(value, list) or not value:
        raise _FaultyRowError("it has no list of messages")
    return value


def _message(message: object) -> tuple[str, str]:
    """Role and text of one message, in either of the two usual spellings."""
    if not isinstance(message, dict):
        raise _FaultyRowError("a message is not an object with role and content")
    role = message.get("role", message.get("from"))
    content = message.get("content", message.get("value"))
    if not isinstance(role, str) or not isinstance(content, str):
        raise _FaultyRowError("a message lacks a role or a content that is text")
    return _ROLES.get(role, role), content
