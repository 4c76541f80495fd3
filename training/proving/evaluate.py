"""Put the held-out rows through base and tuned model and freeze the answers with what they scored.

Greedy, one loaded model with its adapter off and on; a wholly tuned model is loaded after the base
has gone. The base is held as it was when the adapter was trained: in 4 bits for one made by QLoRA,
for both arms. Both get the system message and the row's input; where the lead asks for the base
model's best prompt, the base gets worked examples too (`best_prompt`).

The answers are written once, whole, and never changed: comparison pages and blind trials only read
them. Where an earlier comparison froze what the same base says to the same rows, those answers are
taken: greedy ones would be the same again. Personal data in an answer is counted, never taken out:
the answer is what the model said.
"""

import gc
import hashlib
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from curation.project.score import Score, score, tally
from curation.schema_check import check_schema
from training.models import base_models, render, tuned_models, vetting
from training.models.precision import Precision
from training.proving import best_prompt, generate, output_scan
from training.records.parts import BaseModel
from training.work import evidence, machine
from training.work.evidence import Evidence
from training.work.rows import Held, answer_line, read_held

_LEAST_TOKENS, _MOST_TOKENS = 48, 1024

Loaded = tuple[PreTrainedModel, PreTrainedTokenizerBase]


def main(directory: Path, hold: Evidence) -> None:
    """Answer and score as `spec.json` says; leave `outputs.jsonl` and `result.json`.

    Raises:
        AssayError: rows, schema, base model or adapter are refused.
    """
    started = time.monotonic()
    spec = evidence.read_json(directory / "spec.json") or {}
    rows = read_held(directory / spec["rows"], spec.get("rows_sha256"))
    if spec.get("output_schema") is not None:
        check_schema(spec["output_schema"])  # refuse a bad schema before the long part
    base = base_models.prepare(BaseModel.from_dict(spec["base"]), Path(spec["data_dir"]), hold.say)
    before = _before(directory, spec.get("base_answers"), base.sha256)
    trying = _prompt_search(directory, spec.get("prompting"))
    answered, figures = _all_arms(base.path, rows, spec, before, trying, hold)
    lines, scanned = output_scan.check(answered, spec.get("scan"), hold)
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
    hold.finish("finished", f"Answered {len(rows)} held-out rows.", detail)


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
        model = tuned_models.with_adapter(model, folder, spec.get("adapter_sha256"))
        for name in ("base", "tuned"):
            with generate.arm(model, tuned=name == "tuned"):
                yield name, (model, tokenizer)
    else:
        vetting.vet(folder)
        tuned_models.check_recorded(folder, spec.get("adapter_sha256"))
        yield "base", (model, tokenizer)
        del model
        gc.collect()
        yield "tuned", base_models.load(folder)


@dataclass(frozen=True, slots=True)
class _ArmAnswers:
    """What one arm says to the rows, in their order."""

    texts: Sequence[str]
    unended: int
    limit: int
    """Tokens an answer could have."""
    evaluation: int | None = None
    """The one that froze them, where it was not this one."""
    prompting: Mapping[str, Any] | None = None
    """Which examples the model was shown, where the best prompt was looked for."""


def _before(
    directory: Path, earlier: Mapping[str, Any] | None, base_sha256: str
) -> _ArmAnswers | None:
    """The base's answers that were sent along, if they are this base's and arrived unchanged."""
    if earlier is None or earlier["base_sha256"] != base_sha256:
        return None
    content = (directory / earlier["file"]).read_bytes()
    if hashlib.sha256(content).hexdigest() != earlier["sha256"]:
        return None
    return _ArmAnswers(
        json.loads(content),
        earlier["unended"],
        earlier["limit"],
        earlier["evaluation"],
        earlier["prompting"],
    )


@dataclass(frozen=True, slots=True)
class _PromptSearch:
    """What the base model's best prompt is looked for with."""

    examples: Sequence[Held]
    rows: Sequence[Held]


def _prompt_search(directory: Path, files: Mapping[str, str] | None) -> _PromptSearch | None:
    if files is None:
        return None
    return _PromptSearch(
        read_held(directory / files["examples"]), read_held(directory / files["rows"])
    )


