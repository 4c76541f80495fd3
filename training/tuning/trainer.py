"""trl's trainer made exact: the order of rows follows from seed and pass, and checkpoints verify.

The trainer draws the order of a pass from the same random numbers as dropout does, so a run that
goes on in its second pass would see other rows than the one that was never interrupted. Here seed
and pass alone decide the order. On one machine with the same libraries a run that went on ends with
the same weights to the last bit; on a GPU only as far as its kernels repeat themselves.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.utils.data import Sampler
from transformers import (
    Trainer as HubTrainer,
    TrainerCallback,
    TrainerControl as Control,
    TrainerState as State,
)
from transformers.trainer_pt_utils import get_length_grouped_indices

from training.tuning import checkpoints
from training.tuning.answers import AnswersTrainer
from training.tuning.checkpoints import RunIdentity
from training.tuning.saving import Tuned, check_finite, copied, put
from training.tuning.watch import Watch
from training.work import ranks

_WEIGHTS = "adapter_model.safetensors"


class Order(Sampler[int]):
    """Rows of similar length together, in an order that follows from seed and pass alone."""

    def __init__(
        self, lengths: Sequence[int], batch_size: int, seed: int, step: Callable[[], int]
    ) -> None:
        self._lengths = list(lengths)
        self._batch_size = batch_size
        self._seed = seed
        self._step = step

    def __len__(self) -> int:
        return len(self._lengths)

    def __iter__(self) -> Iterator[int]:
        passes = self._step() // math.ceil(len(self._lengths) / self._batch_size)
        generator = torch.Generator().manual_seed((self._seed << 16) + passes)
        grouped = cast("Any", get_length_grouped_indices)
        return iter(grouped(self._lengths, self._batch_size, generator=generator))


class Exact(HubTrainer):
    """A trainer with an order of its own and checkpoints that are whole or not there."""

    def keep(self, directory: Path, watch: Watch, run: RunIdentity) -> None:
        """Write checkpoints into a run directory; `run` is what must be the same to go on."""
        self._directory, self._watch, self._run = directory, watch, run

    def _get_train_sampler(self, train_dataset: Any = None) -> Order:  # noqa: ANN401 - trl's
        rows = cast("Any", train_dataset if train_dataset is not None else self.train_dataset)
        columns = [rows[name] for name in rows.column_names if name.endswith("_ids")]
        lengths = [sum(map(len, row)) for row in zip(*columns, strict=True)]
        batch_size = self.args.train_batch_size * ranks.count()
        return Order(lengths, batch_size, self.args.seed, lambda: self.state.global_step)

    def _save_checkpoint(self, model: nn.Module, trial: object) -> None:
        """Everything that decides the rest of the run: weights, optimizer, rate, randomness, and
        what the watch knows. Not where the evaluation just ended the run: going on from there would
        train past its end.
        """
        del model, trial
        if self._watch.stopped_early:
            return
        step = self.state.global_step
        if not ranks.first():  # its own randomness goes into the folder that the first one makes
            ranks.together()
            self._save_rng_state(str(checkpoints.working(self._directory, step)))
            ranks.together()
            return
        weights = copied(cast("Tuned", self.model))
        check_finite(weights)
        with checkpoints.writing(self._directory, step, self._run) as folder:
            save_file(weights, folder / _WEIGHTS)
            self._save_optimizer_and_scheduler(str(folder))
            self._save_scaler(str(folder))
            ranks.together()
            self._save_rng_state(str(folder))
            self.state.save_to_json(str(folder / "trainer_state.json"))
            self._watch.save(folder)
            ranks.together()

    def _load_from_checkpoint(
        self, resume_from_checkpoint: str, model: nn.Module | None = None
    ) -> None:
        """The weights, from safetensors only."""
        del model
        put(cast("Tuned", self.model), load_file(Path(resume_from_checkpoint) / _WEIGHTS))


class Trainer(Exact, AnswersTrainer):
    """trl's trainer on answers, with an order of its own and checkpoints that verify."""


class Saves(TrainerCallback):
    """Asks for checkpoints: every so many steps, and where someone asked the run to stop.

    At the end of a pass it waits for the evaluation, which belongs to what is gone on from.
    """

    def __init__(self, every: int, steps_a_pass: int, watch: Watch) -> None:
        self._every = every
        self._steps_a_pass = steps_a_pass
        self._watch = watch

    def on_step_end(self, args: object, state: State, control: Control, **kwargs: object) -> None:
        """Within a pass."""
        if state.global_step % self._steps_a_pass:
            self._ask(state, control)

    def on_epoch_end(self, args: object, state: State, control: Control, **kwargs: object) -> None:
        """After a whole pass."""
        if state.global_step % self._steps_a_pass == 0:
            self._ask(state, control)

    def _ask(self, state: State, control: Control) -> None:
        due = self._watch.stopping or (self._every and state.global_step % self._every == 0)
        if self._every and due and state.global_step < state.max_steps:
            control.should_save = not self._watch.cancelled
