"""Tune on the train rows of a version: a LoRA adapter, one on a 4-bit base (QLoRA), or all weights;
read it from top to bottom, then `course`.

What it promises: the rows are the ones hashed in the spec, none is a test row, each is rendered by
`render.pair_ids`, a loss or weight that is not finite never ends as "finished", and the weights
kept are those of the lowest validation loss, a run that goes on from a checkpoint ends as if it had
never stopped (`trainer`). What it does not: keep anything of a cancelled one.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import cast

from datasets import Dataset
from peft import LoraConfig
from transformers import (
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from trl.trainer.sft_config import SFTConfig

from storage.errors import BadInput
from training.models import base_models, precision, render
from training.records import tasks
from training.records.tasks import TrainTask
from training.settings import Answering, Batching, Lora, Qlora
from training.tuning import attention, batches, course
from training.tuning.trainer import Trainer
from training.tuning.watch import Watch
from training.work.evidence import Evidence
from training.work.rows import TrainingPair, read_training, refuse_tested

_EXAMPLES_NAMED = 5


def main(
    directory: Path, hold: Evidence, through: course.Through = course.Course.see_through
) -> None:
    """Train as `spec.json` says, show progress in `events.jsonl`, leave `adapter/` and
    `result.json`.

    Raises:
        AssayError: the rows, settings or base model are refused, or the run diverged.
    """
    task = tasks.read(TrainTask, directory)
    settings = cast("Answering", task.settings)
    rows = read_training(directory / task.rows_path, task.rows_sha256)
    refuse_tested(rows, task.tested_sha256)
    base = course.base(task, hold)

    hold.say("Loading the base model.")
    model, tokenizer = base_models.load(base.path, precision.of(settings))
    train = tokenized(rows, "train", tokenizer, task.system_message, settings.max_length)
    validation = tokenized(rows, "validation", tokenizer, task.system_message, settings.max_length)

    watch = Watch(hold, settings.patience, len(train), settings.batch_size)
    trainer = build_trainer(directory, model, tokenizer, train, validation, settings, watch)
    run = course.Course(directory, hold, task, settings, base, tokenizer, precision.of(settings))
    hold.say(f"Training on {len(train)} pairs, watching {len(validation)} validation pairs.")
    through(run, trainer, watch, learnt_tokens(train), _batches(trainer))


def _batches(trainer: Trainer) -> str:
    """How rows are put together, for the record."""
    collator = cast("batches.Collator", trainer.data_collator)
    return Batching.JOINED if collator.joins else Batching.PADDED


def learnt_tokens(rows: Dataset) -> int:
    """Tokens that count towards the loss in one pass over the rows."""
    return sum(label != render.IGNORED for labels in rows["labels"] for label in labels)


def tokenized(
    rows: Sequence[TrainingPair],
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
            f"{len(too_long)} pairs are longer than {max_length} tokens (first: pair {named}). "
            "Shorten them, or raise the longest pair in the settings."
        )
    return Dataset.from_dict(columns)


def build_trainer(
    directory: Path,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    train: Dataset,
    validation: Dataset,
    settings: Answering,
    watch: Watch,
) -> Trainer:
    """trl's trainer on rows that are already tokens, so that it trains exactly what `render`
    wrote.
    """
    lengths = [len(ids) for rows in (train, validation) for ids in rows["input_ids"]]
    joins = (
        settings.batching == Batching.JOINED
        and batches.can_join(model.config, lengths, settings.batch_size)
        and attention.use(model)
    )
    arguments = SFTConfig(
        **course.arguments(directory, settings, len(train), len(validation)),
        max_length=None,  # longer rows were refused, never cut
        dataset_kwargs={"skip_prepare_dataset": True},
    )
    trainer = Trainer(
        model=model,
        args=arguments,
        train_dataset=train,
        eval_dataset=validation if len(validation) else None,
        processing_class=tokenizer,
        peft_config=_adapter(settings),
        data_collator=batches.Collator(tokenizer.pad_token_id, joins),
    )
    if isinstance(settings, Qlora):
        course.as_float32(model)
    course.follow(trainer, watch, settings, len(train))
    return trainer


def _adapter(settings: Answering) -> LoraConfig | None:
    """The adapter to be trained; None where all weights are."""
    if not isinstance(settings, Lora):
        return None
    return LoraConfig(
        task_type="CAUSAL_LM",
        r=settings.r,
        lora_alpha=settings.alpha,
        lora_dropout=settings.dropout,
        target_modules=list(settings.targets),
        bias="none",
        use_rslora=settings.rslora,
        use_dora=settings.dora,
    )
