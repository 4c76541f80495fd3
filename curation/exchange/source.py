"""A file to be read, what it may cost, and what reading it gives: a table, or the faulty lines."""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn, TypeAlias

from curation import visible
from storage.errors import BadInput

Value: TypeAlias = str | list[Any]
"""A cell: text, or the messages of a chat as JSON values."""

LISTED = 100
"""How many faulty lines a refusal lists; all are counted."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one file may cost. Sizes in bytes, times in seconds."""

    file_bytes: int = 50_000_000
    rows: int = 200_000
    columns: int = 1_000
    cell_bytes: int = 65_536
    line_characters: int = 4_000_000
    text_bytes: int = 64_000_000
    """Text of all cells together, after unpacking."""
    zip_members: int = 200
    zip_ratio: int = 100
    unpacked_bytes: int = 250_000_000
    memory_bytes: int = 2_000_000_000
    cpu_seconds: int = 30
    wall_seconds: int = 40


DEFAULT = Limits()


@dataclass(frozen=True, slots=True)
class TableRow:
    """One row and the line (or sheet row, or row number) where it starts, counted from 1."""

    line: int
    values: dict[str, Value]


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why one line cannot be taken; `why` reads after "line 7: "."""

    line: int
    why: str


@dataclass(frozen=True, slots=True)
class Table:
    """What a file holds. A row may lack a column; an empty cell is ""."""

    columns: tuple[str, ...]
    rows: list[TableRow]
    kind: str
    """As people call it: CSV, JSONL, Parquet, XLSX, saved dataset."""
    sha256: str
    """Of the file's bytes; of names and hashes of the files for a folder."""
    notes: tuple[str, ...] = ()
    """What was read in a way that a person should know of."""
    layout: str = ""
    """The format of an export of Assay that was checked; "" for any other file."""


class Refused(BadInput):
    """Nothing of the file was taken, because of these lines."""

    def __init__(self, name: str, refusals: tuple[Refusal, ...], count: int) -> None:
        first = refusals[0]
        more = f" ({count - 1:,} more faulty below)" if count > 1 else ""
        super().__init__(f"Nothing of {name} was imported: line {first.line}: {first.why}{more}.")
        self.name = name
        self.refusals = refusals
        """The first `LISTED`."""
        self.count = count


@dataclass(frozen=True, slots=True)
class Source:
    """A file to be read: where it is, how messages call it, what it may cost."""

    path: Path
    name: str
    limits: Limits = DEFAULT
    work: Path | None = None
    """An empty folder for unpacking, emptied by the caller."""

    def refuse(self, why: str) -> NoReturn:
        """Refuse the whole file; `why` reads after the file's name."""
        raise BadInput(f"{self.name} {why}.")


@dataclass(slots=True)
class Faults:
    """Faulty lines of one file: the first hundred listed, all counted."""

    name: str
    refusals: list[Refusal] = field(default_factory=list)
    count: int = 0

    def add(self, line: int, why: str) -> None:
        """Remember one faulty line."""
        self.count += 1
        if len(self.refusals) < LISTED:
            self.refusals.append(Refusal(line, why))

    def check(self) -> None:
        """Raise `Refused` where a line was faulty."""
        if self.count:
            raise Refused(self.name, tuple(self.refusals), self.count)


def display_name(name: str) -> str:
    """A file's name as messages repeat it: short, on one line, nothing invisible."""
    plain = visible.reveal(" ".join(name.split())) or "The file"
    return plain if len(plain) <= 100 else f"{plain[:60]}...{plain[-30:]}"


def check_size(source: Source) -> None:
    """Refuse what is missing, empty, no plain file or over the limit, without opening it."""
    if not source.path.exists():
        source.refuse("was not found; check the path")
    size = sum(path.stat().st_size for path in plain_files(source))
    if size == 0:
        source.refuse("is empty; choose a file with a header and rows")
    if size > source.limits.file_bytes:
        limit = source.limits.file_bytes / 1e6
        source.refuse(
            f"is {size / 1e6:,.0f} MB and the limit is {limit:,.0f} MB; "
            "split it and import the parts"
        )


def plain_files(source: Source) -> list[Path]:
    """The file, or the files of the folder, at most three deep, sorted; no link is followed."""
    if not source.path.is_dir():
        if not source.path.is_file():
            source.refuse("is not a plain file; choose a file or a saved dataset folder")
        return [source.path]
    paths = sorted(p for depth in ("*", "*/*", "*/*/*") for p in source.path.glob(depth))
    if len(paths) > source.limits.zip_members:
        source.refuse(
            f"is a folder of more than {source.limits.zip_members} files; choose a saved dataset"
        )
    if any(path.is_symlink() for path in paths):
        source.refuse("is a folder that holds links; copy the files themselves into it")
    return [path for path in paths if path.is_file()]


def hashed(source: Source) -> str:
    """SHA-256 of the file, or of the sorted names and hashes of a folder's files."""
    if not source.path.is_dir():
        return _file_sha256(source.path)
    lines = (
        f"{_file_sha256(path)}  {path.relative_to(source.path).as_posix()}\n"
        for path in plain_files(source)
    )
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _file_sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
