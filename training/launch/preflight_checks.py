"""What a run is checked for before it starts, judged from facts alone.

Pure: the page, the command and the launch judge alike (`preflight` gathers the facts). What no
check sees: whether the rows are right (the readiness gate asks for that), a library that is broken,
a disk that fills up from elsewhere.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from curation import statistics
from training.models import memory
from training.models.memory import ModelSize
from training.records.parts import BaseModel
from training.settings import Full, Local, Qlora, Tuning
from training.tuning import checkpoints

_SPARE_MB = 500.0
"""Room on the disk that a run leaves to everything else."""


class Mark(StrEnum):
    """What a check came to."""

    GOOD = "good"
    NOTE = "note"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Check:
    """One line: what was looked at and found, and what to do."""

    key: str
    name: str
    mark: Mark
    finding: str
    fix: str = ""


@dataclass(frozen=True, slots=True)
class Facts:
    """What the checks judge."""

    base: BaseModel
    settings: Tuning
    train: int
    validation: int
    leak: str = ""
    """Why rows may not train; empty where all may."""
    base_problem: str = ""
    """Why the base model's folder is refused; empty where it is not, or is not here yet."""
    base_present: bool = True
    base_vetted: bool = True
    """Whether its folder was looked through as it is now."""
    model: ModelSize | None = None
    lengths: tuple[int, ...] | None = None
    """Tokens of each row; None where no probe counted them."""
    too_long: tuple[int, ...] = ()
    """Pairs with more tokens than the settings allow."""
    free_mb: float = 0.0
    accelerators: Sequence[str] = ()
    waiting: int = 0
    """Jobs that run or wait on this machine."""
    libraries: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """Libraries that differ from the ones Assay was tested with: installed, tested."""
    endpoint_problem: str = ""
    """Why the endpoint that is to tune cannot be asked; empty where it can."""
    trackers: tuple[tuple[str, ...], str] = ((), "")
    """What runs report to, and what is wrong with that."""


def checks(facts: Facts) -> list[Check]:
    """All lines that apply: errors first, then notes, then what is good."""
    lines = [_rows(facts), _leaks(facts)]
    if any(facts.trackers):
        lines.append(_trackers(*facts.trackers))
    if not isinstance(facts.settings, Local):
        lines.append(_endpoint(facts))
    if isinstance(facts.settings, Local):
        lines += [
            _base(facts),
            _validation(facts),
            _long(facts, facts.settings),
            _context(facts, facts.settings),
            _disk(facts, facts.settings),
            _accelerator(facts),
            _queue(facts),
            _libraries(facts),
        ]
    order = list(reversed(Mark))
    return sorted(lines, key=lambda line: order.index(line.mark))


def errors(lines: Sequence[Check]) -> list[Check]:
    """The lines that refuse a launch."""
    return [line for line in lines if line.mark is Mark.ERROR]


def _rows(facts: Facts) -> Check:
    name = "Training pairs"
    if facts.train:
        return Check("rows", name, Mark.GOOD, f"{facts.train} pairs train.")
    return Check(
        "rows",
        name,
        Mark.ERROR,
        "The version has no training pairs.",
        "Approve more pairs and freeze a new version.",
    )


def _leaks(facts: Facts) -> Check:
    name = "Test pairs in training"
    if facts.leak:
        return Check("leak", name, Mark.ERROR, facts.leak)
    return Check("leak", name, Mark.GOOD, "No pair for training repeats a test pair.")


def _validation(facts: Facts) -> Check:
    name = "Validation pairs"
    if facts.validation:
        return Check(
            "validation", name, Mark.GOOD, f"{facts.validation} pairs watch for over-learning."
        )
    return Check(
        "validation",
        name,
        Mark.ERROR,
        "The version has 0 validation pairs, so nothing would tell when it learns pairs by heart.",
        "Freeze a version of more pairs.",
    )


def _endpoint(facts: Facts) -> Check:
    name = "Endpoint"
    if facts.endpoint_problem:
        return Check("endpoint", name, Mark.ERROR, facts.endpoint_problem)
    return Check("endpoint", name, Mark.GOOD, "It is configured, with its key and this model.")


def _trackers(names: Sequence[str], problem: str) -> Check:
    if problem:
        return Check("trackers", "Trackers", Mark.ERROR, problem)
    return Check("trackers", "Trackers", Mark.GOOD, f"The run reports to {', '.join(names)}.")


def _base(facts: Facts) -> Check:
    name = "Base model"
    if facts.base_problem:
        return Check("base", name, Mark.ERROR, facts.base_problem)
    if not facts.base_vetted:
        return Check(
            "base",
            name,
            Mark.NOTE,
            "Its folder was not looked through yet, or changed since.",
            "It is looked through when the run is launched, before anything is loaded from it.",
        )
    if facts.base_present:
        return Check(
            "base", name, Mark.GOOD, "It holds no code and no pickles, and has a chat template."
        )
    if facts.base.kind == "packaged":
        return Check(
            "base", name, Mark.NOTE, "The packaged model is converted first, once: about 40 s."
        )
    return Check(
        "base",
        name,
        Mark.NOTE,
        "It is fetched from the hub when the run starts.",
        "This server must be online then; the folder is looked through before it is loaded.",
    )


