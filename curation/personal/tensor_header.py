"""The header of a safetensors file, read strictly and without the library: nothing is loaded.

The format (huggingface/safetensors, README): eight bytes with the length of a JSON header, the
header, then the numbers of all tensors without gap or overlap. Whatever else a file holds makes it
another file too, and is refused. Says nothing about the numbers themselves but `all_finite`.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from math import prod
from pathlib import Path

import numpy as np

from storage import plain_files
from storage.errors import BadInput

MAX_BYTES = 16 << 20
"""A header may be so long: ten times that of the largest model; the library allows 100 MB."""
_POINTER = b"version https://git-lfs"
_WIDTHS = {
    "F64": 8,
    "F32": 4,
    "F16": 2,
    "BF16": 2,
    "F8_E4M3": 1,
    "F8_E5M2": 1,
    "I64": 8,
    "I32": 4,
    "I16": 2,
    "I8": 1,
    "U8": 1,
    "BOOL": 1,
}
FLOATS = frozenset({"F32", "F16", "BF16"})
"""The kinds of numbers that an adapter may have."""
_EXPONENTS = {"F32": ("<u4", 0x7F800000), "F16": ("<u2", 0x7C00), "BF16": ("<u2", 0x7F80)}
_AT_ONCE = 1 << 22


@dataclass(frozen=True, slots=True)
class Tensor:
    """One tensor as the header has it."""

    dtype: str
    shape: tuple[int, ...]
    start: int
    """Where its bytes begin in the file."""
    end: int


def read(path: Path, max_bytes: int = MAX_BYTES) -> dict[str, Tensor]:
    """The tensors of a file by name.

    Raises:
        BadInput: the file is not exactly what the format says.
    """
    with plain_files.opened(path, links=True) as file:
        size = os.fstat(file.fileno()).st_size
        if file.read(len(_POINTER)) == _POINTER:
            raise BadInput(
                f"{path.name} of {path.parent.name} only says where the weights are (Git LFS). "
                "Run git lfs pull in the folder."
            )
        file.seek(0)
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or length > size - 8:
            raise _wrong(path, "its header does not fit the file")
        if length > max_bytes:
            raise _wrong(path, f"its header is longer than {max_bytes >> 20} MB")
        content = file.read(length)
    tensors = _tensors(path, _json(path, content), 8 + length)
    _check_covered(path, tensors, 8 + length, size)
    return tensors


def weights(folder: Path) -> list[Path]:
    """The safetensors files that a loader takes: the one of the usual name, else all there are."""
    single = folder / "model.safetensors"
    return [single] if single.exists() else sorted(folder.glob("*.safetensors"))


def shapes(folder: Path) -> dict[str, tuple[int, ...]]:
    """The shapes of all tensors that are loaded from a folder, by name.

    Raises:
        BadInput: as `read`.
    """
    return {name: tensor.shape for path in weights(folder) for name, tensor in read(path).items()}


def _wrong(path: Path, why: str) -> BadInput:
    return BadInput(f"{path.name} of {path.parent.name} is damaged or no safetensors file: {why}.")


def _json(path: Path, content: bytes) -> Mapping[str, object]:
    def once(pairs: list[tuple[str, object]]) -> dict[str, object]:
        if len({name for name, _ in pairs}) != len(pairs):
            raise ValueError
        return dict(pairs)

    try:
        header = json.loads(content, object_pairs_hook=once)
    except (ValueError, RecursionError):
        header = None
    if not content.startswith(b"{") or not isinstance(header, dict):
        raise _wrong(path, "its header cannot be read")
    notes = header.pop("__metadata__", {})
    if not isinstance(notes, dict) or not all(isinstance(note, str) for note in notes.values()):
        raise _wrong(path, "its notes are not plain words")
    return header


def _tensors(path: Path, header: Mapping[str, object], begin: int) -> dict[str, Tensor]:
    tensors = {}
    for name, entry in header.items():
        if not isinstance(entry, dict) or entry.keys() != {"dtype", "shape", "data_offsets"}:
            raise _wrong(path, "a tensor is not described as it must be")
        dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
        if dtype not in _WIDTHS:
            raise _wrong(path, "a tensor has numbers of an unknown kind")
        lists = isinstance(shape, list) and isinstance(offsets, list)
        if not lists or len(shape) > 8 or len(offsets) != 2 or not _counts([*shape, *offsets]):
            raise _wrong(path, "a tensor's shape or place is impossible")
        if offsets[1] - offsets[0] != prod(shape) * _WIDTHS[dtype]:
            raise _wrong(path, "a tensor's place does not fit its shape")
        tensors[name] = Tensor(dtype, tuple(shape), begin + offsets[0], begin + offsets[1])
    return tensors


def _counts(numbers: list[object]) -> bool:
    return all(type(number) is int and 0 <= number < 1 << 48 for number in numbers)


def _check_covered(path: Path, tensors: Mapping[str, Tensor], begin: int, size: int) -> None:
    """Every byte after the header belongs to exactly one tensor."""
    places = sorted((tensor.start, tensor.end) for tensor in tensors.values())
    if any(left[1] != right[0] for left, right in pairwise(places)):
        raise _wrong(path, "its tensors overlap, or there is something between them")
    if not places or places[0][0] != begin or places[-1][1] != size:
        raise _wrong(path, "it holds more or less than its tensors")


def all_finite(path: Path, tensors: Mapping[str, Tensor]) -> bool:
    """Whether every number of a file of floats (`FLOATS`) is finite."""
    with path.open("rb") as file:
        for tensor in tensors.values():
            kind, mask = _EXPONENTS[tensor.dtype]
            file.seek(tensor.start)
            remaining = tensor.end - tensor.start
            while remaining:
                chunk = np.frombuffer(file.read(min(remaining, _AT_ONCE)), dtype=kind)
                if ((chunk & mask) == mask).any():
                    return False
                remaining -= chunk.nbytes
    return True
