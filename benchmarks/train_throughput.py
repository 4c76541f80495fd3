"""Rows a second in training: Assay beside trl with its defaults and with its best settings.

`python -m benchmarks.train_throughput` trains the packaged 135M model on the sample project's rows;
`--messages FILE.jsonl` (lines `{"text", "label"}`) takes eight of its labels instead, with a short
system message; `--shared N` random rows that share N tokens; `--gpu` a random model of 1B
parameters in bfloat16 on random rows that share 500. Each contender trains the same rows in a
process of its own, in interleaved rounds, so that its peak memory is its own. Printed are medians
over all steps but the first of each round: by the clock, and by processor time, which other
programs on the machine disturb less.
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
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import msgspec
from rich.progress import track

from storage.settings import ROOT
from training.records.parts import BaseModel

CONTENDERS = (
    "assay",
    "assay-padded",
    "trl",
    "trl-no-checkpointing",
    "trl-packing",
    "trl-padding-free",
)
BATCH, LABELS = 8, 8
SHARED = 500
"""Tokens of the system message with `--gpu`, unless `--shared` says otherwise."""
LARGE: Mapping[str, Any] = {
    "hidden_size": 2048,
    "intermediate_size": 8192,
    "num_hidden_layers": 16,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "head_dim": 64,
}
"""With the packaged model's vocabulary: 1.1 billion parameters."""
Rows = list[dict[str, list[int]]]
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
    rows = asked.add_mutually_exclusive_group()
    rows.add_argument("--messages", type=Path)
    rows.add_argument("--shared", type=int, metavar="N")
    asked.add_argument("--gpu", action="store_true")
    asked.add_argument("--rounds", type=int, default=2)
    asked.add_argument("--steps", type=int, default=6)
    asked.add_argument("--contender", choices=CONTENDERS, help="only this one, as a line of JSON")
    given = asked.parse_args()
    if given.gpu and given.messages:
        asked.error("--gpu trains on random rows, not on --messages.")
    if given.contender:
        print(json.dumps(contend(given.contender, *_setting(given), given.gpu)))
        return
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in CONTENDERS}
    turns = [name for _ in range(given.rounds) for name in CONTENDERS]
    for name in track(turns, "Training"):
        found[name].append(_apart(name))
    _print(found)


def _apart(name: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.train_throughput", *sys.argv[1:]]
    quiet = os.environ | {"OMP_WAIT_POLICY": "PASSIVE"}  # as in Assay's own worker, for all alike
    done = subprocess.run(
        [*command, "--contender", name], cwd=ROOT, capture_output=True, text=True, env=quiet
    )
    if done.returncode:
        raise SystemExit(f"{name} failed:\n{done.stderr[-2000:]}")
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


def _print(found: dict[str, list[dict[str, Any]]]) -> None:
    shapes = found["assay"][0]
    print(
        f"{shapes['rows']} rows of {shapes['tokens']:.0f} tokens on average, "
        f"{shapes['shared']} of them shared; batches of {BATCH}; {len(found['assay'])} rounds"
    )
    wall, cpu = (
        {name: _middle(rounds, what) for name, rounds in found.items()}
        for what in ("seconds", "cpu_seconds")
    )
    for name, rounds in found.items():
        memory = max(one["peak_mb"] for one in rounds)
        print(
            f"{name:21} {1 / wall[name]:7.2f} rows/s {wall[name] / wall['assay']:5.1f}x   "
            f"CPU {cpu[name]:6.2f} s a row {cpu[name] / cpu['assay']:5.1f}x   "
            f"peak {memory:6.0f} MB   loss {rounds[0]['loss']:.4f}"
        )
    share, by_cpu = (
        statistics.median(one[what] for one in found["assay"]) for what in ("share", "cpu_share")
    )
    print(
        f"Assay works at {share:.0%} of this machine's matrix rate on the tokens it must compute "
        f"({by_cpu:.0%} by processor time)"
    )


def _middle(rounds: list[dict[str, Any]], what: str) -> float:
    """Of all steps of all rounds, a row."""
    return float(statistics.median(one for told in rounds for one in told[what]))


def _setting(given: argparse.Namespace) -> tuple[Any, Any, Rows]:
    """Model, tokenizer and rows."""
    from training.models import base_models

    folder = base_models.prepare(BaseModel("packaged"), ROOT / "data")
    model, tokenizer = base_models.load(folder.path)
    wanted = BATCH * given.steps
    if given.gpu:
        model = large(tokenizer, LARGE)
    if given.gpu or given.shared:
        return model, tokenizer, random_rows(tokenizer, wanted, given.shared or SHARED)
    task = intents(given.messages) if given.messages else sample()
    return model, tokenizer, examples(task, tokenizer, wanted)


def large(tokenizer: Any, sizes: Mapping[str, Any]) -> Any:  # noqa: ANN401
    """A Llama with random weights, in bfloat16 where there is an accelerator."""
    import torch
    from transformers import AutoModelForCausalLM, LlamaConfig

    cuda = torch.cuda.is_available()
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        tie_word_embeddings=True,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        max_position_embeddings=4096,
        **sizes,
    )
    build: Any = AutoModelForCausalLM.from_config
    return build(config, dtype=torch.bfloat16 if cuda else torch.float32).to(
        "cuda" if cuda else "cpu"
    )


