"""Rows a second in training: Assay beside trl with its defaults and with its best settings.

`python -m benchmarks.train_throughput` trains the packaged 135M model on the sample project's rows;
`--messages FILE.jsonl` (lines `{"text", "label"}`) takes eight of its labels instead, with a short
system message. Each contender trains the same rows in a process of its own, in interleaved rounds,
so that its peak memory is its own. Printed are medians over all steps but the first of each round.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from rich.progress import track

from storage.settings import ROOT

CONTENDERS = ("assay", "assay-padded", "trl", "trl-no-checkpointing", "trl-packing")
BATCH, LABELS = 8, 8
_MEGABYTE = 1024
_SIZE = 1536


@dataclass(frozen=True, slots=True)
class Task:
    """A system message and rows of prompt and response."""

    system: str
    rows: list[tuple[str, str]]


def sample() -> Task:
    """The gold rows of the sample project."""
    folder = ROOT / "sample_data"
    told = json.loads((folder / "project.json").read_text(encoding="utf-8"))
    lines = map(json.loads, (folder / "gold.jsonl").read_text(encoding="utf-8").splitlines())
    return Task(told["system_message"], [(line["prompt"], line["response"]) for line in lines])


def intents(path: Path) -> Task:
    """Messages of the eight commonest labels, answered with JSON."""
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    chosen = [label for label, _ in Counter(line["label"] for line in lines).most_common(LABELS)]
    rows = [
        (line["text"], json.dumps({"intent": line["label"]}))
        for line in lines
        if line["label"] in chosen
    ]
    return Task(
        f"You sort a bank's messages. Answer with JSON only, key intent: {', '.join(chosen)}.", rows
    )


def main() -> None:
    """Run the rounds and print the table."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--messages", type=Path)
    asked.add_argument("--rounds", type=int, default=2)
    asked.add_argument("--steps", type=int, default=6)
    asked.add_argument("--contender", choices=CONTENDERS)
    given = asked.parse_args()
    if given.contender:
        print(json.dumps(contend(given.contender, given.messages, given.steps)))
        return
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in CONTENDERS}
    turns = [name for _ in range(given.rounds) for name in CONTENDERS]
    for name in track(turns, "Training"):
        found[name].append(_apart(name, given.messages, given.steps))
    _print(found)


def _apart(name: str, messages: Path | None, steps: int) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.train_throughput", "--contender", name]
    command += ["--steps", str(steps)] + (["--messages", str(messages)] if messages else [])
    quiet = os.environ | {"OMP_WAIT_POLICY": "PASSIVE"}  # as in Assay's own worker, for all alike
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, env=quiet)
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


def _print(found: dict[str, list[dict[str, Any]]]) -> None:
    rates = {
        name: statistics.median(rate for one in rounds for rate in one["rows_per_second"])
        for name, rounds in found.items()
    }
    shapes = found["assay"][0]
    print(
        f"{shapes['rows']} rows of {shapes['tokens']:.0f} tokens on average, "
        f"{shapes['shared']} of them shared; batches of {BATCH}"
    )
    for name, rounds in found.items():
        memory = max(one["peak_mb"] for one in rounds)
        print(
            f"{name:22} {rates[name]:6.2f} rows/s  {rates['assay'] / rates[name]:5.1f}x  "
            f"peak {memory:5.0f} MB  loss {rounds[0]['loss']:.4f}"
        )
    share = statistics.median(one["share_of_matrix_rate"] for one in found["assay"])
    print(f"Assay works at {share:.0%} of this machine's matrix rate on the tokens it must compute")


def contend(name: str, messages: Path | None, steps: int) -> dict[str, Any]:
    """Train some steps as one contender does; figures of every step but the first."""
    from transformers import TrainerCallback

    from training import base_models, batches

    task = intents(messages) if messages else sample()
    folder = base_models.prepare(base_models.Base("packaged"), ROOT / "data")
    model, tokenizer = base_models.load(folder.path)
    examples = _examples(task, tokenizer, steps)
    trainer = _trainer(name, model, tokenizer, examples, steps)
    seen: list[tuple[float, int]] = []

    class Clock(TrainerCallback):
        def on_step_begin(self, *_: object, **__: object) -> None:
            self.began = time.perf_counter()

        def on_step_end(self, *_: object, **__: object) -> None:
            seen.append((time.perf_counter() - self.began, BATCH))

    trainer.add_callback(Clock())
    step = trainer.training_step
    counts: list[int] = []

    def counted(module: Any, inputs: Any, *rest: Any) -> Any:  # noqa: ANN401 - the trainer's own
        counts.append(_rows_in(inputs, tokenizer))
        return step(module, inputs, *rest)

    trainer.training_step = counted
    done = trainer.train()
    lengths = [len(one["input_ids"]) for one in examples]
    shared = batches.shared_length(examples)
    rates = [n / seconds for (seconds, _), n in zip(seen[1:], counts[1:], strict=True)]
    return {
        "rows": len(examples),
        "tokens": statistics.mean(lengths),
        "shared": shared,
        "rows_per_second": rates,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / _MEGABYTE,
        "loss": done.training_loss,
        "share_of_matrix_rate": _share(model, examples, shared, statistics.median(rates)),
    }


