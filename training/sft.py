"""Tune a LoRA adapter on the train rows of a version; read it from top to bottom.

What it promises: the rows are the ones hashed in the spec, none is a test row, each is rendered by
`render.pair_ids`, a loss or weight that is not finite never ends as "finished", and the weights
kept are those of the lowest validation loss. What it does not: resume a killed run (it starts
anew), or keep anything of a cancelled one.
"""

import hashlib
import json
import math
import platform
import shutil
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from peft import LoraConfig, PeftModel, get_peft_model_state_dict, set_peft_model_state_dict
from transformers import (
    PreTrainedModel,
    PreTrainedTokenizerBase,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)
from trl.trainer.sft_config import SFTConfig
from trl.trainer.sft_trainer import SFTTrainer

from storage.errors import AssayError, BadInput, RuleBroken
from training import base_models, batches, evidence, render
from training.evidence import Evidence
from training.settings import Lora

_LIBRARIES = (
    "accelerate",
    "datasets",
    "peft",
    "safetensors",
    "tokenizers",
    "torch",
    "transformers",
    "trl",
)
_EXAMPLES_NAMED = 5

Weights = dict[str, torch.Tensor]


class Diverged(AssayError):
    """A loss, gradient or weight is no longer a finite number."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the frozen version."""

    pair_id: int
    split: str
    prompt: str
    response: str


def main(directory: Path, held: Evidence) -> None:
    """Train as `spec.json` says, show progress in `events.jsonl`, leave `adapter/` and
    `result.json`.

    Raises:
        AssayError: the rows, settings or base model are refused, or the run diverged.
    """
    started = time.monotonic()
    spec = evidence.read_json(directory / "spec.json") or {}
    settings = Lora.from_dict(spec.get("settings", {}))
    rows = read_rows(directory / spec["rows_path"], spec["rows_sha256"])
    base = base_models.prepare(
        base_models.Base.from_dict(spec["base"]), Path(spec["data_dir"]), held.say
    )

    held.say("Loading the base model.")
    model, tokenizer = base_models.load(base.path)
    train = tokenized(rows, "train", tokenizer, spec["system_message"], settings.max_length)
    validation = tokenized(
        rows, "validation", tokenizer, spec["system_message"], settings.max_length
    )

    watch = Watch(held, settings.patience)
    trainer = build_trainer(directory, model, tokenizer, train, validation, settings, watch)
    held.say(f"Training on {len(train)} rows, watching {len(validation)} validation rows.")
    trainer.train()
    if watch.cancelled:
        held.finish("cancelled", f"Cancelled at step {watch.step}. Nothing was kept.")
        return

    watch.restore_best(trainer.model)
    hashes = save_adapter(trainer.model, tokenizer, base.name, directory / "adapter")
    detail = {
        "version_sha256": spec.get("version_sha256"),
        "rows_sha256": spec["rows_sha256"],
        "base": {
            "name": base.name,
            "sha256": base.sha256,
            "licence": base.licence,
            "revision": base.revision,
        },
        "settings": settings.to_dict(),
        "seed": settings.seed,
        "libraries": {"python": platform.python_version()}
        | {name: version(name) for name in _LIBRARIES},
        "hardware": hardware(),
        "rows": {"train": len(train), "validation": len(validation)},
        **watch.figures(),
        "answer_tokens_per_epoch": sum(
            sum(label != render.IGNORED for label in row["labels"]) for row in train
        ),
        "seconds": round(time.monotonic() - started, 1),
        "adapter_files": hashes,
        "adapter_sha256": base_models.names_sha256(hashes),
    }
    held.finish("finished", watch.ending(), detail)


def read_rows(path: Path, sha256: str) -> list[Row]:
    """The rows of the frozen version, one JSON object a line.

    Raises:
        RuleBroken: the file is not the one the run was launched with, or holds a test row.
        BadInput: there are no train rows.
    """
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != sha256:
        raise RuleBroken("The rows file changed since the run was launched. Launch the run again.")
    fields = ("pair_id", "split", "prompt", "response")
    rows = [
        Row(*(json.loads(line)[name] for name in fields)) for line in content.splitlines() if line
    ]
    wrong = [row.pair_id for row in rows if row.split not in ("train", "validation")]
    if wrong:
        raise RuleBroken(
            f"Pair {wrong[0]} is a test row; test rows never train. Make the version again."
        )
    if not any(row.split == "train" for row in rows):
        raise BadInput("The version has no train rows. Approve more pairs and make a new version.")
    return rows


