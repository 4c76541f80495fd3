"""Read a table of rows from a file that somebody else wrote, all or nothing.

The file is taken apart in a child process with little memory and little time (`files_child`), so
a damaged or hostile file costs one sentence and not the server. What a file is, is decided from
its bytes; its name is only repeated in messages. Not caught: a file that is well formed and lies.
"""

import hashlib
import json
import logging
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NoReturn, TypeAlias

from curation import visible
from storage import priority
from storage.errors import BadInput, Unavailable
from storage.settings import ROOT

_log = logging.getLogger(__name__)

Value: TypeAlias = str | list[Any]
"""A cell: text, or the messages of a chat as JSON values."""

_PROMPT_SECONDS = 3.0
"""A read that takes longer goes behind people's pages."""
SHOWN = 100
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
class Row:
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
    rows: list[Row]
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
        rest = f" ({count - 1:,} more faulty below)" if count > 1 else ""
        super().__init__(f"Nothing of {name} was imported: line {first.line}: {first.why}{rest}.")
        self.name = name
        self.refusals = refusals
        """The first 100."""
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
    """Faulty lines of one file: the first hundred kept, all counted."""

    name: str
    refusals: list[Refusal] = field(default_factory=list)
    count: int = 0

    def add(self, line: int, why: str) -> None:
        """Remember one faulty line."""
        self.count += 1
        if len(self.refusals) < SHOWN:
            self.refusals.append(Refusal(line, why))

    def check(self) -> None:
        """Raise `Refused` where a line was faulty."""
        if self.count:
            raise Refused(self.name, tuple(self.refusals), self.count)


def read(path: Path, name: str, limits: Limits = DEFAULT, work: Path | None = None) -> Table:
    """The rows of the file or saved dataset folder at `path`, called `name` in messages.

    `work` is the folder for temporary files (the system's by default); nothing stays there.

    Raises:
        Refused: with the faulty lines; nothing of the file may be taken.
        BadInput: the file as a whole cannot be read.
        Unavailable: the reader itself failed, which is not the file's fault.
    """
    source = Source(path, shown_name(name), limits)
    check_size(source)
    with tempfile.TemporaryDirectory(prefix="assay-read-", dir=work) as folder:
        result = Path(folder) / "result.jsonl"
        code = _run_child(source, Path(folder), result)
        if code != 0:
            raise BadInput(_ended(source, code))
        return _take(source, result)


def shown_name(name: str) -> str:
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
        most = source.limits.file_bytes / 1e6
        source.refuse(
            f"is {size / 1e6:,.0f} MB and the limit is {most:,.0f} MB; "
            "split it and import the parts"
        )


def plain_files(source: Source) -> list[Path]:
    """The file, or the files of the folder, at most three deep, sorted; no link is followed."""
    if not source.path.is_dir():
        if not source.path.is_file():
            source.refuse("is not a plain file; choose a file or a saved dataset folder")
        return [source.path]
    found = sorted(p for depth in ("*", "*/*", "*/*/*") for p in source.path.glob(depth))
    if len(found) > source.limits.zip_members:
        source.refuse(
            f"is a folder of more than {source.limits.zip_members} files; choose a saved dataset"
        )
    if any(path.is_symlink() for path in found):
        source.refuse("is a folder that holds links; copy the files themselves into it")
    return [path for path in found if path.is_file()]


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


def _run_child(source: Source, folder: Path, result: Path) -> int:
    """Exit status of the reading child; negative for the signal that ended it."""
    unpacked = folder / "unpacked"
    unpacked.mkdir()
    task = {
        "path": str(source.path.resolve()),
        "name": source.name,
        "work": str(unpacked),
        "result": str(result),
        "limits": asdict(source.limits),
    }
    child = subprocess.Popen(
        [sys.executable, "-m", "curation.exchange.reading.child", json.dumps(task)],
        cwd=ROOT,
        env=_environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,  # a library's complaint may quote a row
        start_new_session=True,
    )
    try:
        return _ends(child, source.limits.wall_seconds)
    except subprocess.TimeoutExpired:
        source.refuse(
            f"took more than {source.limits.wall_seconds} s to read and was given up; split it"
        )
    finally:
        child.kill()
        child.wait()


def _ends(child: subprocess.Popen[bytes], seconds: float) -> int:
    """Wait for its end."""
    try:
        return child.wait(min(_PROMPT_SECONDS, seconds))
    except subprocess.TimeoutExpired:
        priority.behind(child.pid)
        return child.wait(max(seconds - _PROMPT_SECONDS, 0))


def _environment() -> dict[str, str]:
    """What the child needs to start, and none of the server's secrets."""
    kept = ("PATH", "PYTHONPATH", "VIRTUAL_ENV", "LD_LIBRARY_PATH", "SYSTEMROOT", "TMPDIR")
    return {
        **{key: os.environ[key] for key in kept if key in os.environ},
        "ARROW_DEFAULT_MEMORY_POOL": "system",  # the others reserve gigabytes of address space
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "HF_HUB_OFFLINE": "1",
    }


def _ended(source: Source, code: int) -> str:
    """A sentence for a child that died instead of answering."""
    if code == -24:  # SIGXCPU
        return f"{source.name} takes more than {source.limits.cpu_seconds} s to read; split it."
    if code == -9:
        return f"{source.name} takes more memory or time to read than is allowed; split it."
    return (
        f"{source.name} could not be read: it stopped the reader ({code}), "
        "so it is probably damaged; export it again."
    )


def _take(source: Source, result: Path) -> Table:
    with result.open(encoding="utf-8", newline="\n") as lines:
        head = json.loads(next(lines))
        answer: Callable[[dict[str, Any], Iterator[str]], Table] = {
            "table": _table,
            "refused": _refused,
            "bad": _bad,
            "failed": _failed,
        }[head["answer"]]
        return answer({**head, "name": source.name}, lines)


def _table(head: dict[str, Any], lines: Iterator[str]) -> Table:
    columns = tuple(head["columns"])
    rows = []
    for text in lines:
        line, *cells = json.loads(text)
        values = {c: v for c, v in zip(columns, cells, strict=True) if v is not None}
        rows.append(Row(line, values))
    return Table(columns, rows, head["kind"], head["sha256"], tuple(head["notes"]), head["layout"])


def _refused(head: dict[str, Any], _lines: Iterator[str]) -> NoReturn:
    refusals = tuple(Refusal(line, why) for line, why in head["refusals"])
    raise Refused(head["name"], refusals, head["count"])


def _bad(head: dict[str, Any], _lines: Iterator[str]) -> NoReturn:
    raise BadInput(head["why"])


def _failed(head: dict[str, Any], _lines: Iterator[str]) -> NoReturn:
    _log.error("the file reader failed at %s", head["where"])
    raise Unavailable(
        f"{head['name']} could not be read because the reader failed ({head['type']}); "
        "nothing was imported, please report this."
    )
