"""The process that takes one file apart: `python -m` this module and a task, a JSON object.

It limits its own memory and time first, then writes its answer to the file that the task names.
The answer holds rows only when the whole file was good.
"""

import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

from curation.exchange.reading import answers
from curation.exchange.reading.answers import Failed, Faulty, ReadTask, Unreadable
from curation.exchange.source import Limits, Refused, Source, Table, check_size
from curation.versions import verify_version
from storage import systems
from storage.errors import BadInput

_RESULT_BYTES = 1_000_000_000

_UNREADABLE: tuple[tuple[bytes, str], ...] = (
    (
        b"\xd0\xcf\x11\xe0",
        "is an old or password-protected Excel file; save it as .xlsx without a password",
    ),
    (b"\x1f\x8b", "is compressed with gzip; unpack it and import what is inside"),
    (b"BZh", "is compressed with bzip2; unpack it and import what is inside"),
    (b"\xfd7zXZ", "is compressed with xz; unpack it and import what is inside"),
    (b"\x28\xb5\x2f\xfd", "is compressed with zstd; unpack it and import what is inside"),
    (b"7z\xbc\xaf", "is a 7z archive; unpack it and import what is inside"),
    (b"Rar!", "is a RAR archive; unpack it and import what is inside"),
    (b"%PDF", "is a PDF; export the table as CSV, JSONL or XLSX"),
    (b"\x89PNG", "is a picture; export the table as CSV, JSONL or XLSX"),
    (b"\xff\xd8\xff", "is a picture; export the table as CSV, JSONL or XLSX"),
    (b"GIF8", "is a picture; export the table as CSV, JSONL or XLSX"),
    (b"SQLite format 3", "is a database; export the table as CSV, JSONL or XLSX"),
    (
        b"ARROW1",
        "is a single Arrow file; import the whole folder that save_to_disk wrote, or Parquet",
    ),
    (
        b"\xff\xff\xff\xff",
        "is a single Arrow file; import the whole folder that save_to_disk wrote",
    ),
    (
        b"\x80\x04\x95",
        "is a Python pickle, which could run code; export it as CSV, JSONL or Parquet",
    ),
)


def parse(source: Source) -> Table:
    """The rows of the file, whatever its name says it is. Runs in this very process.

    Raises `BadInput` (or `Refused`) for whatever is wrong with the file, `MemoryError` where it
    unpacks to more than this process may hold.
    """
    check_size(source)
    return _reader(source)(source)


def _reader(source: Source) -> Callable[[Source], Table]:
    """What reads such a file, decided from its first bytes."""
    if source.path.is_dir():
        from curation.exchange.reading import export

        if export.is_export(source.path):
            return lambda folder: export.read_folder(folder, parse)
        from curation.exchange.reading.arrow import read_dataset

        return read_dataset
    with source.path.open("rb") as file:
        start = file.read(16)
    if start.startswith(b"PAR1"):
        from curation.exchange.reading.arrow import read_parquet

        return read_parquet
    if start.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return _read_zip
    for magic, why in _UNREADABLE:
        if start.startswith(magic):
            source.refuse(why)
    from curation.exchange.reading.text import read_text

    return read_text


def _read_zip(source: Source) -> Table:
    from curation.exchange.reading.zips import opened

    with opened(source) as archive:
        names = archive.namelist()
        if "xl/workbook.xml" in names or "[Content_Types].xml" in names:
            from curation.exchange.reading.xlsx import read_xlsx

            return read_xlsx(source, archive)
        if {verify_version.MANIFEST, verify_version.INDEX} <= set(names):
            from curation.exchange.reading.export import read_zip

            return read_zip(source, archive, parse)
        if any(name.endswith(("state.json", "dataset_dict.json")) for name in names):
            from curation.exchange.reading.arrow import read_dataset_zip

            return read_dataset_zip(source, archive)
    raise BadInput(f"{source.name} is a zip of something else; import the table inside it.")


def limit(limits: Limits) -> None:
    """Bound this process before it looks at the file, as far as the system can; whoever started it
    looks at its time, and at its memory where the system does not hold that.
    """
    resource = systems.limits()
    if resource is None:
        return
    bounds = {
        "RLIMIT_AS": limits.memory_bytes,
        "RLIMIT_CPU": limits.cpu_seconds,
        "RLIMIT_FSIZE": _RESULT_BYTES,
        "RLIMIT_CORE": 0,
    }
    for name, maximum in bounds.items():
        kind = getattr(resource, name, None)
        if kind is None:
            continue
        soft, hard = resource.getrlimit(kind)
        finite = [bound for bound in (maximum, soft, hard) if bound != resource.RLIM_INFINITY]
        spare = 2 if kind == resource.RLIMIT_CPU else 0  # room for the soft limit's signal
        ceiling = min(finite) + spare if hard == resource.RLIM_INFINITY else hard
        try:
            resource.setrlimit(kind, (min(finite), ceiling))
        except (ValueError, OSError):
            continue


def answer(task: ReadTask, out: TextIO) -> None:
    """Read the file of `task` and write what came of it."""
    source = Source(Path(task.path), task.name, task.limits, Path(task.work))
    try:
        table = parse(source)
    except Refused as refused:
        answers.write(out, Faulty(refused.refusals, refused.count))
    except BadInput as bad:
        answers.write(out, Unreadable(str(bad)))
    except MemoryError:
        limit = f"{task.limits.memory_bytes / 1e9:g} GB"
        why = f"{source.name} unpacks to more than the {limit} of memory allowed; split it."
        answers.write(out, Unreadable(why))
    else:
        answers.write_table(out, table)


def main() -> int:
    """Exit status 0 when there is an answer, good or bad."""
    task = answers.received(sys.argv[1])
    limit(task.limits)
    with Path(task.result).open("w", encoding="utf-8", newline="\n") as out:
        try:
            answer(task, out)
        except Exception as error:  # the outermost frame: a bug of ours, without the file's text
            frames = traceback.extract_tb(error.__traceback__)
            out.seek(0)
            out.truncate()
            where = [f"{frame.filename}:{frame.lineno}" for frame in frames]
            answers.write(out, Failed(type(error).__name__, where))
    return 0


if __name__ == "__main__":
    sys.exit(main())
