"""Teach an adapter further by pairs of a better and a worse answer, by trl's DPO.

What it goes on from is loaded twice: once to be trained, once frozen as the reference that it is
held to. Rows are checked as in `sft`: none is a test row. It learns which of two answers people
prefer, nothing of inputs that nobody corrected.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import cast

from datasets import Dataset
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from trl.trainer.dpo_config import DPOConfig
from trl.trainer.dpo_trainer import DataCollatorForPreference, DPOTrainer

from storage.errors import BadInput
from training import base_models, course, evaluate, evidence, render, sft
from training.evidence import Evidence
from training.precision import Precision
from training.settings import Preference, read
from training.trainer import Exact
from training.watch import Watch


class PreferenceTrainer(Exact, DPOTrainer):
    """trl's trainer on pairs that are already tokens, with an order of its own and checkpoints that
    verify.
    """

    def _prepare_dataset(self, dataset: Dataset, *args: object) -> Dataset:
        """They are tokens by `render` already."""
        del args
        return dataset


def main(directory: Path, held: Evidence) -> None:
    """Train as `spec.json` says, show progress in `events.jsonl`, leave `adapter/` and
    `result.json`.

    Raises:
        AssayError: the pairs, settings, base model or adapter are refused, or the run diverged.
    """
    spec = evidence.read_json(directory / "spec.json") or {}
    settings = cast("Preference", read(spec["settings"]))
    rows = sft.read_rows(directory / spec["rows_path"], spec["rows_sha256"])
    sft.refuse_tested(rows, spec.get("tested_sha256", ()))
    base = course.base(spec, held)

    held.say("Loading the base model and the adapter.")
    precision = Precision(spec.get("precision") or Precision.USUAL)
    model, tokenizer = base_models.load(base.path, precision)
    tuned = evaluate.with_adapter(
        model, Path(spec["adapter_path"]), spec["started_from"]["sha256"], trained=True
    )
    system, limit = spec["system_message"], settings.max_length
    train = tokenized(rows, "train", tokenizer, system, limit)
    validation = tokenized(rows, "validation", tokenizer, system, limit)

    watch = Watch(held, settings.patience, len(train), settings.batch_size)
    trainer = build_trainer(directory, tuned, tokenizer, train, validation, settings, watch)
    run = course.Course(directory, held, spec, settings, base, tokenizer, precision)
    held.say(f"Training on {len(train)} pairs, watching {len(validation)} validation pairs.")
    run.see_through(trainer, watch, answer_tokens(train), {"batches": "padded"})


def tokenized(
    rows: Sequence[sft.Row],
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
                    "answers. Shorten it, or raise the longest row in the settings."
                )
            asked = labels.count(render.IGNORED)
            columns[name].append(ids[asked:])
        columns["prompt_ids"].append(ids[:asked])
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
    )
    trainer = PreferenceTrainer(
        model=model,
        args=arguments,
        train_dataset=train,
        eval_dataset=validation if len(validation) else None,
        processing_class=tokenizer,
        data_collator=DataCollatorForPreference(pad_token_id=tokenizer.pad_token_id),
    )
    course.as_float32(model)
    course.follow(trainer, watch, settings, len(train))
    return trainer
