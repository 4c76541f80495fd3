"""What vetting a model folder came to, kept for as long as the folder stays as it was.

Pages read what is kept and never vet: that opens files of whoever made the folder and renders its
template. A folder counts as the same while each of its files has the same name, size and times.
Workers vet anew before they load, whatever is kept.
"""

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from curation.personal import model_files
from storage.errors import BadInput
from training.models import memory
from training.models.memory import ModelSize
from training.models.vetting import vet
from training.records.record import JsonRecord, written
from training.work import evidence

_RULES = 1
"""Raised where vetting became stricter: what was kept before counts no more."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What vetting a folder came to."""

    problem: str
    """Why it is refused; empty where it may be loaded."""


class _Kept(JsonRecord, frozen=True, kw_only=True):
    """A verdict as a file holds it."""

    state: str
    problem: str


def of(folder: Path, data: Path) -> Verdict | None:
    """The verdict on a folder as it is now; None where it was not vetted since it changed."""
    try:
        state = _state(folder)
    except (BadInput, OSError) as error:
        return Verdict(str(error) if isinstance(error, BadInput) else _unreadable(folder))
    kept = evidence.read(_Kept, _file(folder, data))
    return Verdict(kept.problem) if kept is not None and kept.state == state else None


def require(folder: Path, data: Path, *, again: bool = True) -> None:
    """Refuse a folder that may not be loaded; it is vetted `again` even where a verdict is kept.

    Raises:
        BadInput: says what is wrong with it.
    """
    verdict = judge(folder, data, again=again)
    if verdict.problem:
        raise BadInput(verdict.problem)


def judge(folder: Path, data: Path, *, again: bool = False) -> Verdict:
    """Vet a folder, unless its verdict is kept, and keep it. Takes up to some seconds."""
    kept = of(folder, data)
    if kept is not None and not again:
        return kept
    try:
        state = _state(folder)
        problem = _problem(folder)
    except BadInput as error:
        return Verdict(str(error))
    except OSError:
        return Verdict(_unreadable(folder))
    place = _file(folder, data)
    place.parent.mkdir(parents=True, exist_ok=True)
    evidence.write_json(place, written(_Kept(state=state, problem=problem)))
    return Verdict(problem)


def _problem(folder: Path) -> str:
    try:
        vet(folder)
    except BadInput as error:
        return str(error)
    return ""


def size(folder: Path, data: Path, *, ours: bool = False) -> ModelSize | None:
    """The size of a model whose folder was found good; `ours` is one that Assay itself made. None
    where it was not vetted yet, or its files do not tell.
    """
    verdict = Verdict("") if ours else of(folder, data)
    if verdict is None or verdict.problem:
        return None
    try:
        return _size(folder, _state(folder))
    except (BadInput, OSError):
        return None


@lru_cache(maxsize=32)
def _size(folder: Path, _state: str) -> ModelSize | None:
    """Read anew only where the folder's state says that a file changed."""
    return memory.model(folder)


def _unreadable(folder: Path) -> str:
    return f"A file of {folder.name} cannot be read by this server. Give it the right to."


def _file(folder: Path, data: Path) -> Path:
    name = hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:32]
    return data / "models" / ".verdicts" / f"{name}.json"


def _state(folder: Path) -> str:
    return f"{_RULES} {model_files.state(folder)}"
