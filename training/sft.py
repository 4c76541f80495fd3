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
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, cast

import torch
from datasets import Dataset
from peft import LoraConfig, PeftModel
from transformers import (
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from trl.trainer.sft_config import SFTConfig
from trl.trainer.sft_trainer import SFTTrainer

from curation import duplicates
from storage.errors import BadInput, RuleBroken
from training import base_models, batches, evidence, render, vetting
from training.evidence import Evidence
from training.saving import save_adapter
from training.settings import Lora
from training.watch import Watch

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
    refuse_tested(rows, spec.get("tested_sha256", ()))
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
    tuned = cast("PeftModel", trainer.model)
    if watch.cancelled:
        held.finish("cancelled", f"Cancelled at step {watch.step}. Nothing was kept.")
        return

    watch.restore_best(tuned)
    hashes = save_adapter(tuned, tokenizer, base.name, directory / "adapter")
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
        "trained_tokens": round(watch.epochs * learnt_tokens(train)),
        "seconds": round(time.monotonic() - started, 1),
        "adapter_files": hashes,
        "adapter_sha256": vetting.names_sha256(hashes),
    }
    held.finish("finished", watch.ending(), detail)


def learnt_tokens(rows: Dataset) -> int:
    """Tokens that count towards the loss in one pass over the rows."""
    return sum(label != render.IGNORED for labels in rows["labels"] for label in labels)


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


def refuse_tested(rows: Sequence[Row], tested: Sequence[str]) -> None:
    """Refuse a row whose input is or ever was that of a test row.

    Told by digests of the inputs without case, marks and spacing; what nearly repeats a test row
    was refused when the run was prepared, where the words are known.

    Raises:
        RuleBroken: naming the first such row.
    """
    known = set(tested)
    wrong = [row.pair_id for row in rows if duplicates.digest(row.prompt) in known]
    if wrong:
        raise RuleBroken(
            f"Pair {wrong[0]} asks what a test row asks or once asked; test rows never train. "
            "Reject it and make a new version."
        )


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


def hardware() -> dict[str, Any]:
    """What the run ran on."""
    return {
        "machine": platform.machine(),
        "system": platform.system(),
        "threads": torch.get_num_threads(),
        "accelerator": torch.cuda.get_device_name(0) if torch.cuda.is_available() else None,
    }
