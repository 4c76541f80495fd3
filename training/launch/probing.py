"""Take a few real steps of a run and measure them; read it from top to bottom.

Everything is as in the run: its process, libraries, base model, rows, batches, optimizer. Only the
batches are chosen: the longest first, for the peak of memory and to warm up, then batches spread
over the lengths of a pass, until there are enough or the time is up. Nothing is kept.
"""

import statistics
import tempfile
import time
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, cast

import psutil
import torch
from msgspec import structs
from torch.utils.data import SequentialSampler
from transformers import (
    PreTrainedTokenizerBase,
    TrainerCallback,
    TrainerControl as Control,
    TrainerState as State,
)

from training.launch import methods, probes
from training.launch.estimates import MINIMUM_STEPS
from training.models import base_models, render
from training.records import tasks
from training.records.record import written
from training.records.rendered import RenderedPair, RenderedPairs, Stretch
from training.records.tasks import TrainTask
from training.settings import Local
from training.tuning import course, saving
from training.tuning.course import Course
from training.tuning.trainer import Exact, Saves
from training.tuning.watch import Watch
from training.work import evidence, machine, ranks, rows
from training.work.evidence import Evidence

MOST = 12
"""Measured steps at most, after one to warm up."""
ENOUGH_SECONDS = 20.0
"""After so long the probe ends, once it has the least steps."""
_COUNTED = 300
"""Batches whose tokens are counted; of a longer pass, so many spread over it."""
_VALIDATION = 64
_DRAWN = 12
_LISTED = 200


def main(directory: Path, hold: Evidence) -> None:
    """Write how the rows look to the model, then measure steps, and leave `result.json`.

    Raises:
        AssayError: what would refuse the run refuses the probe.
    """
    task = tasks.read(TrainTask, directory)
    base = course.base(task, hold)
    method = import_module(methods.MODULES[task.settings.METHOD])
    if ranks.first():
        began = time.monotonic()
        hold.say("Looking at the pairs as the model sees them.")
        rendered = see(directory, base.path, task)
        rendered = structs.replace(rendered, seconds=time.monotonic() - began, program_mb=_ram_mb())
        evidence.write_json(directory / probes.ROWS_FILE, written(rendered))
    method.main(directory, hold, measure)


def see(directory: Path, base: Path, task: TrainTask) -> RenderedPairs:
    """Every row rendered as the run will, and of that what a person wants to see."""
    tokenizer = base_models.tokenizer(base)
    pairs = rows.read_training(directory / task.rows_path, task.rows_sha256)
    system = task.system_message
    rendered: list[tuple[rows.TrainingPair, str, list[int], list[int]]] = []
    for row in pairs:
        answers = {"": row.response}
        if row.rejected:
            answers = {"better": row.response, "worse": row.rejected}
        for which, answer in answers.items():
            ids, labels = render.pair_ids(tokenizer, system, row.prompt, answer)
            rendered.append((row, which, ids, labels))
    lengths = [len(ids) for _, _, ids, _ in rendered]
    limit = cast("Local", task.settings).max_length
    long = [(row.pair_id, len(ids)) for row, _, ids, _ in rendered if len(ids) > limit]
    train = sorted(
        (entry for entry in rendered if entry[0].split == "train"), key=lambda r: len(r[2])
    )
    drawn = [train[i] for i in spread(len(train), min(_DRAWN, len(train)))]
    return RenderedPairs(
        lengths=tuple(lengths),
        limit=limit,
        too_long=len(long),
        too_long_rows=tuple(sorted(long, key=lambda entry: -entry[1])[:_LISTED]),
        shared=render.common_length([ids for _, _, ids, _ in rendered]),
        mean=statistics.fmean(lengths),
        learnt=sum(x != render.IGNORED for *_, labels in rendered for x in labels),
        examples=tuple(
            RenderedPair(
                pair_id=row.pair_id,
                answer=which,
                tokens=len(ids),
                stretches=stretches(tokenizer, ids, labels),
            )
            for row, which, ids, labels in drawn
        ),
    )