def _all_arms(
    base: Path,
    rows: Sequence[Held],
    spec: dict[str, Any],
    before: _ArmAnswers | None,
    trying: _PromptSearch | None,
    hold: Evidence,
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Lines of `outputs.jsonl` and figures, each arm in turn."""
    lines: list[dict[str, Any]] = []
    figures: dict[str, Any] = {}
    total = (2 if spec.get("adapter_path") else 1) * len(rows)
    hold.say("Loading the model.")
    for name, loaded in arms(base, spec):  # enumerate would hold on to the base
        limit = int(spec.get("max_new_tokens") or answer_limit(loaded[1], rows))
        progress = _Progress(hold, len(lines), total)
        if name == "base" and before is not None and before.limit == limit:
            answered = before
            figures["base_answers_of"] = answered.evaluation
        elif name == "base" and trying is not None:
            answered = _with_best_prompt(loaded, rows, spec, limit, trying, progress)
        else:
            hold.say(f"Answering with the {name} model.")
            answered = _answers(loaded, rows, spec, limit, progress)
        del loaded
        figures |= {"prompting": dict(answered.prompting)} if answered.prompting else {}
        scores = _scored(answered, rows, spec)
        figures |= {"max_new_tokens": limit} | tally(scores, name)
        figures[f"{name}_unended"] = answered.unended
        each = zip(rows, answered.texts, scores, strict=True)
        lines += [answer_line(row.pair_id, name, text, got) for row, text, got in each]
    return lines, figures


def _with_best_prompt(
    loaded: Loaded,
    rows: Sequence[Held],
    spec: Mapping[str, Any],
    limit: int,
    trying: _PromptSearch,
    progress: "_Progress",
) -> _ArmAnswers:
    """The base's answers with the number of examples that does best on the validation rows."""
    model, tokenizer = loaded
    room = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    trials: list[best_prompt.PromptTrial] = []
    for count in best_prompt.numbers(len(trying.examples)):
        examples = _examples(trying, count)
        prompts = [row.prompt for row in (*trying.rows, *rows)]
        longest = max(
            len(render.prompt_ids(tokenizer, spec["system_message"], score, examples))
            for score in prompts
        )
        if count and room is not None and longest + limit > room:
            break
        progress.hold.say(f"Trying the base model with {count} examples on validation rows.")
        answered = _answers(
            loaded,
            trying.rows,
            spec,
            limit,
            _Progress(progress.hold, 0, len(trying.rows)),
            examples,
        )
        scores = _scored(answered, trying.rows, spec)
        trials.append(
            best_prompt.PromptTrial(
                count,
                sum(score.correct for score in scores),
                sum(score.valid for score in scores),
                len(scores),
            )
        )
    chosen = best_prompt.best(trials).examples
    progress.hold.say(f"Answering with the base model, after {chosen} examples.")
    answered = _answers(loaded, rows, spec, limit, progress, _examples(trying, chosen))
    record = {
        "chosen": chosen,
        "pair_ids": [row.pair_id for row in trying.examples[:chosen]],
        "tried": [asdict(score) for score in trials],
    }
    return replace(answered, prompting=record)


def _scored(answered: _ArmAnswers, rows: Sequence[Held], spec: Mapping[str, Any]) -> list[Score]:
    return [
        score(text, row.response, spec.get("output_schema"), spec.get("label_field"))
        for text, row in zip(answered.texts, rows, strict=True)
    ]


def _examples(trying: _PromptSearch, count: int) -> best_prompt.Examples:
    return [(row.prompt, row.response) for row in trying.examples[:count]]


def _answers(
    loaded: Loaded,
    rows: Sequence[Held],
    spec: Mapping[str, Any],
    limit: int,
    progress: "_Progress",
    examples: best_prompt.Examples = (),
) -> _ArmAnswers:
    answers = generate.answers(
        *loaded,
        spec["system_message"],
        [row.prompt for row in rows],
        limit,
        on_progress=progress,
        should_stop=progress.hold.cancel_requested,
        examples=examples,
    )
    return _ArmAnswers(
        [answer.text for answer in answers], sum(not answer.ended for answer in answers), limit
    )


@dataclass(frozen=True, slots=True)
class _Progress:
    """Tells how many answers are there, counting those of the arms before."""

    hold: Evidence
    before: int
    total: int

    def __call__(self, done: int) -> None:
        self.hold.progress(self.before + done, self.total)


def answer_limit(tokenizer: PreTrainedTokenizerBase, rows: Sequence[Held]) -> int:
    """Tokens an answer may have: twice the longest expected one, from 48 to 1,024.

    A longer answer is wrong whatever follows; without the limit an untuned model talks on.
    """
    longest = max(len(tokenizer.encode(row.response, add_special_tokens=False)) for row in rows)
    return min(_MOST_TOKENS, max(_LEAST_TOKENS, 2 * longest))