def tokenized(
    rows: Sequence[Row],
    split: str,
    tokenizer: PreTrainedTokenizerBase,
    system: str,
    max_length: int,
) -> Dataset:
    """The rows of one split as tokens and labels.

    Raises:
        BadInput: a row is longer than allowed (cutting it would teach a broken answer) or cannot be
        rendered.
    """
    columns: dict[str, list[list[int]]] = {"input_ids": [], "labels": []}
    too_long: list[int] = []
    for row in (row for row in rows if row.split == split):
        try:
            ids, labels = render.pair_ids(tokenizer, system, row.prompt, row.response)
        except BadInput as error:
            raise BadInput(f"Pair {row.pair_id}: {error}") from error
        if len(ids) > max_length:
            too_long.append(row.pair_id)
        columns["input_ids"].append(ids)
        columns["labels"].append(labels)
    if too_long:
        named = ", ".join(map(str, too_long[:_EXAMPLES_NAMED]))
        raise BadInput(
            f"{len(too_long)} rows are longer than {max_length} tokens (first: pair {named}). "
            "Shorten them, or raise the longest row in the settings."
        )
    return Dataset.from_dict(columns)


class Watch(TrainerCallback):
    """Follows the trainer step by step: progress, cancel, divergence, best weights, early stop."""

    def __init__(self, held: Evidence, patience: int) -> None:
        self._held = held
        self._patience = patience
        self._best: Weights | None = None
        self._best_loss = math.inf
        self._worse = 0
        self.step = 0
        self.cancelled = False
        self.stopped_early = False
        self.curve: list[dict[str, float]] = []
        self.validation_curve: list[dict[str, float]] = []
        self.tokens_seen = 0

    def on_step_begin(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **kwargs: Any,
    ) -> None:
        """Stop before the first step too, where the cancel came while the model was loaded."""
        self._obey(control, state)

    def on_step_end(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **kwargs: Any,
    ) -> None:
        """Look for a cancel between steps."""
        self._obey(control, state)

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **kwargs: Any,
    ) -> None:
        """Write the progress line of a step; refuse to go on from a loss or gradient that is not
        finite.
        """
        if not logs or "loss" not in logs:
            return
        loss, norm, rate = logs["loss"], logs.get("grad_norm", 0.0), logs.get("learning_rate")
        self._held.progress(
            state.global_step, state.max_steps, loss=loss, grad_norm=norm, learning_rate=rate
        )
        if not (math.isfinite(loss) and math.isfinite(norm)):
            raise Diverged(_diverged("loss", state.global_step))
        self.tokens_seen = int(logs.get("num_tokens", 0))
        self.curve.append({"step": state.global_step, "loss": loss})

    def on_evaluate(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        metrics: dict[str, float] | None = None,
        model: PeftModel | None = None,
        **kwargs: Any,
    ) -> None:
        """Keep the weights where the validation loss is lowest; stop when it has not fallen for a
        while.
        """
        loss = (metrics or {}).get("eval_loss")
        if loss is None or model is None:
            return
        self._held.progress(state.global_step, state.max_steps, eval_loss=loss)
        if not math.isfinite(loss):
            raise Diverged(_diverged("validation loss", state.global_step))
        self.validation_curve.append({"step": state.global_step, "loss": loss})
        if loss < self._best_loss:
            self._best_loss, self._worse = loss, 0
            self._best = copied(model)
            return
        self._worse += 1
        if self._patience and self._worse >= self._patience and state.global_step < state.max_steps:
            self.stopped_early = True
            control.should_training_stop = True

    def restore_best(self, model: PeftModel) -> None:
        """Put the best weights back; without validation rows the last ones stay."""
        if self._best is not None:
            set_peft_model_state_dict(model, self._best)

    def figures(self) -> dict[str, Any]:
        """What the run's record says of its course."""
        last, checked = self.curve[-1:], self.validation_curve
        return {
            "steps": self.step,
            "train_loss": last[0]["loss"] if last else None,
            "first_train_loss": self.curve[0]["loss"] if last else None,
            "validation_loss": min((point["loss"] for point in checked), default=None),
            "last_validation_loss": checked[-1]["loss"] if checked else None,
            "validation_curve": checked,
            "stopped_early": self.stopped_early,
            "tokens_seen": self.tokens_seen,
        }

    def ending(self) -> str:
        """One sentence on how the run ended."""
        if self.stopped_early:
            return (
                f"Stopped at step {self.step}, when the validation loss no longer fell; "
                "the best weights are kept."
            )
        if not self.validation_curve:
            return f"Finished {self.step} steps. No validation rows: the last weights are kept."
        return f"Finished {self.step} steps; the weights of the lowest validation loss are kept."

    def _obey(self, control: TrainerControl, state: TrainerState) -> None:
        self.step = state.global_step
        if self._held.cancel_requested():
            self.cancelled = True
            control.should_training_stop = True
            control.should_evaluate = False


