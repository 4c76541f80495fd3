"""Read an export of Assay back: its hashes are checked first, then each split with its reader."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path, PurePosixPath
from zipfile import ZipFile

import msgspec

from curation import strict_json
from curation.exchange.reading.zips import BROKEN
from curation.exchange.source import Source, Table, TableRow, hashed, plain_files
from curation.versions import verify_version
from curation.versions.layouts import LAYOUTS
from storage.errors import BadInput

Parse = Callable[[Source], Table]
_MANIFEST_BYTES = 10_000_000


class _Version(msgspec.Struct, frozen=True):
    number: int
    sha256: str


class _Manifest(msgspec.Struct, frozen=True):
    """What an import needs of the manifest."""

    format: str
    version: _Version
    exported: dict[str, int]
    data: dict[str, str]


def is_export(folder: Path) -> bool:
    """Whether a folder is an unpacked export."""
    return (folder / verify_version.MANIFEST).is_file() and (
        folder / verify_version.INDEX
    ).is_file()


def read_zip(source: Source, archive: ZipFile, parse: Parse) -> Table:
    """The rows of a zipped export."""
    try:
        files = {
            member.filename: archive.read(member)
            for member in archive.infolist()
            if not member.is_dir()
        }
    except BROKEN:
        source.refuse("is a damaged zip; export it again")
    return _read(source, files, parse)


def read_folder(source: Source, parse: Parse) -> Table:
    """The rows of an unpacked export."""
    files = {
        path.relative_to(source.path).as_posix(): path.read_bytes() for path in plain_files(source)
    }
    return _read(source, files, parse)


def _read(source: Source, files: dict[str, bytes], parse: Parse) -> Table:
    manifest = _checked(source, files)
    if source.work is None:
        raise ValueError("reading an export needs a folder to unpack into")
    for name in [*manifest.data, *(n for n in files if n.endswith(".json") and "/" in n)]:
        _put(source, source.work, name, files[name])
    columns: dict[str, None] = {"split": None}
    rows: list[TableRow] = []
    for name, split in sorted(manifest.data.items()):
        if not manifest.exported[split]:
            continue
        path = source.work / name
        layout = LAYOUTS.get(manifest.format)
        if layout is not None and layout.folders:
            path = path.parent
        table = parse(replace(source, path=path, name=f"{source.name}: {name}"))
        columns |= dict.fromkeys(table.columns)
        rows += [
            TableRow(len(rows) + at, {**row.values, "split": split})
            for at, row in enumerate(table.rows, 1)
        ]
    if len(rows) > source.limits.rows:
        source.refuse(f"has more than {source.limits.rows:,} rows; import one split at a time")
    return Table(
        tuple(columns), rows, "Assay export", hashed(source), _notes(manifest), manifest.format
    )


def _checked(source: Source, files: dict[str, bytes]) -> _Manifest:
    """The manifest of an export whose files and rows are the ones that were written."""
    content = files.get(verify_version.MANIFEST, b"")
    try:
        if len(content) > _MANIFEST_BYTES:
            raise BadInput("too long")
        strict_json.loads(content.decode())
        manifest, _ = verify_version.check(files)
        return msgspec.convert(manifest, _Manifest)
    except verify_version.DamagedError as damage:
        source.refuse(f"is a damaged export: {damage}; export it again")
    except (BadInput, ValueError, LookupError, TypeError, AttributeError, msgspec.MsgspecError):
        source.refuse("is a damaged export: its manifest or index cannot be read; export it again")


def _put(source: Source, work: Path, name: str, content: bytes) -> None:
    parts = PurePosixPath(name).parts
    if parts[:1] != ("data",) or ".." in parts or "\\" in name:
        source.refuse("names a file outside its data folder; export it again")
    target = work.joinpath(*parts)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(content)


def _notes(manifest: _Manifest) -> tuple[str, ...]:
    notes = [
        f"An export of version {manifest.version.number}, whole: its hashes were checked "
        f"(sha256 {manifest.version.sha256[:16]}…). Text is taken exactly as it is."
    ]
    if manifest.exported.get("test"):
        notes.append(
            f"{manifest.exported['test']} pairs were held out for testing there. To keep them out "
            "of training here, export and import the splits apart, these as test pairs."
        )
    return tuple(notes)
