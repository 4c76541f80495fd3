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
from contextlib import suppress
from importlib import import_module
from pathlib import Path

from storage import private
from storage.errors import AssayError, BadInput
from training import kinds
from training.records import tasks
from training.records.tasks import TaskHead
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
_OWN_WORDS = (OSError, RuntimeError, ImportError, MemoryError)
_FULL = (errno.ENOSPC, errno.EDQUOT)
_TORCH_FULL = ("PytorchStreamWriter failed writing", "unexpected pos ")
"""What torch says when a file that it writes is cut; the system's own error is lost."""


def work(directory: Path) -> int:
    """Run the job; returns the exit status: 0, 1 failed, 86 out of memory, 88 disk full.

    However it ends, `result.json` says so in one sentence, unless the disk cannot even hold that.
    """
    private.begin()
    _calm()
    try:
        with ranks.hold(directory) as hold:
            status = _guarded(directory, hold)
            _end_trackers(directory)
            return status
    except AssayError as error:  # another worker holds the lock: the result is its to write
        sys.stderr.write(f"{error}\n")
        return FAILED


def _guarded(directory: Path, hold: Evidence) -> int:
    try:
        _run(directory, hold)
    except Cancelled:
        hold.finish("cancelled", "Cancelled. Nothing was kept.")
    except AssayError as error:
        return _failed(hold, FAILED, str(error))
    except Exception as error:
        _log(directory, error)
        checkpoint = checkpoints.offered(directory)
        step = checkpoint.step if checkpoint is not None else None
        status, sentence = _cause(error, step, _settings(directory))
        return _failed(hold, status, sentence)
    return 0


def end_out_of_memory(directory: Path) -> None:
    """End this process, which has more memory than it may, with the same sentence as where the
    system had refused it.
    """
    checkpoint = checkpoints.offered(directory)
    step = checkpoint.step if checkpoint is not None else None
    status, sentence = _cause(MemoryError(), step, _settings(directory))
    with suppress(OSError):
        evidence.finish(directory, "failed", sentence, {"exit": status})
    os._exit(status)


def _settings(directory: Path) -> Mapping[str, object]:
    head = evidence.read(TaskHead, directory / "spec.json")
    return head.settings if head is not None else {}


def _end_trackers(directory: Path) -> None:
    """Tell the trackers that were reported to how the run ended; they were loaded by it if any."""
    tracking = sys.modules.get("training.tuning.tracking")
    if tracking is not None:
        result = evidence.read_result(directory) or {"state": "failed"}
        tracking.end(result["state"])


def _run(directory: Path, hold: Evidence) -> None:
    task = tasks.read(TaskHead, directory)
    module = kinds.module(task)
    if module is None:
        raise BadInput(tasks.MISSING)
    if (task.base or {}).get("kind") != "hub":
        # Only a job whose base model is on the hub may ask the hub. Read by libraries when they
        # are imported.
        os.environ["HF_HUB_OFFLINE"] = "1"
    import_module(module).main(directory, hold)


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
    error: Exception,
    step: int | None = None,
    settings: Mapping[str, object] | None = None,
) -> tuple[int, str]:
    """Exit status and sentence for an error that is not a refusal, of a run with these settings and
    its last checkpoint at this step.
    """
    causes = list(_chain(error))
    again = "launch again" if step is None else f"go on from step {step}"
    if any(_is_memory(cause) for cause in causes):
        or_so = "" if step is None else f" Or close what else needs memory and {again}."
        return OUT_OF_MEMORY, (
            f"The memory was not enough. {_less_memory(settings or {})}, and launch again.{or_so}"
        )
    if any(_is_full(cause) for cause in causes):
        return DISK_FULL, f"The disk is full. Free some space and {again}."
    return FAILED, (
        f"The job stopped on an error that Assay did not foresee ({type(error).__name__}); "
        "train.log in its folder says where."
    )


def _less_memory(settings: Mapping[str, object]) -> str:
    """What to change, what harms least first: the result, then the speed, then the method."""
    ways = []
    if settings.get("batch_size") != 1:
        ways.append("halve the batch size")
    if not settings.get("gradient_checkpointing"):
        ways.append("turn gradient checkpointing on")
    ways.append(_LESS.get(str(settings.get("method", "lora")), "choose a smaller base model"))
    first, *others = ways
    return ", or ".join([first[0].upper() + first[1:], *others])


def _is_memory(error: BaseException) -> bool:
    """Whether memory ran out; torch's class is told by its name so that it need not be imported."""
    names = {kind.__name__ for kind in type(error).__mro__}
    allocator = isinstance(error, RuntimeError) and "can't allocate memory" in str(error)
    return bool(names & {"MemoryError", "OutOfMemoryError"}) or allocator


def _is_full(error: BaseException) -> bool:
    """Whether the disk was full; safetensors and torch tell it in words only."""
    by_system = isinstance(error, OSError) and error.errno in _FULL
    by_safetensors = type(error).__name__ == "SafetensorError" and "No space left" in str(error)
    by_torch = any(sign in str(error) for sign in _TORCH_FULL)
    return by_system or by_safetensors or by_torch


def _failed(hold: Evidence, status: int, message: str) -> int:
    """Write the result; on a disk too full even for that, the exit status has to tell."""
    try:
        hold.finish("failed", message, {"exit": status})
    except OSError:
        return DISK_FULL
    return status


def _log(directory: Path, error: Exception) -> None:
    """Add where an error arose to the log.

    Messages of other errors than the machine's own are left out: a library may quote the pair it
    failed on.
    """
    lines: list[str] = []
    for cause in _chain(error):
        lines.extend(traceback.format_tb(cause.__traceback__))
        own = isinstance(cause, _OWN_WORDS)
        message = str(cause) if own else "(message left out: it may quote a pair)"
        lines.append(f"{type(cause).__qualname__}: {message}\n")
    try:
        with (directory / "train.log").open("a", encoding="utf-8") as file:
            file.writelines(lines)
    except OSError:
        sys.stderr.writelines(lines)
