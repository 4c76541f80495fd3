"""Answers a second: Assay's evaluation beside transformers' own `generate`, one row at a time and
in padded batches.

`python -m benchmarks.generate` asks the packaged 135M model for the sample project's held-out rows,
greedily, first as it is and then with an adapter: `--adapter FOLDER`, else one trained here in some
steps. All contenders ask the same loaded model in interleaved rounds. Printed are medians of the
rounds and how many answers are equal, token for token, to those of one row at a time.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from rich.progress import track

from benchmarks.train_throughput import sample
from storage.settings import ROOT
from training.records.parts import BaseModel

Tokens = list[list[int]]
Contender = Callable[[], Tokens]


def main() -> None:
    """Run the rounds and print a table for each arm."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--rounds", type=int, default=2)
    asked.add_argument("--rows", type=int, default=40)
    asked.add_argument("--batch", type=int, default=40)
    asked.add_argument("--adapter", type=Path, help="an adapter's folder; else one is trained")
    asked.add_argument("--steps", type=int, default=24, help="of the training")
    given = asked.parse_args()

    from training.models import base_models, render, tuned_models
    from training.proving import evaluate

    folder = base_models.prepare(BaseModel("packaged"), ROOT / "data")
    model, tokenizer = base_models.load(folder.path)
    rows = _held_out()[: given.rows]
    limit = evaluate.answer_limit(tokenizer, rows)
    system = sample().system
    ids = [render.prompt_ids(tokenizer, system, row.prompt) for row in rows]
    print(f"{len(ids)} rows of {statistics.mean(map(len, ids)):.0f} tokens, up to {limit} more")
    if given.adapter:
        model = tuned_models.with_adapter(model, given.adapter, None)
    else:
        model = _trained(model, tokenizer, given.steps)
    for arm in ("base", "tuned"):
        _compare(arm, model, tokenizer, ids, limit, given)


def _held_out() -> list[Any]:
    from training.work.rows import HeldOutPair

    lines = (ROOT / "sample_data" / "held_out.jsonl").read_text(encoding="utf-8").splitlines()
    return [
        HeldOutPair(n, line["prompt"], line["response"])
        for n, line in enumerate(map(json.loads, lines))
    ]


def _trained(model: Any, tokenizer: Any, steps: int) -> Any:  # noqa: ANN401
    """An adapter of the usual settings after some steps on the gold rows."""
    import torch
    from peft import LoraConfig, get_peft_model

    from benchmarks.train_throughput import BATCH, examples
    from training.settings import SMALL_BASE
    from training.tuning import answers, batches

    adapter = LoraConfig(
        task_type="CAUSAL_LM",
        r=SMALL_BASE.r,
        lora_alpha=SMALL_BASE.alpha,
        target_modules=list(SMALL_BASE.targets),
    )
    tuned = get_peft_model(model, adapter)
    learnt = [weight for weight in tuned.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(learnt, lr=SMALL_BASE.learning_rate, weight_decay=0.0)
    together = batches.Collator(tokenizer.pad_token_id, joins=True)
    rows = examples(sample(), tokenizer, BATCH * steps)
    for step in track(range(steps), "Training an adapter"):
        optimizer.zero_grad()
        loss: Any = answers.loss(tuned, together(rows[step * BATCH : (step + 1) * BATCH]))
        loss.backward()
        optimizer.step()
    return tuned


def _compare(
    arm: str,
    model: Any,  # noqa: ANN401
    tokenizer: Any,  # noqa: ANN401
    ids: Tokens,
    limit: int,
    given: argparse.Namespace,
) -> None:
    from training.proving import generate

    ends = sorted(generate.end_tokens(model, tokenizer))
    contenders: dict[str, Contender] = {
        "assay": lambda: generate.tokens(
            model, ids, limit, frozenset(ends), batch_size=given.batch
        ),
        "generate, one by one": lambda: _generated(model, tokenizer, ids, limit, ends, 1),
        "generate, padded": lambda: _generated(model, tokenizer, ids, limit, ends, given.batch),
    }
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in contenders}
    found: dict[str, Tokens] = {}
    turns = [name for _ in range(given.rounds) for name in contenders]
    with generate.arm(model, tuned=arm == "tuned"):
        for name in track(turns, f"Answering, {arm}"):
            began = time.perf_counter(), time.process_time()
            found[name] = contenders[name]()
            seconds[name].append((time.perf_counter() - began[0], time.process_time() - began[1]))
    _print(arm, seconds, found)


def _generated(
    model: Any,  # noqa: ANN401
    tokenizer: Any,  # noqa: ANN401
    ids: Tokens,
    limit: int,
    ends: list[int],
    size: int,
) -> Tokens:
    """By transformers' own greedy search, prompts padded on the left."""
    import torch

    model.train(False)
    pad = tokenizer.pad_token_id
    written: Tokens = []
    for start in range(0, len(ids), size):
        chosen = ids[start : start + size]
        width = max(map(len, chosen))
        with torch.inference_mode():
            after = model.generate(
                input_ids=torch.tensor([[pad] * (width - len(one)) + one for one in chosen]),
                attention_mask=torch.tensor(
                    [[0] * (width - len(one)) + [1] * len(one) for one in chosen]
                ),
                max_new_tokens=limit,
                do_sample=False,
                eos_token_id=ends,
                pad_token_id=pad,
            )[:, width:]
        written += [list(_until_end(one, ends)) for one in after.tolist()]
    return written


def _until_end(tokens: Sequence[int], ends: Sequence[int]) -> Iterator[int]:
    for token in tokens:
        yield token
        if token in ends:
            return


def _print(
    arm: str, seconds: dict[str, list[tuple[float, float]]], found: dict[str, Tokens]
) -> None:
    middle = {
        name: [statistics.median(times) for times in zip(*rounds, strict=True)]
        for name, rounds in seconds.items()
    }
    alone = found["generate, one by one"]
    written = statistics.mean(map(len, alone))
    print(f"\n{arm}: answers of {written:.0f} tokens on average, n = {len(alone)} rows")
    for name, (wall, cpu) in middle.items():
        equal = sum(a == b for a, b in zip(found[name], alone, strict=True))
        print(
            f"  {name:21} {len(alone) / wall:6.2f} rows/s  {wall / middle['assay'][0]:5.1f}x  "
            f"CPU {cpu:6.1f} s  {cpu / middle['assay'][1]:5.1f}x  "
            f"{equal} of {len(alone)} answers equal"
        )


if __name__ == "__main__":
    main()
