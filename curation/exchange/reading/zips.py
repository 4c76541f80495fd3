"""Open a zip only when what it says it unpacks to is within the caps; nothing nested is opened."""

import lzma
import shutil
import struct
import zlib
from pathlib import Path, PurePosixPath
from zipfile import BadZipFile, ZipFile

from curation.exchange.source import Source

BROKEN = (
    BadZipFile,
    EOFError,
    NotImplementedError,
    OSError,
    RuntimeError,
    ValueError,
    lzma.LZMAError,
    struct.error,
    zlib.error,
)
"""What `zipfile` raises on damaged archives and parts."""

_SMALL = 1_000_000
"""Bytes below which a high ratio does no harm."""


def opened(source: Source) -> ZipFile:
    """The zip, its declared sizes checked.

    A part that declares less than it holds fails its checksum; up to a gigabyte may be unpacked
    before that shows, which the child's memory limit bounds.
    """
    try:
        archive = ZipFile(source.path)
    except BROKEN:
        source.refuse("is a damaged or cut-off zip; export it again")
    limits, members = source.limits, archive.infolist()
    if len(members) > limits.zip_members:
        source.refuse(
            f"holds {len(members):,} parts and the limit is {limits.zip_members}; export it again"
        )
    unpacked = sum(member.file_size for member in members)
    if unpacked > limits.unpacked_bytes:
        source.refuse(
            f"unpacks to {unpacked / 1e6:,.0f} MB and the limit is "
            f"{limits.unpacked_bytes / 1e6:,.0f} MB; split it and import the parts"
        )
    packed = sum(member.compress_size for member in members)
    worst = [m for m in members if m.file_size > max(_SMALL, m.compress_size * limits.zip_ratio)]
    if worst or unpacked > max(_SMALL, packed * limits.zip_ratio):
        source.refuse(
            f"unpacks to more than {limits.zip_ratio} times its size; export it again as CSV"
        )
    if any(member.flag_bits & 1 for member in members):
        source.refuse("is protected by a password; save it without one")
    return archive


def unpack(source: Source, archive: ZipFile, folder: Path) -> None:
    """Write the archive's JSON and Arrow files below `folder`, never outside it."""
    for member in archive.infolist():
        name = PurePosixPath(member.filename)
        if member.is_dir() or name.suffix not in (".json", ".arrow"):
            continue
        if name.is_absolute() or ".." in name.parts or "\\" in member.filename:
            source.refuse("holds a part that points outside it; zip the dataset folder again")
        target = folder.joinpath(*name.parts)
        target.parent.mkdir(parents=True, exist_ok=True)
        with archive.open(member) as packed, target.open("xb") as plain:
            shutil.copyfileobj(packed, plain)