def stretches(
    tokenizer: PreTrainedTokenizerBase, ids: Sequence[int], labels: Sequence[int]
) -> tuple[Stretch, ...]:
    """A row cut where learning begins or ends and around each mark of the chat template."""
    special = set(tokenizer.all_special_ids)
    cut: list[tuple[bool, bool, list[int]]] = []
    for token, label in zip(ids, labels, strict=True):
        learnt, mark = label != render.IGNORED, token in special
        if cut and not mark and cut[-1][:2] == (learnt, False):
            cut[-1][2].append(token)
        else:
            cut.append((learnt, mark, [token]))
    return tuple(
        Stretch(
            text=str(tokenizer.decode(part, skip_special_tokens=False)),
            learnt=learnt,
            mark=mark,
            tokens=len(part),
        )
        for learnt, mark, part in cut
    )


def spread(total: int, count: int) -> list[int]:
    """`count` places spread evenly over `total`, first and last among them where there are two."""
    if count < 2:
        return list(range(min(total, count)))
    return [round(i * (total - 1) / (count - 1)) for i in range(count)]


class Clock(TrainerCallback):
    """Notes when steps and the evaluation end, and ends the probe when it has enough."""

    def __init__(self) -> None:
        self.first = 0.0
        self.ends: list[float] = []
        self.evaluation = 0.0
        self._passed = 0.0

    def on_step_begin(self, args: object, state: State, control: Control, **kwargs: object) -> None:
        """The first one ends the time of getting ready."""
        if state.global_step == 0:
            self.first = time.monotonic()

    def on_step_end(self, args: object, state: State, control: Control, **kwargs: object) -> None:
        """A step's time runs from the end of the one before: loading its batch belongs to it."""
        _finished()
        self.ends.append(time.monotonic())
        late = self.ends[-1] - self.ends[0] > ENOUGH_SECONDS
        if ranks.agreed(int(late)) and len(self.ends) > MINIMUM_STEPS:
            control.should_training_stop = True

    def on_epoch_end(self, args: object, state: State, control: Control, **kwargs: object) -> None:
        """The evaluation begins here."""
        self._passed = time.monotonic()

    def on_evaluate(self, args: object, state: State, control: Control, **kwargs: object) -> None:
        """The evaluation ended."""
        _finished()
        self.evaluation = time.monotonic() - self._passed

    def seconds(self) -> list[float]:
        """Of each measured step; the first one warmed up and does not count."""
        return [b - a for a, b in zip(self.ends, self.ends[1:], strict=False)]


def measure(
    run: Course,
    trainer: Exact,
    watch: Watch,
    _learnt_tokens: int,
    _batches: str,
) -> None:
    """Take the steps and leave the figures that `estimates.of` reads, in place of the whole run."""
    rendered = probes.rendered_pairs(run.directory)
    ready = machine.lived() - (rendered.seconds if rendered else 0.0)
    rows = {"train": _size(trainer.train_dataset), "validation": _size(trainer.eval_dataset)}
    tokens, mean = _only(trainer, *_choose(trainer, run.settings.batch_size))
    share = rows["validation"] / max(1, _size(trainer.eval_dataset))
    clock = Clock()
    trainer.remove_callback(Saves)
    trainer.add_callback(clock)
    run.hold.say(f"Trying {len(tokens) - 1} steps at most.")
    loading = machine.peak_mb() or 0.0
    machine.forget_peak()
    began = time.monotonic()
    trainer.train()
    if watch.cancelled:
        run.hold.finish("cancelled", "Cancelled. Nothing was kept.")
        return
    if not ranks.first():
        return
    peak = machine.peak_mb() or 0.0
    steps = clock.seconds()
    tried = tokens[1 : len(steps) + 1]
    warming = max(0.0, clock.ends[0] - clock.first - sum(steps) / sum(tried) * tokens[0])
    figures = {
        "ready_seconds": ready + clock.first - began + warming,
        "step_seconds": steps,
        "step_tokens": tried,
        "median_seconds": statistics.median(steps),
        "tokens_a_batch": mean,
        "evaluation_seconds": clock.evaluation * share,
        "saving_seconds": _saving(run, trainer),
        "memory_mb": _parts(trainer, rendered.program_mb if rendered else 0.0, peak),
        "peak_memory_mb": max(peak, loading),
        "rows": rows,
    }
    sentence = f"{len(steps)} steps measured: {figures['median_seconds']:.2g} s a step."
    run.hold.finish("finished", sentence, figures)


