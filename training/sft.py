"""Tune a LoRA adapter on the train rows of a version; read it from top to bottom.

What it promises: the rows are the ones hashed in the spec, none is a test row, each is rendered by
`render.pair_ids`, a loss or weight that is not finite never ends as "finished", and the weights
kept are those of the lowest validation loss, a run that goes on from a checkpoint ends as if it had
never stopped (`trainer`). What it does not: keep anything of a cancelled one.
"""

import hashlib
import json
import math
import platform
from collections.abc import Sequence
from dataclasses import dataclass
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

from curation import duplicates
from storage.errors import BadInput, RuleBroken
from training import attention, base_models, batches, checkpoints, evidence, render, vetting
from training.evidence import Evidence
from training.saving import Diverged, save_adapter
from training.settings import Lora
from training.trainer import Saves, Trainer
from training.watch import Watch

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

    run = {
        "rows_sha256": spec["rows_sha256"],
        "system_sha256": hashlib.sha256(spec["system_message"].encode()).hexdigest(),
        "settings": settings.to_dict(),
        "base_sha256": base.sha256,
        "libraries": checkpoints.libraries(),
        "hardware": hardware(),
    }
    watch = Watch(held, settings.patience, len(train), settings.batch_size)
    trainer = build_trainer(directory, model, tokenizer, train, validation, settings, watch)
    trainer.keep(directory, watch, run)
    before = _went_on(directory, spec, run, watch, held)
    held.say(f"Training on {len(train)} rows, watching {len(validation)} validation rows.")
    try:
        trainer.train(resume_from_checkpoint=before)
        tuned = cast("PeftModel", trainer.model)
        if watch.cancelled:
            checkpoints.tidy(directory, keep=False)
            held.finish("cancelled", f"Cancelled at step {watch.step}. Nothing was kept.")
            return
        watch.restore_best(tuned)
        hashes = save_adapter(tuned, tokenizer, base.name, directory / "adapter")
    except Diverged as error:
        held.finish("failed", str(error), {"exit": 1, "diverged": True} | watch.figures())
        raise
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
        "batching": cast("batches.Together", trainer.data_collator).batching,
        "seed": settings.seed,
        "libraries": run["libraries"],
        "hardware": run["hardware"],
        "rows": {"train": len(train), "validation": len(validation)},
        **watch.figures(),
        "trained_tokens": round(watch.epochs * learnt_tokens(train)),
        "seconds": round(watch.seconds(), 1),
        "resumed_from": spec.get("resumed_from"),
        "adapter_files": hashes,
        "adapter_sha256": vetting.names_sha256(hashes),
    }
    held.finish("finished", watch.ending(), detail)


def _went_on(
    directory: Path,
    spec: dict[str, Any],
    run: dict[str, Any],
    watch: Watch,
    held: Evidence,
) -> str | None:
    """The checkpoint that the run goes on from, verified and compared; None for a new run.

    Raises:
        Unavailable: it is gone or damaged.
        RuleBroken: rows, settings, base model or libraries are no longer as they were.
    """
    wanted = spec.get("resumed_from")
    if wanted is None:
        return None
    found = checkpoints.find(directory, wanted["step"], wanted["sha256"])
    saved = checkpoints.verify(found)["run"]
    checkpoints.check(found, saved, run)
    watch.load(found.path)
    held.say(f"Going on from step {found.step} of run {wanted['job'][:8]}.")
    if saved["hardware"] != run["hardware"]:
        held.say("The machine is another one than before: the last digits of figures may differ.")
    return str(found.path)


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
) -> Trainer:
    """trl's trainer on rows that are already tokens, so that it trains exactly what `render`
    wrote.
    """
    cuda = torch.cuda.is_available()
    lengths = [len(ids) for rows in (train, validation) for ids in rows["input_ids"]]
    joins = (
        settings.batching == "joined"
        and batches.can_join(model.config, lengths, settings.batch_size)
        and attention.use(model)
    )
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
    trainer = Trainer(
        model=model,
        args=arguments,
        train_dataset=train,
        eval_dataset=validation if len(validation) else None,
        processing_class=tokenizer,
        peft_config=adapter,
        data_collator=batches.Together(tokenizer.pad_token_id, joins),
    )
    _quiet(trainer)
    trainer.add_callback(watch)
    steps_a_pass = math.ceil(len(train) / settings.batch_size)
    trainer.add_callback(Saves(settings.checkpoint_steps, steps_a_pass, watch))
    return trainer


def _quiet(trainer: Trainer) -> None:
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