def _examples(task: Task, tokenizer: Any, steps: int) -> list[dict[str, list[int]]]:  # noqa: ANN401
    from training import render

    wanted = BATCH * steps
    rows = (task.rows * (wanted // len(task.rows) + 1))[:wanted]
    made = [render.pair_ids(tokenizer, task.system, *row) for row in rows]
    return [{"input_ids": ids, "labels": labels} for ids, labels in made]


def _rows_in(inputs: dict[str, Any], tokenizer: Any) -> int:  # noqa: ANN401
    """Rows of a batch, whatever its shape: each has one end-of-turn token among its targets."""
    return int((inputs["labels"] == tokenizer.eos_token_id).sum())


def _trainer(name: str, model: Any, tokenizer: Any, examples: list[Any], steps: int) -> Any:  # noqa: ANN401
    from datasets import Dataset
    from peft import LoraConfig
    from trl.trainer.sft_config import SFTConfig
    from trl.trainer.sft_trainer import SFTTrainer

    from training import batches
    from training.answers import AnswersTrainer
    from training.settings import Lora

    ours, usual = name.startswith("assay"), replace(Lora(), batch_size=BATCH)
    arguments = SFTConfig(
        output_dir=mkdtemp(), per_device_train_batch_size=BATCH, max_steps=steps,
        learning_rate=usual.learning_rate, max_length=4096, save_strategy="no", report_to=[],
        disable_tqdm=True, use_cpu=True, bf16=False, dataloader_pin_memory=False, seed=0,
        gradient_checkpointing=name == "trl", packing=name == "trl-packing",
        dataset_kwargs={"skip_prepare_dataset": True} if name != "trl-packing" else None,
        logging_steps=1,
    )  # fmt: skip
    if name == "trl-packing":  # as many tokens in a sequence as a batch of rows has
        arguments.max_length = sum(len(one["input_ids"]) for one in examples) // steps
        arguments.per_device_train_batch_size = 1
    adapter = LoraConfig(
        task_type="CAUSAL_LM", r=usual.r, lora_alpha=usual.alpha, lora_dropout=usual.dropout,
        target_modules=list(usual.targets), bias="none",
    )  # fmt: skip
    kind: Any = AnswersTrainer if ours else SFTTrainer
    collator = {"data_collator": batches.Together(tokenizer.pad_token_id, name == "assay")}
    return kind(
        model=model, args=arguments, train_dataset=Dataset.from_list(examples),
        processing_class=tokenizer, peft_config=adapter, **(collator if ours else {}),
    )  # fmt: skip


def _share(model: Any, examples: list[Any], shared: int, rate: float) -> float:  # noqa: ANN401
    """Floating-point work that cannot be left out, per second, over the machine's own rate.

    A frozen weight costs two operations a token forward and two backward; the output layer only
    counts where there is a target. Attention scores and LoRA itself are not counted.
    """
    import torch

    head = model.get_output_embeddings().weight
    body = sum(
        w.numel() for name, w in model.named_parameters() if "lora" not in name and w.ndim == 2
    )
    body -= head.numel()
    rests = statistics.mean(len(one["input_ids"]) - shared for one in examples)
    learnt = statistics.mean(sum(x != -100 for x in one["labels"]) for one in examples)
    work = 4 * (body * (rests + shared / BATCH) + head.numel() * learnt)
    square = torch.randn(_SIZE, _SIZE)
    times = []
    for _ in range(8):
        began = time.perf_counter()
        torch.mm(square, square)
        times.append(time.perf_counter() - began)
    return float(work * rate / (2 * _SIZE**3 / statistics.median(times)))


if __name__ == "__main__":
    main()