def _long(facts: Facts, settings: Local) -> Check:
    name = "Longest pair"
    if facts.lengths is None:
        return Check(
            "long",
            name,
            Mark.NOTE,
            "The tokens of the pairs were not counted yet.",
            "Try the settings: that counts them.",
        )
    longest = max(facts.lengths)
    if not facts.too_long:
        return Check(
            "long",
            name,
            Mark.GOOD,
            f"The longest pair has {longest} tokens; {settings.max_length} are allowed.",
        )
    over = sum(length > settings.max_length for length in facts.lengths)
    count = statistics.count(over, "pair is", "pairs are")
    named = ", ".join(map(str, facts.too_long[:5]))
    return Check(
        "long",
        name,
        Mark.ERROR,
        f"{count} longer than {settings.max_length} tokens (pair {named}).",
        f"Shorten them, or allow {longest} tokens in the settings.",
    )


def _context(facts: Facts, settings: Local) -> Check:
    name = "Context of the base model"
    context = facts.model.context if facts.model is not None else None
    if context is None:
        return Check("context", name, Mark.NOTE, "The base model's files are not here yet.")
    longest = max(facts.lengths or (0,))
    if longest > context:
        return Check(
            "context",
            name,
            Mark.ERROR,
            f"The longest pair has {longest} tokens, and the base model reads {context} at most.",
            "Shorten the pairs, or choose a base model with a longer context.",
        )
    if settings.max_length > context:
        return Check(
            "context",
            name,
            Mark.NOTE,
            f"{settings.max_length} tokens are allowed, and the base model reads {context} at "
            "most.",
            f"Allow {context}.",
        )
    return Check("context", name, Mark.GOOD, f"It reads up to {context} tokens.")


def disk_mb(base: ModelSize, settings: Local) -> float:
    """What a run writes at most: the checkpoints kept, the best weights, what it learnt."""
    parts = memory.expect(base, settings, memory.PairLengths(0, ()), gpu=False)
    learnt = parts["adapter"] / 2
    retained = checkpoints.RETAINED + 1 if settings.checkpoint_steps else 0
    return retained * (2 * learnt + parts["optimizer"]) + learnt


def _disk(facts: Facts, settings: Local) -> Check:
    name = "Room on the disk"
    free = f"{facts.free_mb / 1000:.1f} GB are free"
    if facts.model is None:
        return Check("disk", name, Mark.NOTE, f"{free}; how much is needed is not known yet.")
    need = disk_mb(facts.model, settings) + _SPARE_MB
    sentence = f"{free}; the run asks for {need / 1000:.1f} GB."
    if facts.free_mb >= need:
        return Check("disk", name, Mark.GOOD, sentence)
    less = " or write fewer checkpoints" if settings.checkpoint_steps else ""
    return Check("disk", name, Mark.ERROR, sentence, f"Free some room{less}.")


def _accelerator(facts: Facts) -> Check:
    name = "Accelerator"
    if facts.accelerators:
        return Check("accelerator", name, Mark.GOOD, ", ".join(facts.accelerators))
    slow = ""
    if isinstance(facts.settings, Qlora):
        slow = "QLoRA saves no time on a processor: choose LoRA unless memory is short."
    elif isinstance(facts.settings, Full):
        slow = "Full tuning takes long here: choose LoRA to begin with."
    return Check(
        "accelerator",
        name,
        Mark.NOTE,
        "No GPU was found; the run uses the processor, which is right for small models.",
        slow,
    )


def _queue(facts: Facts) -> Check:
    name = "Other work on this machine"
    if not facts.waiting:
        return Check("queue", name, Mark.GOOD, "Nothing runs now; it starts at once.")
    jobs = statistics.count(facts.waiting, "job")
    return Check("queue", name, Mark.NOTE, f"It will wait for {jobs} to end, then start by itself.")


def _libraries(facts: Facts) -> Check:
    name = "Libraries"
    if not facts.libraries:
        return Check("libraries", name, Mark.GOOD, "They are the versions Assay was tested with.")
    sentence = ", ".join(
        f"{name} {installed} (tested: {tested})"
        for name, (installed, tested) in sorted(facts.libraries.items())
    )
    return Check(
        "libraries",
        name,
        Mark.NOTE,
        sentence,
        "Install with constraints.txt to have the tested ones.",
    )


def as_dicts(lines: Sequence[Check]) -> list[dict[str, Any]]:
    """For commands and records."""
    return [
        {"check": line.name, "mark": line.mark.value, "found": line.finding, "fix": line.fix}
        for line in lines
    ]
