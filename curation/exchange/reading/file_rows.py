"""Rows of a JSONL file as they stand there, and fields in them, nested or within a JSON text."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from curation import strict_json
from curation.exchange.reading import jsonl
from storage.errors import BadInput


@dataclass(frozen=True, slots=True)
class FileRow:
    """One row of a file."""

    where: str
    """Such as "rows.jsonl, line 7"."""
    raw: str
    """The line as it is in the file, without its end."""
    fields: dict[str, Any]

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
    found: list[FileRow] = []
    seen: set[str] = set()
    with _lines(path) as lines:
        raws = (raw for raw in lines if raw.strip())
        for (where, fields), raw in zip(jsonl.objects(path), raws, strict=True):
            line = raw.removeprefix(b"\xef\xbb\xbf") if not found else raw
            row = FileRow(where, line.decode().removesuffix("\n"), fields)
            if ids or "id" in fields:
                jsonl.identity(fields, where)
                if row.key in seen:
                    raise BadInput(f"{where} has an id that stands further up: give it its own.")
                seen.add(row.key)
            found.append(row)
    return found


def _lines(path: Path) -> Any:  # noqa: ANN401 - a file of bytes
    try:
        return path.open("rb")
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror}.") from error


def value(fields: Any, path: str) -> Any:  # noqa: ANN401 - JSON is of any type
    """What stands under a path such as `response.team`; None where there is nothing.

    A text on the way is read as JSON. A key that itself holds dots is found, too.
    """
    if isinstance(fields, str):
        fields = _inside(fields)
    if not isinstance(fields, dict):
        return None
    if path in fields:
        return fields[path]
    first, dot, rest = path.partition(".")
    return value(fields.get(first), rest) if dot else None


def _inside(text: str) -> Any:  # noqa: ANN401 - JSON is of any type
    try:
        return strict_json.loads(text)
    except BadInput:
        return None


def label(row: FileRow, path: str, *, need: bool = False) -> str | None:
    """The value under a path as a text: its words, or its JSON; None where it is missing or null.

    Raises:
        BadInput: it is needed and missing.
    """
    found = value(row.fields, path)
    if found is None and need:
        raise BadInput(f'{row.where} has nothing under "{path}".')
    if found is None or isinstance(found, str):
        return found
    return json.dumps(found, ensure_ascii=False, sort_keys=True)


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
    said = _said(row, ("user",))
    if need and not said:
        raise BadInput(f'{row.where} has no "prompt", "text" or "messages": name it with --text.')
    return said


def whole(row: FileRow, paths: str = "") -> str:
    """What a row says in all: as `prompt`, with the response."""
    if not paths and isinstance(row.fields.get("prompt"), str):
        response = label(row, "response")
        return f"{row.fields['prompt']}\n{response or ''}"
    if not paths and "text" not in row.fields:
        return _said(row, ("user", "assistant"))
    return prompt(row, paths)


def _joined(row: FileRow, paths: str) -> str:
    return "\n".join(label(row, path.strip(), need=True) or "" for path in paths.split(","))


def _said(row: FileRow, roles: tuple[str, ...]) -> str:
    messages = row.fields.get("messages")
    if not isinstance(messages, list):
        return ""
    return "\n".join(
        str(one.get("content", ""))
        for one in messages
        if isinstance(one, dict) and one.get("role") in roles
    )
