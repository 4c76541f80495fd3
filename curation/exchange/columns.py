"""Guess which column of a stranger's table holds what, from its name and from its cells."""

import re
from collections.abc import Mapping, Sequence

from curation import strict_json
from curation.exchange.source import Table, Value
from curation.versions.layout import ColumnMapping
from curation.versions.layouts import LAYOUTS
from curation.versions.verify_version import ESCAPED
from storage.errors import BadInput

_SAMPLE = 200
_CHAT_NAMES = ("messages", "conversations", "conversation", "chat", "dialogue", "dialog")
_NAMES: dict[str, tuple[str, ...]] = {
    "response": (
        "response",
        "completion",
        "output",
        "answer",
        "assistant",
        "reply",
        "target",
        "expected",
        "expected output",
        "ideal",
        "gold",
        "label",
        "agent reply",
        "agent",
        "bot",
        "result",
        "json",
        "chosen",
    ),
    "prompt": (
        "prompt",
        "instruction",
        "input",
        "question",
        "user",
        "message",
        "customer message",
        "query",
        "request",
        "text",
        "customer",
        "user message",
        "inquiry",
        "email",
        "utterance",
        "content",
    ),
    "system": ("system", "system message", "system prompt"),
    "era": ("era", "policy era", "policy", "policy version", "period", "rules"),
    "topic": ("topic", "category", "intent", "subject", "theme", "tag", "kind"),
    "source": (
        "source",
        "source id",
        "id",
        "ticket",
        "ticket id",
        "ticket no",
        "case",
        "case id",
        "reference",
        "ref",
        "record",
        "record id",
        "document",
        "document id",
        "row id",
        "uuid",
    ),
}


def suggest(table: Table) -> ColumnMapping:
    """A guess from names first, then from what the cells look like. A person confirms it.

    Of an export of Assay its format knows.
    """
    if table.layout in LAYOUTS:
        return LAYOUTS[table.layout].columns
    chat = _chat_column(table)
    left = [c for c in table.columns if c not in (chat, ESCAPED)]
    guesses: dict[str, str] = {}
    texts = not chat or _lacks(table, chat)
    for part, names in _NAMES.items():
        if part in ("prompt", "response", "system") and not texts:
            continue
        best = _best_named(left, names)
        if best is not None:
            guesses[part] = best
            left.remove(best)
    if not chat:
        _guess_texts(table, left, guesses)
        _guess_input(left, guesses)
    return ColumnMapping(
        prompt=guesses.get("prompt"),
        response=guesses.get("response"),
        system=guesses.get("system"),
        era=guesses.get("era"),
        topic=guesses.get("topic"),
        source=guesses.get("source"),
        messages=chat,
        input=guesses.get("input"),
    )


def _guess_input(left: list[str], guesses: dict[str, str]) -> None:
    """Alpaca splits a prompt in two: the instruction and its input."""
    second = [column for column in left if _plain_name(column) == "input"]
    if second and _plain_name(guesses.get("prompt", "")) == "instruction":
        guesses["input"] = second[0]


def _chat_column(table: Table) -> str | None:
    if _conversational(table):
        return None
    for column in table.columns:
        values = [row.values.get(column, "") for row in table.rows[:_SAMPLE]]
        if any(isinstance(value, list) for value in values):
            return column
        if _plain_name(column) in _CHAT_NAMES and any(_chat_text(value) for value in values):
            return column
    return None


def _conversational(table: Table) -> bool:
    """Whether prompt and completion are chats of their own, as trl has them."""
    lists = {
        _plain_name(column)
        for column in table.columns
        if any(isinstance(row.values.get(column), list) for row in table.rows[:_SAMPLE])
    }
    return "prompt" in lists and bool(lists & {"completion", "chosen"})


def _lacks(table: Table, chat: str) -> bool:
    """Whether some rows have no chat: such a file mixes chats with plain prompts and responses."""
    return any(row.values.get(chat, "") == "" for row in table.rows)


def _chat_text(value: Value) -> bool:
    """Whether a cell holds a chat written out as JSON, as CSV and XLSX have to."""
    return isinstance(value, str) and value.lstrip()[:1] == "[" and '"role"' in value


def _plain_name(column: str) -> str:
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", column)
    return " ".join(re.findall(r"[^\W_]+", spaced.casefold()))


def _best_named(columns: Sequence[str], names: tuple[str, ...]) -> str | None:
    """The column called like one of `names`, else one that begins or ends with such a word."""
    plain = {column: _plain_name(column) for column in columns}
    for name in names:
        for column, plain_name in plain.items():
            if plain_name == name:
                return column
    for name in names:
        for column, plain_name in plain.items():
            if plain_name.endswith(f" {name}") or plain_name.startswith(f"{name} "):
                return column
    return None


def _guess_texts(table: Table, left: list[str], guesses: dict[str, str]) -> None:
    """Fill in prompt and response: JSON looks like an output, else the longest text does."""
    for part in ("response", "prompt"):
        if part in guesses or not left:
            continue
        score = _looks_json if part == "response" else _mean_length
        best = max(left, key=lambda column: (score(table, column), _mean_length(table, column)))
        guesses[part] = best
        left.remove(best)


def _sample(table: Table, column: str) -> list[str]:
    values = [row.values.get(column, "") for row in table.rows[:_SAMPLE]]
    return [value for value in values if isinstance(value, str)]


def _looks_json(table: Table, column: str) -> float:
    sample = _sample(table, column)
    return sum(v.lstrip().startswith("{") for v in sample) / max(1, len(sample))


def _mean_length(table: Table, column: str) -> float:
    sample = _sample(table, column)
    return sum(map(len, sample)) / max(1, len(sample))


def unescape(values: Mapping[str, Value]) -> dict[str, Value]:
    """A row of a CSV that Assay wrote, as it was before; any other row unchanged."""
    marked = _marked(values.get(ESCAPED))
    return {name: _bare(cell) if name in marked else cell for name, cell in values.items()}


def _marked(marks: Value | None) -> list[object]:
    """The columns that are marked as escaped in a row."""
    if not isinstance(marks, str) or not marks:
        return []
    try:
        columns = strict_json.loads(marks)
    except BadInput:
        return []
    return columns if isinstance(columns, list) else []


def _bare(cell: Value) -> Value:
    return cell[1:] if isinstance(cell, str) and cell[:1] == "'" else cell
