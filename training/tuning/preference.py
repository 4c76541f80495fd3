"""Teach an adapter further by pairs of a better and a worse answer, by trl's DPO.

What it goes on from is loaded twice: once to be trained, once frozen as the reference that it is
held to. Rows are checked as in `sft`: none is a test row. It learns which of two answers people
prefer, nothing of inputs that nobody corrected.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from datasets import Dataset
from peft import PeftModel
from torch import nn
from torch.nn import functional
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from trl.trainer.dpo_config import DPOConfig
from trl.trainer.dpo_trainer import DPOTrainer
from trl.trainer.utils import use_adapter

from storage.errors import BadInput
from training.models import base_models, render, tuned_models
from training.models.precision import Precision
from training.records import tasks
from training.records.tasks import TrainTask
from training.settings import Preference
from training.tuning import course
from training.tuning.trainer import Exact
from training.tuning.watch import Watch
from training.work.evidence import Evidence
from training.work.rows import TrainingPair, read_training, refuse_tested


class PreferenceTrainer(Exact, DPOTrainer):
    """trl's trainer on pairs that are already tokens, with scores reckoned only where answers are,
    an order of its own and checkpoints that verify.
    """

    def _prepare_dataset(self, dataset: Dataset, *args: object) -> Dataset:
        """They are tokens by `render` already."""
        del args
        return dataset

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, torch.Tensor],
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> Any:  # noqa: ANN401 - the trainer's own signature
        """trl's usual loss: minus the log of how likely the better answer is to be preferred, with
        what the frozen adapter says taken off both; the mean of the batch's pairs.

        trl itself scores every token of input and answers on a CPU, several times the work.
        """
        del return_outputs, num_items_in_batch
        bare = cast("PeftModel", self.accelerator.unwrap_model(self.model))
        with torch.no_grad(), use_adapter(bare, "ref"):
            frozen = likelihoods(model, inputs)
        better, worse = (likelihoods(model, inputs) - frozen).chunk(2)
        return -functional.logsigmoid(self.beta * (better - worse)).mean()


def likelihoods(model: nn.Module, batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """Log-likelihood of each answer of a batch of `together`, the better ones first."""
    learnt = batch["learnt"]
    inputs = {name: value for name, value in batch.items() if name != "learnt"}
    width = learnt.shape[1]
    logits = model(**inputs, logits_to_keep=width + 1, use_cache=False).logits[:, :-1].float()
    each = functional.cross_entropy(
        logits.transpose(1, 2), inputs["input_ids"][:, -width:], reduction="none"
    )
    return -(each * learnt).sum(1)


@dataclass(frozen=True, slots=True)
class Pairs:
    """Puts pairs together, padded on the left, so that all answers end where the batch does."""

    pad_token_id: int

    def __call__(self, pairs: Sequence[Mapping[str, list[int]]]) -> dict[str, torch.Tensor]:
        """`learnt` marks the tokens of answers among the last ones of each row."""
        answers = [pair[which] for which in ("chosen_ids", "rejected_ids") for pair in pairs]
        rows = [
            pair["prompt_ids"] + answer
            for pair, answer in zip([*pairs, *pairs], answers, strict=True)
        ]
        longest = max(map(len, answers))
        ids = self._padded(rows, self.pad_token_id)
        attended = self._padded([[1] * len(row) for row in rows], 0)
        return {
            "input_ids": ids,
            "attention_mask": attended,
            "position_ids": (attended.cumsum(-1) - 1).clamp(min=0),
            "learnt": self._padded([[1] * len(answer) for answer in answers], 0)[:, -longest:],
        }

    def _padded(self, rows: Sequence[list[int]], filler: int) -> torch.Tensor:
        width = max(map(len, rows))
        return torch.tensor([[filler] * (width - len(row)) + row for row in rows])


def main(
    directory: Path, hold: Evidence, through: course.Through = course.Course.see_through
) -> None:
    """Train as `spec.json` says, show progress in `events.jsonl`, leave `adapter/` and
    `result.json`.

    Raises:
        AssayError: the pairs, settings, base model or adapter are refused, or the run diverged.
    """
    task = tasks.read(TrainTask, directory)
    settings = cast("Preference", task.settings)
    rows = read_training(directory / task.rows_path, task.rows_sha256)
    refuse_tested(rows, task.tested_sha256)
    base, started = course.base(task, hold), task.started_from
    if started is None or task.adapter_path is None:
        raise BadInput("Preference tuning goes on from an adapter, and none is named.")

    hold.say("Loading the base model and the adapter.")
    precision = Precision(task.precision or Precision.USUAL)
    model, tokenizer = base_models.load(base.path, precision)
    tuned = tuned_models.with_adapter(model, Path(task.adapter_path), started.sha256, trained=True)
    system, limit = task.system_message, settings.max_length
    train = tokenized(rows, "train", tokenizer, system, limit)
    validation = tokenized(rows, "validation", tokenizer, system, limit)

    watch = Watch(hold, settings.patience, len(train), settings.batch_size)
    trainer = build_trainer(directory, tuned, tokenizer, train, validation, settings, watch)
    run = course.Course(directory, hold, task, settings, base, tokenizer, precision)
    hold.say(f"Training on {len(train)} pairs, watching {len(validation)} validation pairs.")
    through(run, trainer, watch, answer_tokens(train), "padded")


def tokenized(
    rows: Sequence[TrainingPair],
    split: str,
    tokenizer: PreTrainedTokenizerBase,
    system: str,
    max_length: int,
) -> Dataset:
    """The pairs of one split as the tokens of the input, the better and the worse answer.

    Raises:
        BadInput: an answer with its input is longer than allowed, or cannot be rendered.
    """
    chosen_rows = [row for row in rows if row.split == split]
    columns: dict[str, list[list[int]]] = {"prompt_ids": [], "chosen_ids": [], "rejected_ids": []}
    for row in chosen_rows:
        for name, answer in (("chosen_ids", row.response), ("rejected_ids", row.rejected)):
            try:
                ids, labels = render.pair_ids(tokenizer, system, row.prompt, answer)
            except BadInput as error:
                raise BadInput(f"Pair {row.pair_id}: {error}") from error
            if len(ids) > max_length:
                raise BadInput(
                    f"Pair {row.pair_id} is longer than {max_length} tokens with one of its "
                    "answers. Shorten it, or raise the longest pair in the settings."
                )
            prompt_length = labels.count(render.IGNORED)
            columns[name].append(ids[prompt_length:])
        columns["prompt_ids"].append(ids[:prompt_length])
    return Dataset.from_dict(columns)


def answer_tokens(pairs: Dataset) -> int:
    """Tokens of both answers in one pass over the pairs."""
    return sum(map(len, pairs["chosen_ids"])) + sum(map(len, pairs["rejected_ids"]))


def build_trainer(
    directory: Path,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    train: Dataset,
    validation: Dataset,
    settings: Preference,
    watch: Watch,
) -> PreferenceTrainer:
    """trl's DPO trainer; it copies the adapter, frozen, under the name "ref" as the reference."""
    arguments = DPOConfig(
        **course.arguments(directory, settings, len(train), len(validation)),
        beta=settings.beta,
        max_length=None,  # longer pairs were refused, never cut
        remove_unused_columns=False,
    )
    trainer = PreferenceTrainer(
        model=model,
        args=arguments,
        train_dataset=train,
        eval_dataset=validation if len(validation) else None,
        processing_class=tokenizer,
        data_collator=Pairs(tokenizer.pad_token_id),
    )
    course.as_float32(model)
    course.follow(trainer, watch, settings, len(train))
    return trainer
