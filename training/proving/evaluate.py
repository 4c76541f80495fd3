"""Put the held-out rows through base and tuned model and freeze the answers with what they scored.

Greedy, the same rendered prompt for both arms, one loaded model with its adapter off and on; a
wholly tuned model is loaded after the base has gone. The base is held as it was when the adapter
was trained: in 4 bits for one made by QLoRA, for both arms. The answers are written once, whole,
and never changed: comparison pages and blind trials only read them. Where an earlier comparison
froze what the same base says to the same rows, those answers are taken: greedy ones would be the
same again. Personal data in an answer is counted, never taken out: the answer is what the model
said.
"""

import gc
import hashlib
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from peft import PeftModel
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from curation.schema_check import check_schema
from curation.score import score, tally
from storage.errors import BadInput, RuleBroken
from training.models import base_models, vetting
from training.models.precision import Precision
from training.proving import generate, output_scan
from training.work import evidence, machine
from training.work.evidence import Evidence
from training.work.rows import Held as Held
from training.work.rows import answer_line
from training.work.rows import read_held as read_held

_ADAPTER_FILES = frozenset(
    {"adapter_config.json", "adapter_model.safetensors", "chat_template.jinja"}
)
_LEAST_TOKENS, _MOST_TOKENS = 48, 1024

Loaded = tuple[PreTrainedModel, PreTrainedTokenizerBase]


def main(directory: Path, held: Evidence) -> None:
    """Answer and score as `spec.json` says; leave `outputs.jsonl` and `result.json`.

    Raises:
        AssayError: rows, schema, base model or adapter are refused.
    """
    started = time.monotonic()
    spec = evidence.read_json(directory / "spec.json") or {}
    rows = read_held(directory / spec["rows"], spec.get("rows_sha256"))
    if spec.get("output_schema") is not None:
        check_schema(spec["output_schema"])  # refuse a bad schema before the long part
    base = base_models.prepare(
        base_models.Base.from_dict(spec["base"]), Path(spec["data_dir"]), held.say
    )
    before = _before(directory, spec.get("base_answers"), base.sha256)
    answered, figures = _all_arms(base.path, rows, spec, before, held)
    lines, scanned = output_scan.check(answered, spec.get("scan"), held)
    content = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines).encode()
    evidence.write_bytes(directory / "outputs.jsonl", content)
    detail = {
        "n": len(rows),
        **figures,
        **scanned,
        "outputs_sha256": hashlib.sha256(content).hexdigest(),
        "base": {"name": base.name, "sha256": base.sha256},
        "precision": _precision(spec).value,
        "setup": machine.setup(),
        "seconds": round(time.monotonic() - started, 1),
    }
    held.finish("finished", f"Answered {len(rows)} held-out rows.", detail)


def with_adapter(
    model: PreTrainedModel, folder: Path, sha256: str | None, *, trained: bool = False
) -> PreTrainedModel:
    """Put an adapter on a loaded model, to be asked or to be trained further.

    Raises:
        BadInput: the folder is missing or holds more than an adapter that Assay saved.
        RuleBroken: it is not the adapter that was recorded.
    """
    if not (folder / "adapter_model.safetensors").is_file():
        raise BadInput(f"The adapter folder {folder.name} has no adapter_model.safetensors.")
    if not set(vetting.file_hashes(folder)) <= _ADAPTER_FILES:
        raise BadInput(f"The adapter folder {folder.name} holds files that Assay did not write.")
    check_recorded(folder, sha256)
    tuned = PeftModel.from_pretrained(
        model, str(folder), is_trainable=trained, use_safetensors=True, local_files_only=True
    )
    return cast(
        "PreTrainedModel", tuned
    )  # it answers like one, with an adapter that can be put off


def check_recorded(folder: Path, sha256: str | None) -> None:
    """Refuse an adapter or a whole model that is not the one its run recorded.

    Raises:
        RuleBroken: a file was changed, added or taken away.
    """
    if sha256 is not None and vetting.folder_sha256(folder) != sha256:
        raise RuleBroken("The adapter's files changed since it was trained. Train it again.")


def _precision(spec: Mapping[str, Any]) -> Precision:
    return Precision(spec.get("precision") or Precision.USUAL)


def arms(base: Path, spec: Mapping[str, Any]) -> Iterator[tuple[str, Loaded]]:
    """Each arm's name with its model and tokenizer, ready to be asked; a whole model comes into
    memory once the base has left it.
    """
    model, tokenizer = base_models.load(base, _precision(spec))
    folder = Path(spec["adapter_path"]) if spec.get("adapter_path") else None
    if folder is None:
        yield "base", (model, tokenizer)
    elif not spec.get("whole_model"):
        model = with_adapter(model, folder, spec.get("adapter_sha256"))
        for name in ("base", "tuned"):
            with generate.arm(model, tuned=name == "tuned"):
                yield name, (model, tokenizer)
    else:
        vetting.vet(folder)
        check_recorded(folder, spec.get("adapter_sha256"))
        yield "base", (model, tokenizer)
        del model
        gc.collect()
        yield "tuned", base_models.load(folder)


@dataclass(frozen=True, slots=True)
class _Told:
    """What one arm says to the rows, in their order."""

    texts: Sequence[str]
    unended: int
    limit: int
    """Tokens an answer could have."""
    evaluation: int | None = None
    """The one that froze them, where it was not this one."""


def _before(directory: Path, known: Mapping[str, Any] | None, base_sha256: str) -> _Told | None:
    """The base's answers that were sent along, if they are this base's and arrived unchanged."""
    if known is None or known["base_sha256"] != base_sha256:
        return None
    content = (directory / known["file"]).read_bytes()
    if hashlib.sha256(content).hexdigest() != known["sha256"]:
        return None
    return _Told(json.loads(content), known["unended"], known["limit"], known["evaluation"])


def _all_arms(
    base: Path, rows: Sequence[Held], spec: dict[str, Any], before: _Told | None, held: Evidence
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Lines of `outputs.jsonl` and figures, each arm in turn."""
    lines: list[dict[str, Any]] = []
    figures: dict[str, Any] = {}
    total = (2 if spec.get("adapter_path") else 1) * len(rows)
    held.say("Loading the model.")
    for name, loaded in arms(base, spec):  # enumerate would hold on to the base
        limit = int(spec.get("max_new_tokens") or answer_limit(loaded[1], rows))
        if name == "base" and before is not None and before.limit == limit:
            told = before
            figures["base_answers_of"] = told.evaluation
        else:
            told = _asked(name, loaded, rows, spec, limit, _Progress(held, len(lines), total))
        del loaded
        found = [
            score(text, row.response, spec.get("output_schema"), spec.get("label_field"))
            for text, row in zip(told.texts, rows, strict=True)
        ]
        figures |= {"max_new_tokens": limit} | tally(found, name)
        figures[f"{name}_unended"] = told.unended
        each = zip(rows, told.texts, found, strict=True)
        lines += [answer_line(row.pair_id, name, text, got) for row, text, got in each]
    return lines, figures


def _asked(
    name: str,
    loaded: Loaded,
    rows: Sequence[Held],
    spec: Mapping[str, Any],
    limit: int,
    progress: "_Progress",
) -> _Told:
    progress.held.say(f"Answering with the {name} model.")
    answers = generate.answers(
        *loaded,
        spec["system_message"],
        [row.prompt for row in rows],
        limit,
        on_progress=progress,
        should_stop=progress.held.cancel_requested,
    )
    return _Told([one.text for one in answers], sum(not one.ended for one in answers), limit)


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