def _diverged(what: str, step: int) -> str:
    return f"The {what} was no number at step {step}, so the run stopped. Lower the learning rate."


def build_trainer(
    directory: Path,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    train: Dataset,
    validation: Dataset,
    settings: Lora,
    watch: Watch,
) -> SFTTrainer:
    """trl's trainer on rows that are already tokens, so that it trains exactly what `render`
    wrote.
    """
    cuda = torch.cuda.is_available()
    steps = settings.max_steps or settings.epochs * math.ceil(len(train) / settings.batch_size)
    arguments = SFTConfig(
        output_dir=str(directory / "trainer"),
        per_device_train_batch_size=settings.batch_size,
        per_device_eval_batch_size=settings.batch_size,
        num_train_epochs=settings.epochs,
        max_steps=settings.max_steps or -1,
        learning_rate=settings.learning_rate,
        warmup_steps=math.ceil(settings.warmup * steps),
        lr_scheduler_type="linear",
        weight_decay=0.0,
        max_grad_norm=1.0,
        max_length=None,  # longer rows were refused, never cut
        dataset_kwargs={"skip_prepare_dataset": True},
        train_sampling_strategy="group_by_length",
        gradient_checkpointing=settings.gradient_checkpointing,
        use_cpu=not cuda,
        bf16=cuda and torch.cuda.is_bf16_supported(),
        dataloader_pin_memory=cuda,
        logging_steps=1,
        logging_first_step=True,
        logging_nan_inf_filter=False,  # else a NaN loss is logged as 0.0
        eval_strategy="epoch" if len(validation) else "no",
        save_strategy="no",
        report_to=[],
        disable_tqdm=True,
        seed=settings.seed,
        data_seed=settings.seed,
    )
    adapter = LoraConfig(
        task_type="CAUSAL_LM",
        r=settings.r,
        lora_alpha=settings.alpha,
        lora_dropout=settings.dropout,
        target_modules=list(settings.targets),
        bias="none",
    )
    trainer = SFTTrainer(
        model=model,
        args=arguments,
        train_dataset=train,
        eval_dataset=validation if len(validation) else None,
        processing_class=tokenizer,
        peft_config=adapter,
        data_collator=batches.Together(
            tokenizer.pad_token_id, joins=batches.can_join(model.config)
        ),
    )
    _quiet(trainer)
    trainer.add_callback(watch)
    return trainer


def _quiet(trainer: SFTTrainer) -> None:
    """Take away the callbacks that print, since progress lines are ours."""
    from transformers.trainer_callback import PrinterCallback, ProgressCallback

    for callback in (PrinterCallback, ProgressCallback):
        trainer.remove_callback(callback)


def copied(model: PeftModel) -> Weights:
    """The adapter's weights as they are now, apart from the model."""
    return {
        name: value.detach().cpu().clone()
        for name, value in get_peft_model_state_dict(model).items()
    }


def check_finite(weights: Weights) -> None:
    """Refuse weights that are not finite, whatever the losses said.

    Raises:
        Diverged: at least one number is NaN or infinite.
    """
    bad = sum(not bool(torch.isfinite(value).all()) for value in weights.values())
    if bad or not weights:
        raise Diverged(
            f"{bad} of {len(weights)} adapter matrices are not finite. Lower the learning rate."
        )


def save_adapter(
    model: PeftModel, tokenizer: PreTrainedTokenizerBase, base_name: str, final: Path
) -> dict[str, str]:
    """Write the adapter as a PEFT folder, whole or not at all; returns the sha256 of each file.

    The chat template goes with it: asked in another form, the adapter would look broken.
    """
    check_finite(copied(model))
    model.peft_config["default"].base_model_name_or_path = base_name  # not the path on this machine
    temporary = Path(tempfile.mkdtemp(prefix=".adapter-", dir=final.parent))
    try:
        model.save_pretrained(str(temporary), safe_serialization=True)
        (temporary / "README.md").unlink(missing_ok=True)  # the adapter's card takes its place
        (temporary / "chat_template.jinja").write_text(
            str(tokenizer.chat_template), encoding="utf-8"
        )
        evidence.sync_tree(temporary)
        hashes = base_models.file_hashes(temporary)
        temporary.chmod(0o755)
        evidence.publish(temporary, final)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return hashes


def hardware() -> dict[str, Any]:
    """What the run ran on."""
    return {
        "machine": platform.machine(),
        "system": platform.system(),
        "threads": torch.get_num_threads(),
        "accelerator": torch.cuda.get_device_name(0) if torch.cuda.is_available() else None,
    }
