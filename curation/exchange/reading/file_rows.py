"""Rows of a JSONL file as they stand there, and fields in them, nested or within a JSON text."""

import json
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from curation import strict_json
from curation.exchange.reading import jsonl
from curation.exchange.reading.jsonl import JsonObject
from storage.errors import BadInput


@dataclass(frozen=True, slots=True)
class FileRow:
    """One row of a file."""

    where: str
    """Such as "rows.jsonl, line 7"."""
    raw: str
    """The line as it is in the file, without its end."""
    fields: JsonObject

    @property
    def key(self) -> str:
        """What tells this row from others, wherever it stands: its id, or else its line."""
        if "id" in self.fields:
            return f"id {json.dumps(self.fields['id'], ensure_ascii=False)}"
        return f"line {self.raw}"


def read(path: Path, *, ids: bool = False) -> list[FileRow]:
    """Every row; where rows have ids, each its own. `ids` are asked for where that is true.

    Raises:
        BadInput: naming the line, it is no JSON object in UTF-8, or its id is missing or another's.
    """
    rows: list[FileRow] = []
    keys: set[str] = set()
    with _lines(path) as lines:
        raws = (raw for raw in lines if raw.strip())
        for (where, fields), raw in zip(jsonl.objects(path), raws, strict=True):
            line = raw.removeprefix(b"\xef\xbb\xbf") if not rows else raw
            row = FileRow(where, line.decode().removesuffix("\n"), fields)
            if ids or "id" in fields:
                jsonl.identity(fields, where)
                if row.key in keys:
                    raise BadInput(f"{where} has an id that stands further up: give it its own.")
                keys.add(row.key)
            rows.append(row)
    return rows


def _lines(path: Path) -> IO[bytes]:
    try:
        return path.open("rb")
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror}.") from error


def value(fields: object, path: str) -> object:
    """What stands under a path such as `response.team`; None where there is nothing.

    A text on the way is read as JSON. A key that itself holds dots is found, too.
    """
    if isinstance(fields, str):
        with suppress(BadInput):
            fields = strict_json.loads(fields)
    if not isinstance(fields, dict):
        return None
    if path in fields:
        return fields[path]
    first, dot, below = path.partition(".")
    return value(fields.get(first), below) if dot else None


def label(row: FileRow, path: str, *, need: bool = False) -> str | None:
    """The value under a path as a text: its words, or its JSON; None where it is missing or null.

    Raises:
        BadInput: it is needed and missing.
    """
    field = value(row.fields, path)
    if field is None and need:
        raise BadInput(f'{row.where} has nothing under "{path}".')
    if field is None or isinstance(field, str):
        return field
    return json.dumps(field, ensure_ascii=False, sort_keys=True)


def prompt(row: FileRow, paths: str = "", *, need: bool = False) -> str:
    """What the model is asked: the named fields, else `prompt`, `text` or a chat's user messages.

    Raises:
        BadInput: it is needed and there is none.
    """
    if paths:
        return _joined(row, paths)
    for name in ("prompt", "text"):
        if isinstance(row.fields.get(name), str):
            return str(row.fields[name])
    text = _messages(row, ("user",))
    if need and not text:
        raise BadInput(f'{row.where} has no "prompt", "text" or "messages": name it with --text.')
    return text


def full_text(row: FileRow, paths: str = "") -> str:
    """What a row says in all: as `prompt`, with the response."""
    if not paths and isinstance(row.fields.get("prompt"), str):
        response = label(row, "response")
        return f"{row.fields['prompt']}\n{response or ''}"
    if not paths and "text" not in row.fields:
        return _messages(row, ("user", "assistant"))
    return prompt(row, paths)


def _joined(row: FileRow, paths: str) -> str:
    return "\n".join(label(row, path.strip(), need=True) or "" for path in paths.split(","))


def _messages(row: FileRow, roles: tuple[str, ...]) -> str:
    messages = row.fields.get("messages")
    if not isinstance(messages, list):
        return ""
    return "\n".join(
        str(message.get("content", ""))
        for message in messages
        if isinstance(message, dict) and message.get("role") in roles
    )
