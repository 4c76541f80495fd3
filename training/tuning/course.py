"""The course of a run on this machine, whatever its method: begin, go on from a checkpoint, train,
keep what was learnt, and leave the record.
"""

import hashlib
import math
import platform
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from msgspec import structs
from torch import nn
from transformers import PreTrainedTokenizerBase
from transformers.trainer_callback import PrinterCallback, ProgressCallback

from curation.personal import model_files
from training.models import base_models
from training.models.precision import Precision
from training.records.parts import BaseOrigin, PairCounts
from training.records.record import written
from training.records.results import TrainResult
from training.records.tasks import TrainTask
from training.settings import Full, Local
from training.tuning import checkpoints, saving
from training.tuning.checkpoints import RunIdentity
from training.tuning.saving import Diverged, Tuned
from training.tuning.trainer import Exact, Saves
from training.tuning.watch import Watch
from training.work import ranks
from training.work.evidence import Evidence


def base(task: TrainTask, hold: Evidence) -> base_models.ModelFolder:
    """The base model of a run, ready to load.

    Raises:
        AssayError: it is refused, or not to be had.
    """
    with ranks.first_then_others():
        return base_models.prepare(task.base, Path(task.data_dir), hold.say)


def arguments(directory: Path, settings: Local, train: int, validation: int) -> dict[str, Any]:
    """What every trainer is told, by the number of train and validation rows.

    With several processes each takes its part of a batch, so that a step learns from as many rows
    as with one.
    """
    cuda = torch.cuda.is_available()
    share = max(1, settings.batch_size // ranks.count())
    return {
        "output_dir": str(directory / "trainer"),
        "per_device_train_batch_size": share,
        "per_device_eval_batch_size": share,
        "num_train_epochs": settings.epochs,
        "max_steps": settings.max_steps or -1,
        "learning_rate": settings.learning_rate,
        "warmup_steps": math.ceil(settings.warmup * settings.steps(train)),
        "lr_scheduler_type": "linear",
        "weight_decay": settings.weight_decay if isinstance(settings, Full) else 0.0,
        "max_grad_norm": 1.0,
        "gradient_checkpointing": settings.gradient_checkpointing,
        "use_cpu": not cuda,
        "bf16": cuda and torch.cuda.is_bf16_supported(),
        "dataloader_pin_memory": cuda,
        "ddp_find_unused_parameters": False,  # every trained weight is used in every step
        "logging_steps": 1,
        "logging_first_step": True,
        "logging_nan_inf_filter": False,  # else a NaN loss is logged as 0.0
        "eval_strategy": "epoch" if validation else "no",
        "save_strategy": "no",
        "report_to": [],
        "disable_tqdm": True,
        "seed": settings.seed,
        "data_seed": settings.seed,
    }


def follow(trainer: Exact, watch: Watch, settings: Local, train: int) -> None:
    """Let the watch and the checkpoints follow a trainer, and take away the callbacks that print,
    since progress lines are ours.
    """
    for callback in (PrinterCallback, ProgressCallback):
        trainer.remove_callback(callback)
    trainer.add_callback(watch)
    steps_a_pass = math.ceil(train / settings.batch_size)
    trainer.add_callback(Saves(settings.checkpoint_steps, steps_a_pass, watch))


def as_float32(model: nn.Module) -> None:
    """Train an adapter on a 4-bit base in float32, as any other: trl gives it bfloat16, in which
    steps as small as the last of a run are lost.
    """
    for weight in model.parameters():
        if weight.requires_grad:
            weight.data = weight.data.float()


@dataclass(frozen=True, slots=True)
class Course:
    """A run that is about to begin."""

    directory: Path
    hold: Evidence
    task: TrainTask
    settings: Local
    base: base_models.ModelFolder
    tokenizer: PreTrainedTokenizerBase
    precision: Precision

    def see_through(self, trainer: Exact, watch: Watch, tokens: int, batches: str) -> None:
        """Train to the end, keep what was learnt in `adapter/` and leave `result.json`.

        `tokens` count towards the loss in one pass; `batches` says how rows are put together.

        Raises:
            Diverged: a loss or weight is no number.
            RuleBroken: what the run goes on from does not fit it.
            Unavailable: the checkpoint is gone or damaged.
        """
        run = self._identity()
        trainer.keep(self.directory, watch, run)
        before = self._went_on(run, watch)
        if ranks.first() and self.task.trackers:
            from training.tuning import tracking

            tracking.follow(trainer, self.task, self.hold)
        try:
            trainer.train(resume_from_checkpoint=before)
            if watch.cancelled:
                self._cancelled(watch)
                return
            tuned = cast("Tuned", trainer.model)
            watch.restore_best(tuned)
            if not ranks.first():
                saving.check_finite(saving.trained(tuned))
                return
            hashes = saving.save(tuned, self.tokenizer, self.base.name, self.directory / "adapter")
        except Diverged as error:
            figures = structs.replace(watch.figures(), exit=1, diverged=True)
            self.hold.finish("failed", str(error), written(figures))
            raise
        record = structs.replace(
            self._record(trainer, watch, run, hashes),
            trained_tokens=round(watch.epochs * tokens),
            batches=batches,
        )
        self.hold.finish("finished", watch.ending(), written(record))

    def _identity(self) -> RunIdentity:
        """What must be the same for the run to go on exactly, and what it ran on."""
        return RunIdentity(
            rows_sha256=self.task.rows_sha256,
            system_sha256=hashlib.sha256(self.task.system_message.encode()).hexdigest(),
            settings=self.settings.to_dict(),
            base_sha256=self.base.sha256,
            libraries=checkpoints.libraries(),
            hardware=hardware(),
        )

    def _went_on(self, run: RunIdentity, watch: Watch) -> str | None:
        """The checkpoint that the run goes on from, verified and compared; None for a new run.

        Raises:
            Unavailable: it is gone or damaged.
            RuleBroken: rows, settings, base model or libraries are no longer as they were.
        """
        wanted = self.task.resumed_from
        if wanted is None:
            return None
        checkpoint = checkpoints.find(self.directory, wanted.step, wanted.sha256)
        saved = checkpoints.verify(checkpoint).run
        checkpoints.check(checkpoint, saved, run)
        watch.load(checkpoint.path)
        self.hold.say(f"Going on from step {checkpoint.step} of run {wanted.job[:8]}.")
        if saved.hardware != run.hardware:
            self.hold.say(
                "The machine is another one than before: the last digits of figures may differ."
            )
        return str(checkpoint.path)

    def _cancelled(self, watch: Watch) -> None:
        if ranks.first():
            checkpoints.tidy(self.directory, keep=False)
        self.hold.finish("cancelled", f"Cancelled at step {watch.step}. Nothing was kept.")

    def _record(
        self, trainer: Exact, watch: Watch, run: RunIdentity, hashes: dict[str, str]
    ) -> TrainResult:
        sets = (trainer.train_dataset, trainer.eval_dataset)
        train, validation = (len(cast("Any", rows)) if rows is not None else 0 for rows in sets)
        return structs.replace(
            watch.figures(),
            version_sha256=self.task.version_sha256,
            rows_sha256=self.task.rows_sha256,
            base=BaseOrigin(
                name=self.base.name,
                sha256=self.base.sha256,
                licence=self.base.licence,
                revision=self.base.revision,
            ),
            settings=self.settings.to_dict(),
            precision=self.precision.value,
            seed=self.settings.seed,
            libraries=run.libraries,
            hardware=run.hardware,
            rows=PairCounts(train=train, validation=validation),
            seconds=round(watch.seconds(), 1),
            resumed_from=self.task.resumed_from,
            started_from=self.task.started_from,
            adapter_files=hashes,
            adapter_sha256=model_files.names_sha256(hashes),
        )


Through = Callable[[Course, Exact, Watch, int, str], None]
"""What is done with a run once all is ready: `Course.see_through`, or another of its shape."""


def hardware() -> dict[str, str | int | None]:
    """What the run ran on."""
    return {
        "machine": platform.machine(),
        "system": platform.system(),
        "threads": torch.get_num_threads(),
        "processes": ranks.count(),
        "accelerator": torch.cuda.get_device_name(0) if torch.cuda.is_available() else None,
    }
