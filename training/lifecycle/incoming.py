"""Take the files of an adapter out of a folder or a zip: names, kinds and sizes are looked at
before a byte is copied, and only plain files come out, never outside the folder they go to.
"""

import re
import shutil
import stat
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from storage.errors import BadInput

WANTED = {
    "adapter_config.json": 1 << 20,
    "adapter_model.safetensors": 2 << 30,
    "chat_template.jinja": 1 << 18,
    "tokenizer_config.json": 8 << 20,
}
"""The files that are looked into, with the most bytes that each may have."""
_HARMLESS = frozenset({".json", ".jinja", ".md", ".model", ".safetensors", ".txt", ""})
"""Ends of names beside them that mean no harm; such files are left behind."""
_PICKLED = frozenset({".bin", ".ckpt", ".joblib", ".pickle", ".pkl", ".pt", ".pth"})
_CODE = frozenset({".bat", ".dll", ".dylib", ".exe", ".pyc", ".sh", ".so"})
_MOST_FILES = 64
_RATIO = 1000
_SMALL = 1 << 20


@dataclass(frozen=True, slots=True)
class _IncomingFile:
    """A file that came along."""

    name: str
    """Its path inside, with slashes."""
    size: int


def unpack(source: Path, target: Path) -> None:
    """Copy the files of `WANTED` from a folder or zip into an empty folder.

    Raises:
        BadInput: says what came along that no adapter needs, or what is missing.
    """
    if source.is_symlink():
        raise BadInput("That is a link. Name the folder or zip itself.")
    if source.is_dir():
        _from_folder(source, target)
    elif source.is_file():
        _from_zip(source, target)
    else:
        raise BadInput("There is no such folder or zip. Give its whole path.")


def _from_folder(source: Path, target: Path) -> None:
    files = []
    for path in sorted(source.rglob("*")):
        mode = path.lstat().st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
            raise BadInput("The folder holds a link or something else that is no plain file.")
        if stat.S_ISREG(mode):
            files.append(_IncomingFile(path.relative_to(source).as_posix(), path.stat().st_size))
        if len(files) > _MOST_FILES:
            raise BadInput(f"The folder holds more than {_MOST_FILES} files. Name the adapter's.")
    top = _top(files)
    for name in _wanted(files, top):
        shutil.copyfile(source / top / name, target / name)


def _from_zip(source: Path, target: Path) -> None:
    try:
        with zipfile.ZipFile(source) as archive:
            members = [member for member in archive.infolist() if not member.is_dir()]
            _check_members(members, len(archive.infolist()))
            files = [_IncomingFile(member.filename, member.file_size) for member in members]
            top = _top(files)
            for name in _wanted(files, top):
                _copy(archive, f"{top}/{name}" if top else name, target / name, WANTED[name])
    except (
        zipfile.BadZipFile,
        zipfile.LargeZipFile,
        EOFError,
        NotImplementedError,
        RuntimeError,
        OSError,
        ValueError,
        zlib.error,
    ) as error:
        raise BadInput("The file is no zip, or a damaged one. Zip the adapter again.") from error


def _check_members(members: list[zipfile.ZipInfo], count: int) -> None:
    if count > _MOST_FILES:
        raise BadInput(f"The zip holds more than {_MOST_FILES} files. Zip the adapter's only.")
    if len({member.filename.casefold() for member in members}) != len(members):
        raise BadInput("The zip holds a file twice. Zip the adapter again.")
    for member in members:
        kind = stat.S_IFMT(member.external_attr >> 16)
        if kind not in (0, stat.S_IFREG):
            raise BadInput("The zip holds a link or something else that is no plain file.")
        if member.flag_bits & 1:
            raise BadInput("The zip is protected by a password. Save it without one.")
        if member.file_size > max(_SMALL, member.compress_size * _RATIO):
            raise BadInput(f"The zip unpacks to more than {_RATIO} times its size.")


def _copy(archive: zipfile.ZipFile, name: str, target: Path, most: int) -> None:
    """Unpack one member, whatever size it declares."""
    with archive.open(name) as packed, target.open("xb") as file:
        while chunk := packed.read(1 << 20):
            if file.tell() + len(chunk) > most:
                raise BadInput(f"{target.name} is larger than an adapter's can be.")
            file.write(chunk)


def _top(files: list[_IncomingFile]) -> str:
    """The folder that holds everything, where a zip was made of a folder; "" for none."""
    if any(file.name == "adapter_config.json" for file in files):
        return ""
    tops = {PurePosixPath(file.name).parts[0] for file in files if file.name}
    return tops.pop() if len(tops) == 1 else ""


def _wanted(files: list[_IncomingFile], top: str) -> Iterator[str]:
    """The names to copy, once every name and size has been looked at.

    Raises:
        BadInput: a name or a size is refused, or there is no adapter.
    """
    for file in files:
        _check_name(file.name)
    inside = {file.name.removeprefix(f"{top}/" if top else ""): file.size for file in files}
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        if name not in inside:
            raise BadInput(f"There is no {name}, so this is no PEFT adapter in safetensors.")
    for name, most in WANTED.items():
        if inside.get(name, 0) > most:
            raise BadInput(f"{name} is larger than an adapter's can be.")
        if name in inside:
            yield name


def _check_name(name: str) -> None:
    path = PurePosixPath(name)
    printable = re.sub(r"[^\w.-]", "?", path.name)[:60]
    outside = path.is_absolute() or ".." in path.parts or re.match(r"[A-Za-z]:", name)
    if outside or "\\" in name or "\0" in name:
        raise BadInput(
            f"The file {printable} would land outside its folder. Zip the adapter again."
        )
    end = path.suffix.lower()
    if end == ".py" or end in _CODE:
        raise BadInput(f"It holds code ({printable}). Assay takes in adapters without code only.")
    if end in _PICKLED:
        raise BadInput(f"It holds a pickled file ({printable}), which can run code. Take it out.")
    if end not in _HARMLESS and path.name != ".gitattributes":
        raise BadInput(f"It holds {printable}, which no adapter needs. Take it out.")
