"""Put the held-out rows through base and tuned model and freeze the answers with what they scored.

Greedy, the same rendered prompt for both arms, one loaded model with its adapter off and on. The
answers are written once, whole, and never changed: comparison pages and blind trials only read
them. Personal data in an answer is counted, never taken out: the answer is what the model said.
"""

import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from peft import PeftModel
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from curation.schema_check import check_schema
from curation.score import Score, score, tally
from storage.errors import BadInput, RuleBroken
from training import base_models, evidence, generate, output_scan, vetting
from training.evidence import Evidence

_ADAPTER_FILES = frozenset(
    {"adapter_config.json", "adapter_model.safetensors", "chat_template.jinja"}
)
_LEAST_TOKENS, _MOST_TOKENS = 48, 1024


@dataclass(frozen=True, slots=True)
class Held:
    """One held-out row."""

    pair_id: int
    prompt: str
    response: str


def main(directory: Path, held: Evidence) -> None:
    """Answer and score as `spec.json` says; leave `outputs.jsonl` and `result.json`.

    Raises:
        AssayError: rows, schema, base model or adapter are refused.
    """
    started = time.monotonic()
    spec = evidence.read_json(directory / "spec.json") or {}
    rows = read_rows(directory / spec["rows"], spec.get("rows_sha256"))
    if spec.get("output_schema") is not None:
        check_schema(spec["output_schema"])  # refuse a bad schema before the long part
    base = base_models.prepare(
        base_models.Base.from_dict(spec["base"]), Path(spec["data_dir"]), held.say
    )
    held.say("Loading the model.")
    model, tokenizer = base_models.load(base.path)
    arms = ["base"]
    if spec.get("adapter_path"):
        model = with_adapter(model, Path(spec["adapter_path"]), spec.get("adapter_sha256"))
        arms.append("tuned")
    answered, figures = _all_arms(arms, model, tokenizer, rows, spec, held)
    lines, scanned = output_scan.check(answered, spec.get("scan"), held)
    content = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines).encode()
    evidence.write_bytes(directory / "outputs.jsonl", content)
    detail = {
        "n": len(rows),
        **figures,
        **scanned,
        "outputs_sha256": hashlib.sha256(content).hexdigest(),
        "base": {"name": base.name, "sha256": base.sha256},
        "seconds": round(time.monotonic() - started, 1),
    }
    held.finish("finished", f"Answered {len(rows)} held-out rows.", detail)


def read_rows(path: Path, sha256: str | None = None) -> list[Held]:
    """The held-out rows, one JSON object a line.

    Raises:
        RuleBroken: the file is not the one the job was started with.
        BadInput: there are none.
    """
    content = path.read_bytes()
    if sha256 is not None and hashlib.sha256(content).hexdigest() != sha256:
        raise RuleBroken("The held-out rows changed since the job was started. Start it again.")
    names = ("pair_id", "prompt", "response")
    rows = [
        Held(*(json.loads(line)[name] for name in names)) for line in content.splitlines() if line
    ]
    if not rows:
        raise BadInput("The version has no test rows to evaluate on. Make a new version.")
    return rows


def with_adapter(model: PreTrainedModel, folder: Path, sha256: str | None) -> PreTrainedModel:
    """Put an adapter on a loaded model.

    Raises:
        BadInput: the folder is missing or holds more than an adapter that Assay saved.
        RuleBroken: it is not the adapter that was recorded.
    """
    if not (folder / "adapter_model.safetensors").is_file():
        raise BadInput(f"The adapter folder {folder.name} has no adapter_model.safetensors.")
    hashes = vetting.file_hashes(folder)
    if not set(hashes) <= _ADAPTER_FILES:
        raise BadInput(f"The adapter folder {folder.name} holds files that Assay did not write.")
    if sha256 is not None and vetting.names_sha256(hashes) != sha256:
        raise RuleBroken("The adapter's files changed since it was trained. Train it again.")
    tuned = PeftModel.from_pretrained(
        model, str(folder), use_safetensors=True, local_files_only=True
    )
    return cast(
        "PreTrainedModel", tuned
    )  # it answers like one, with an adapter that can be put off


def _all_arms(
    arms: Sequence[str],
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    rows: Sequence[Held],
    spec: dict[str, Any],
    held: Evidence,
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Lines of `outputs.jsonl` and figures, each arm in turn."""
    limit = int(spec.get("max_new_tokens") or answer_limit(tokenizer, rows))
    lines: list[dict[str, Any]] = []
    figures: dict[str, Any] = {"max_new_tokens": limit}
    for number, name in enumerate(arms):
        held.say(f"Answering with the {name} model.")
        progress = _Progress(held, number * len(rows), len(arms) * len(rows))
        with generate.arm(model, tuned=name == "tuned", has_adapter=len(arms) > 1):
            texts = generate.answers(
                model,
                tokenizer,
                spec["system_message"],
                [row.prompt for row in rows],
                limit,
                on_progress=progress,
                should_stop=held.cancel_requested,
            )
        found = [
            score(one.text, row.response, spec.get("output_schema"), spec.get("label_field"))
            for one, row in zip(texts, rows, strict=True)
        ]
        figures |= tally(found, name)
        figures[f"{name}_unended"] = sum(not one.ended for one in texts)
        each = zip(rows, texts, found, strict=True)
        lines += [_line(row.pair_id, name, one.text, got) for row, one, got in each]
    return lines, figures


@dataclass(frozen=True, slots=True)
class _Progress:
    """Tells how many answers are there, counting those of the arms before."""

    held: Evidence
    before: int
    total: int

    def __call__(self, done: int) -> None:
        self.held.progress(self.before + done, self.total)


def answer_limit(tokenizer: PreTrainedTokenizerBase, rows: Sequence[Held]) -> int:
    """Tokens an answer may have: twice the longest expected one, from 48 to 1,024.

    A longer answer is wrong whatever follows; without the limit an untuned model talks on.
    """
    longest = max(len(tokenizer.encode(row.response, add_special_tokens=False)) for row in rows)
    return min(_MOST_TOKENS, max(_LEAST_TOKENS, 2 * longest))


def _line(pair_id: int, arm: str, text: str, got: Score) -> dict[str, Any]:
    return {
        "pair_id": pair_id,
        "arm": arm,
        "text": text,
        "valid": got.valid,
        "correct": got.correct,
        "sha256": hashlib.sha256(text.encode()).hexdigest(),
    }
