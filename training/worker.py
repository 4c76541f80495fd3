"""Do the work of one job directory in this process; the one place where any error ends as a result
on disk.
"""

import errno
import logging
import os
import sys
import traceback
import warnings
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from storage.errors import AssayError, BadInput
from training import kinds
from training.tuning import checkpoints
from training.work import evidence, ranks
from training.work.evidence import Cancelled, Evidence

OUT_OF_MEMORY = 86
DISK_FULL = 88
FAILED = 1

_LESS = {
    "lora": "choose QLoRA, which holds the base model in a quarter of the memory",
    "full": "choose LoRA, which needs a quarter of the memory or less",
}
"""The method that asks for less memory, where there is one."""
_TELLING = (OSError, RuntimeError, ImportError, MemoryError)
_FULL = (errno.ENOSPC, errno.EDQUOT)
_TORCH_FULL = ("PytorchStreamWriter failed writing", "unexpected pos ")
"""What torch says when a file that it writes is cut; the system's own error is lost."""


def work(directory: Path) -> int:
    """Run the job; returns the exit status: 0, 1 failed, 86 out of memory, 88 disk full.

    However it ends, `result.json` says so in one sentence, unless the disk cannot even hold that.
    """
    _calm()
    try:
        with ranks.held(directory) as held:
            status = _guarded(directory, held)
            _tell_trackers(directory)
            return status
    except AssayError as error:  # another worker holds the lock: the result is its to write
        sys.stderr.write(f"{error}\n")
        return FAILED


def _guarded(directory: Path, held: Evidence) -> int:
    try:
        _run(directory, held)
    except Cancelled:
        held.finish("cancelled", "Cancelled. Nothing was kept.")
    except AssayError as error:
        return _ended(held, FAILED, str(error))
    except Exception as error:
        _log(directory, error)
        kept = checkpoints.offered(directory)
        spec = evidence.read_json(directory / "spec.json") or {}
        status, told = _cause(error, kept.step if kept else None, spec.get("settings") or {})
        return _ended(held, status, told)
    return 0


def _tell_trackers(directory: Path) -> None:
    """Tell the trackers that were reported to how the run ended; they were loaded by it if any."""
    tracking = sys.modules.get("training.tuning.tracking")
    if tracking is not None:
        result = evidence.read_result(directory) or {"state": "failed"}
        tracking.end(result["state"])


def _run(directory: Path, held: Evidence) -> None:
    spec = evidence.read_json(directory / "spec.json")
    module = kinds.module(spec or {})
    if spec is None or module is None:
        raise BadInput(
            "The job's spec.json is missing or names no known kind of work. Start the job again."
        )
    _offline(spec)
    import_module(module).main(directory, held)


def _offline(spec: dict[str, object]) -> None:
    """Only a job whose base model is on the hub may ask the hub. Read by libraries when they are
    imported.
    """
    base = spec.get("base")
    if not (isinstance(base, dict) and base.get("kind") == "hub"):
        os.environ["HF_HUB_OFFLINE"] = "1"


def _calm() -> None:
    """Keep the libraries' chatter out of the job's log, which must never hold the text of a row."""
    settings = {
        "TOKENIZERS_PARALLELISM": "false",
        "TRANSFORMERS_VERBOSITY": "error",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
        "TQDM_DISABLE": "1",
        # Threads that spin while they wait make a run on a shared machine several times slower.
        "OMP_WAIT_POLICY": "PASSIVE",
    }
    for name, value in settings.items():
        os.environ.setdefault(name, value)
    logging.captureWarnings(True)
    for name in ("py.warnings", "bitsandbytes"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.simplefilter("ignore")


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An error and what led to it."""
    current: BaseException | None = error
    while current is not None:
        yield current
        current = current.__cause__ or current.__context__


def _cause(
    error: Exception, kept: int | None = None, chosen: Mapping[str, Any] | None = None
) -> tuple[int, str]:
    """Exit status and sentence for an error that is not a refusal; `kept` is the step of the last
    checkpoint, `chosen` the run's settings.
    """
    causes = list(_chain(error))
    again = "launch again" if kept is None else f"go on from step {kept}"
    if any(_is_memory(cause) for cause in causes):
        other = "" if kept is None else f" Or close what else needs memory and {again}."
        return OUT_OF_MEMORY, (
            f"The memory was not enough. {_less_memory(chosen or {})}, and launch again.{other}"
        )
    if any(_is_full(cause) for cause in causes):
        return DISK_FULL, f"The disk is full. Free some space and {again}."
    return FAILED, (
        f"The job stopped on an error that Assay did not foresee ({type(error).__name__}); "
        "train.log in its folder says where."
    )


def _less_memory(chosen: Mapping[str, Any]) -> str:
    """What to change, what harms least first: the result, then the speed, then the method."""
    ways = []
    if chosen.get("batch_size", 2) > 1:
        ways.append("halve the batch size")
    if not chosen.get("gradient_checkpointing"):
        ways.append("turn gradient checkpointing on")
    ways.append(_LESS.get(chosen.get("method", "lora"), "choose a smaller base model"))
    first, *others = ways
    return ", or ".join([first[0].upper() + first[1:], *others])


def _is_memory(error: BaseException) -> bool:
    """Whether memory ran out; torch's class is known by name so that it need not be imported."""
    names = {kind.__name__ for kind in type(error).__mro__}
    allocator = isinstance(error, RuntimeError) and "can't allocate memory" in str(error)
    return bool(names & {"MemoryError", "OutOfMemoryError"}) or allocator


def _is_full(error: BaseException) -> bool:
    """Whether the disk was full; safetensors and torch tell it in words only."""
    known = isinstance(error, OSError) and error.errno in _FULL
    told = type(error).__name__ == "SafetensorError" and "No space left" in str(error)
    return known or told or any(words in str(error) for words in _TORCH_FULL)


def _ended(held: Evidence, status: int, message: str) -> int:
    """Write the result; on a disk too full even for that, the exit status has to tell."""
    try:
        held.finish("failed", message, {"exit": status})
    except OSError:
        return DISK_FULL
    return status


def _log(directory: Path, error: Exception) -> None:
    """Add where an error arose to the log.

    Messages of other errors than the machine's own are left out: a library may quote the row it
    failed on.
    """
    lines: list[str] = []
    for cause in _chain(error):
        lines.extend(traceback.format_tb(cause.__traceback__))
        said = (
            str(cause) if isinstance(cause, _TELLING) else "(message left out: it may quote a row)"
        )
        lines.append(f"{type(cause).__qualname__}: {said}\n")
    try:
        with (directory / "train.log").open("a", encoding="utf-8") as file:
            file.writelines(lines)
    except OSError:
        sys.stderr.writelines(lines)
