"""Ask base and tuned model general tasks and red-team prompts, and judge each answer by its rule.

Greedy, and both models are asked the same. A message with a control token of the model is
refused before the model sees it, here as everywhere in Assay; another program that serves the
adapter has to refuse it too.
"""

import hashlib
import json
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from curation.schema_check import check_schema
from storage import synced
from storage.errors import BadInput, RuleBroken
from storage.types import Arm
from training.lifecycle import checks
from training.models import base_models, render
from training.proving import answer_rules, evaluate, generate
from training.records import tasks as records
from training.records.tasks import CheckTask
from training.work.evidence import Evidence

_TOKENS = 96
"""Tokens an answer may have; what a rule forbids comes early or not at all in these tasks."""
_REFUSED = "refused before the model saw it: a control token"

Task = dict[str, Any]


def main(directory: Path, hold: Evidence) -> None:
    """Answer and judge as `spec.json` says; leave `checks.jsonl` and `result.json`.

    Raises:
        AssayError: tasks, schema, base model or adapter are refused.
    """
    started = time.monotonic()
    check = records.read(CheckTask, directory)
    tasks = read_tasks(directory / check.tasks, check.tasks_sha256)
    if check.output_schema is not None:
        check_schema(check.output_schema)
    base = base_models.prepare(check.base, Path(check.data_dir), hold.say)
    if check.base_sha256 not in (None, base.sha256):
        raise RuleBroken("The base model changed since the adapter was trained. Put it back.")
    hold.say("Loading the model.")
    lines: list[Task] = []
    limit = check.max_new_tokens or _TOKENS
    for arm, (model, tokenizer) in evaluate.arms(base.path, check):
        hold.say(f"Answering with the {arm} model.")
        texts = _answers(model, tokenizer, tasks, limit, hold, len(lines))
        del model
        lines += [
            _line(task, arm, text, check.output_schema)
            for task, text in zip(tasks, texts, strict=True)
        ]
    content = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines).encode()
    synced.write(directory / checks.LINES, content)
    detail = {
        **checks.tally(lines),
        "tasks_sha256": check.tasks_sha256,
        "outputs_sha256": hashlib.sha256(content).hexdigest(),
        "base": {"name": base.name, "sha256": base.sha256},
        "seconds": round(time.monotonic() - started, 1),
    }
    hold.finish("finished", f"Asked {len(tasks)} tasks and prompts.", detail)


def read_tasks(path: Path, sha256: str) -> list[Task]:
    """The tasks, one JSON object a line.

    Raises:
        RuleBroken: the file is not the one the job was started with.
    """
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != sha256:
        raise RuleBroken("The tasks changed since the check was started. Start it again.")
    return [json.loads(line) for line in content.splitlines()]


def _answers(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    tasks: Sequence[Task],
    limit: int,
    hold: Evidence,
    before: int,
) -> list[str | None]:
    """One greedy answer per task; None where the message was refused.

    Tasks under one system message are asked together, so that it is computed once.
    """
    texts: dict[str, str | None] = dict.fromkeys(task["id"] for task in tasks)
    for system in dict.fromkeys(task["system"] for task in tasks):
        render.prompt_ids(tokenizer, system, "")  # a bad system message ends the check
        prompts = {}
        for task in tasks:
            if task["system"] == system:
                try:
                    prompts[task["id"]] = render.prompt_ids(tokenizer, system, task["prompt"])
                except BadInput:
                    continue  # its answer stays None
        tell = partial(_tell, hold, before, len(Arm) * len(tasks))
        generated = generate.complete(
            model,
            tokenizer,
            list(prompts.values()),
            limit,
            on_progress=tell,
            should_stop=hold.cancel_requested,
        )
        texts |= {key: answer.text for key, answer in zip(prompts, generated, strict=True)}
        before += len(prompts)
    return list(texts.values())


def _tell(hold: Evidence, before: int, total: int, done: int) -> None:
    hold.progress(before + done, total)


def _line(task: Task, arm: str, text: str | None, schema: answer_rules.Schema | None) -> Task:
    why = answer_rules.broken(task["rule"], text, schema) if text is not None else ()
    return {
        "set": task["set"],
        "id": task["id"],
        "kind": task["kind"],
        "prompt": task["prompt"],
        "arm": arm,
        "text": text or "",
        "passed": not why,
        "why": _REFUSED if text is None else "; ".join(why),
        "sha256": hashlib.sha256((text or "").encode()).hexdigest(),
    }
