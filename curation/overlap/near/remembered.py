"""What was compared in a project, remembered in a file of the data folder: relations of texts.

Made from the texts alone, so that it is right for every database that has these texts, also for one
that was restored; a file that is damaged, gone or of other rules is made anew. It holds hashes and
sketches of texts, no texts.
"""

import hashlib
import io
import os
import tempfile
import zipfile
from contextlib import suppress
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from curation.overlap.near.relations import Keys, Relations

_RULES = b"assay-relations-1\n"
"""Changes whenever texts are normalised, sketched or measured in another way."""
_DIGEST = 32


@dataclass(frozen=True, slots=True)
class Remembered:
    """The pairs that were compared, by their content, and how their texts relate."""

    contents: Keys
    """The beginning of each content hash, ascending."""
    inputs: Keys
    """The key of the input of each content."""
    wholes: Keys
    """The key of the input and output of each content, as one text."""
    of_inputs: Relations
    of_wholes: Relations


def file(database: Path, project_id: int) -> Path:
    """Where a project's file lies, beside its database."""
    return database.parent / "compared" / f"{project_id}.npz"


def load(path: Path) -> Remembered | None:
    """What the file holds; None where there is none, or none that can be used."""
    try:
        data = path.read_bytes()
        head, body = data[: len(_RULES) + _DIGEST], data[len(_RULES) + _DIGEST :]
        if head != _RULES + hashlib.sha256(body).digest():
            return None
        with np.load(io.BytesIO(body), allow_pickle=False) as arrays:
            stored = {name: arrays[name] for name in arrays.files}
        return Remembered(
            stored["contents"],
            stored["inputs"],
            stored["wholes"],
            _relations(stored, "of_inputs"),
            _relations(stored, "of_wholes"),
        )
    except (OSError, ValueError, KeyError, zipfile.BadZipFile):
        return None


def _relations(stored: dict[str, npt.NDArray[Any]], name: str) -> Relations:
    return Relations(*(stored[f"{name}-{field.name}"] for field in fields(Relations)))


def save(path: Path, remembered: Remembered) -> None:
    """Put a file in place of the one before. Where that fails, nothing is lost but time."""
    arrays = {name: getattr(remembered, name) for name in ("contents", "inputs", "wholes")} | {
        f"{name}-{field.name}": getattr(getattr(remembered, name), field.name)
        for name in ("of_inputs", "of_wholes")
        for field in fields(Relations)
    }
    body = io.BytesIO()
    np.savez(body, **arrays)
    data = body.getbuffer()
    with suppress(OSError):
        path.parent.mkdir(exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, suffix=".new")
        try:
            with os.fdopen(handle, "wb") as new:
                new.write(_RULES + hashlib.sha256(data).digest())
                new.write(data)
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