def random_rows(tokenizer: Any, wanted: int, shared: int) -> Rows:  # noqa: ANN401
    """Rows that share so many tokens, then have 30 to 90 of their own, the last 20 learnt."""
    import torch

    dice = torch.Generator().manual_seed(0)

    def tokens(n: int) -> list[int]:
        return torch.randint(10, 40_000, (n,), generator=dice).tolist()

    head = tokens(shared)
    made = []
    for n in torch.randint(10, 70, (wanted,), generator=dice).tolist():
        answer = [*tokens(19), tokenizer.eos_token_id]
        asked = head + tokens(n)
        made.append({"input_ids": asked + answer, "labels": [-100] * len(asked) + answer})
    return made


def examples(task: Task, tokenizer: Any, wanted: int) -> Rows:  # noqa: ANN401
    """So many rows as tokens and labels, the first ones again where there are fewer."""
    from training.models import render

    rows = (task.rows * (wanted // len(task.rows) + 1))[:wanted]
    made = [render.pair_ids(tokenizer, task.system, *row) for row in rows]
    return [{"input_ids": ids, "labels": labels} for ids, labels in made]


@dataclass(slots=True)
class _Clock:
    """Seconds of each step by the clock and by processor time, and those of a large product, which
    is taken between steps so that it meets the same disturbance.
    """

    device: str
    steps: list[tuple[float, float]] = field(default_factory=list)
    products: list[tuple[float, float]] = field(default_factory=list)
    rows: list[int] = field(default_factory=list)

    def now(self) -> tuple[float, float]:
        import torch

        if self.device == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter(), time.process_time()

    def since(self, began: tuple[float, float]) -> tuple[float, float]:
        now = self.now()
        return now[0] - began[0], now[1] - began[1]

    def product(self) -> None:
        """Time one; the first of all only warms up."""
        import torch

        dtype = torch.bfloat16 if self.device == "cuda" else torch.float32
        square = torch.ones(_SIZE, _SIZE, dtype=dtype, device=self.device)
        torch.mm(square, square)
        began = self.now()
        torch.mm(square, square)
        self.products.append(self.since(began))


def contend(name: str, model: Any, tokenizer: Any, rows: Rows, gpu: bool) -> dict[str, Any]:  # noqa: ANN401
    """Train on the rows once as one contender does; figures of every step but the first."""
    from transformers import TrainerCallback

    from training.tuning import batches

    clock = _Clock(str(model.device).split(":")[0])
    trainer = _trainer(name, model, tokenizer, rows, gpu)

    class Times(TrainerCallback):
        def on_step_begin(self, *_: object, **__: object) -> None:
            clock.product()
            self.began = clock.now()

        def on_step_end(self, *_: object, **__: object) -> None:
            clock.steps.append(clock.since(self.began))

    trainer.add_callback(Times())
    step = trainer.training_step

    def counted(module: Any, inputs: Any, *rest: Any) -> Any:  # noqa: ANN401 - the trainer's own
        # each row, whatever the batch's shape, has one end-of-turn token among its targets
        clock.rows.append(int((inputs["labels"] == tokenizer.eos_token_id).sum()))
        return step(module, inputs, *rest)

    trainer.training_step = counted
    done = trainer.train()
    shared = batches.shared_length(rows)
    pairs = list(zip(clock.steps, clock.rows, strict=True))[1:]
    seconds, cpu_seconds = ([one[i] / n for one, n in pairs] for i in (0, 1))
    rates = [2 * _SIZE**3 / statistics.median(one[i] for one in clock.products) for i in (0, 1)]
    work = _work(model, rows, shared)
    return {
        "rows": len(rows),
        "tokens": statistics.mean(len(one["input_ids"]) for one in rows),
        "shared": shared,
        "seconds": seconds,
        "cpu_seconds": cpu_seconds,
        "peak_mb": _peak_mb(clock.device),
        "loss": done.training_loss,
        "share": work / statistics.median(seconds) / rates[0],
        "cpu_share": work / statistics.median(cpu_seconds) / rates[1],
    }


def _peak_mb(device: str) -> float:
    import torch

    if device == "cuda":
        return torch.cuda.max_memory_reserved() / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / _MEGABYTE


def _trainer(name: str, model: Any, tokenizer: Any, rows: Rows, gpu: bool) -> Any:  # noqa: ANN401
    import torch
    from datasets import Dataset
    from peft import LoraConfig
    from trl.trainer.sft_config import SFTConfig
    from trl.trainer.sft_trainer import SFTTrainer

    from training.settings import Lora
    from training.tuning import attention, batches
    from training.tuning.answers import AnswersTrainer

    cuda = gpu and torch.cuda.is_available()
    ours, packs = name.startswith("assay"), name == "trl-packing"
    usual, steps = msgspec.structs.replace(Lora(), batch_size=BATCH), len(rows) // BATCH
    arguments = SFTConfig(
        output_dir=mkdtemp(),
        per_device_train_batch_size=BATCH,
        max_steps=steps,
        learning_rate=usual.learning_rate,
        max_length=None,
        save_strategy="no",
        report_to=[],
        disable_tqdm=True,
        use_cpu=not cuda,
        bf16=cuda,
        dataloader_pin_memory=False,
        seed=0,
        gradient_checkpointing=name == "trl",
        packing=packs,
        padding_free=name == "trl-padding-free",
        dataset_kwargs=None if packs else {"skip_prepare_dataset": True},
        logging_steps=1,
    )
    if packs:  # as many tokens in a sequence as a batch of rows has
        arguments.max_length = sum(len(one["input_ids"]) for one in rows) // steps
        arguments.per_device_train_batch_size = 1
    adapter = LoraConfig(
        task_type="CAUSAL_LM",
        r=usual.r,
        lora_alpha=usual.alpha,
        lora_dropout=usual.dropout,
        target_modules=list(usual.targets),
        bias="none",
    )
    joins = name == "assay" and attention.use(model)
    kind: Any = AnswersTrainer if ours else SFTTrainer
    collator = {"data_collator": batches.Collator(tokenizer.pad_token_id, joins)}
    return kind(
        model=model,
        args=arguments,
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer,
        peft_config=adapter,
        **(collator if ours else {}),
    )


def _work(model: Any, rows: Rows, shared: int) -> float:  # noqa: ANN401
    """Floating-point operations a row that cannot be left out.

    A frozen weight costs two operations a token forward and two backward; a row's last token is not
    read, and the output layer only counts where there is a target. Attention scores and LoRA itself
    are not counted.
    """
    head = model.get_output_embeddings().weight.numel()
    body = sum(
        w.numel() for name, w in model.named_parameters() if "lora" not in name and w.ndim == 2
    )
    rests = statistics.mean(len(one["input_ids"]) - shared - 1 for one in rows)
    learnt = statistics.mean(sum(x != -100 for x in one["labels"]) for one in rows)
    return float(4 * ((body - head) * (rests + shared / BATCH) + head * learnt))


if __name__ == "__main__":
    main()
