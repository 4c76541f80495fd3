"""JSONL files in and out for commands that need no database: strict, streamed, never half a file.

Imports little, so that a command on a small file is done before others have started.
"""

import os
import secrets
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import IO, TypeAlias

from curation import strict_json
from storage.errors import BadInput, Unavailable

Id = int | str
JsonObject: TypeAlias = dict[str, object]
"""An object of a file that may hold anything."""
_BOM = b"\xef\xbb\xbf"


def objects(path: Path) -> Iterator[tuple[str, JsonObject]]:
    """Each line's object with where it stands ("rows.jsonl, line 7"); blank lines are passed over.

    Shows a progress bar on a terminal.

    Raises:
        BadInput: the file cannot be read, or a line is not a JSON object in UTF-8.
    """
    with _opened(path) as file:
        for number, raw in enumerate(file, 1):
            if number == 1:
                raw = raw.removeprefix(_BOM)
            if not raw.isspace() and raw:
                where = f"{path.name}, line {number}"
                yield where, _object(raw, where)


def identity(row: JsonObject, where: str) -> Id:
    """The `id` of a row: a whole number or a text, which are never equal to each other.

    Raises:
        BadInput: it is missing, or something else.
    """
    value = row.get("id")
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise BadInput(f'{where} has no "id" that is a whole number or a text: give it one.')
    return value


def text(row: JsonObject, field: str, where: str) -> str:
    """The text of a field.

    Raises:
        BadInput: it is missing, or no text.
    """
    value = row.get(field)
    if not isinstance(value, str):
        raise BadInput(f'{where} has no text under "{field}": give each line one.')
    return value


@contextmanager
def replacing(path: Path) -> Iterator[IO[str]]:
    """A file to write that appears under its name only once everything is in it.

    Raises:
        Unavailable: it cannot be written there.
    """
    try:
        part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
        try:
            with part.open("x", encoding="utf-8", newline="\n") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise Unavailable(f"{path} cannot be written: {error.strerror}.") from error


def _object(raw: bytes, where: str) -> JsonObject:
    try:
        value = strict_json.loads(raw.decode())
    except UnicodeDecodeError:
        raise BadInput(f"{where} is not UTF-8: save the file as UTF-8.") from None
    except BadInput as error:
        raise BadInput(f"{where}: {error}") from None
    if not isinstance(value, dict):
        raise BadInput(f"{where} is not a JSON object: write one object a line.")
    return value


def _opened(path: Path) -> AbstractContextManager[IO[bytes]]:
    try:
        file = path.open("rb")
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror}.") from error
    if not sys.stderr.isatty():
        return file
    from rich.console import Console
    from rich.progress import wrap_file

    console = Console(stderr=True)
    return wrap_file(file, path.stat().st_size, description="Reading", console=console)