def _only(
    trainer: Exact, chosen: Sequence[Sequence[int]], tokens: list[int], mean: float
) -> tuple[list[int], float]:
    """Let the trainer take the chosen batches in their order, and a part of the validation rows;
    returns what it is told of their tokens.
    """
    train, validation = cast("Any", trainer.train_dataset), cast("Any", trainer.eval_dataset)
    trainer.train_dataset = train.select([i for batch in chosen for i in batch])
    in_order = SequentialSampler(cast("Any", trainer.train_dataset))
    cast("Any", trainer)._get_train_sampler = lambda *_: in_order
    trainer.args.max_steps = len(chosen)
    if _size(validation) > _VALIDATION:
        trainer.eval_dataset = validation.select(spread(len(validation), _VALIDATION))
    return tokens, mean


def _choose(trainer: Exact, size: int) -> tuple[list[list[int]], list[int], float]:
    """The batches to try, the tokens that each computes, and the mean tokens of all in a pass."""
    order = list(cast("Any", trainer)._get_train_sampler())
    batches = [order[i : i + size] for i in range(0, len(order), size)]
    counted = [batches[i] for i in spread(len(batches), min(_COUNTED, len(batches)))]
    costs = [_tokens(trainer, batch) for batch in counted]
    full = sorted(
        (cost, batch)
        for cost, batch in zip(costs, counted, strict=True)
        if len(batch) == size or len(batches) == 1
    )
    middles = [(2 * i + 1) * len(full) // (2 * MOST) for i in range(MOST)]
    # The first four are the middles of quarters, so that a probe cut short is spread as well.
    picked = [full[middles[i]] for i in (1, 4, 7, 10, 2, 9, 0, 11, 5, 6, 3, 8)]
    batches_to_try = [full[-1], *picked]
    return (
        [batch for _, batch in batches_to_try],
        [cost for cost, _ in batches_to_try],
        statistics.fmean(costs),
    )


def _tokens(trainer: Exact, batch: Sequence[int]) -> int:
    """Tokens that a batch computes, its padding included and what its rows share once."""
    rows = cast("Any", trainer.train_dataset)
    batch_tensors = cast("Any", trainer.data_collator)([rows[i] for i in batch])
    return sum(value.numel() for name, value in batch_tensors.items() if name.endswith("input_ids"))


def _parts(trainer: Exact, program: float, peak: float) -> dict[str, float]:
    """The peak of the steps by part, in MB; what no part explains is activations.

    `program` is what the process had before the base model was loaded, and nothing on a GPU, whose
    memory holds no program.
    """
    model = cast("torch.nn.Module", trainer.model)
    states = cast("Any", trainer.optimizer).state.values()
    learnt = gradients = _mb([p for p in model.parameters() if p.requires_grad])
    parts = {
        "program": 0.0 if torch.cuda.is_available() else program,
        "weights": _mb([p for p in model.parameters() if not p.requires_grad]),
        "adapter": learnt + gradients,
        "optimizer": _mb([v for state in states for v in state.values() if torch.is_tensor(v)]),
    }
    return parts | {"activations": max(0.0, peak - sum(parts.values()))}


def _mb(tensors: Sequence[torch.Tensor]) -> float:
    return sum(t.numel() * t.element_size() for t in tensors) / 1e6


def _ram_mb() -> float:
    return float(psutil.Process().memory_info().rss) / 1e6


def _size(rows: object) -> int:
    return 0 if rows is None else len(cast("Any", rows))


def _finished() -> None:
    """An accelerator works on after it was asked; its time counts to the step that asked."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def _saving(run: Course, trainer: Exact) -> float:
    """Seconds to write what was learnt, into a folder that is thrown away."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix=".thrown-away-", dir=run.directory) as folder:
        tuned = cast("saving.Tuned", trainer.model)
        saving.save(tuned, run.tokenizer, run.base.name, Path(folder) / "adapter")
        return time.monotonic() - began
