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
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from curation.project.score import Score, score, tally
from curation.schema_check import check_schema
from training.models import base_models, render, tuned_models, vetting
from training.models.precision import Precision
from training.proving import best_prompt, generate, output_scan
from training.records import tasks
from training.records.parts import Prompting, PromptTrial
from training.records.record import written
from training.records.tasks import EarlierAnswers, EvaluateTask, PromptingFiles, TunedModel
from training.work import machine
from training.work.evidence import Evidence
from training.work.rows import (
    Figures,
    HeldOutPair,
    OutputLine,
    answer_line,
    read_held_out,
    write_outputs,
)

_LEAST_TOKENS, _MOST_TOKENS = 48, 1024

Loaded = tuple[PreTrainedModel, PreTrainedTokenizerBase]


def main(directory: Path, hold: Evidence) -> None:
    """Answer and score as `spec.json` says; leave `outputs.jsonl` and `result.json`.

    Raises:
        AssayError: rows, schema, base model or adapter are refused.
    """
    started = time.monotonic()
    task = tasks.read(EvaluateTask, directory)
    rows = read_held_out(directory / task.rows, task.rows_sha256)
    if task.output_schema is not None:
        check_schema(task.output_schema)  # refuse a bad schema before the long part
    base = base_models.prepare(task.base, Path(task.data_dir), hold.say)
    before = _before(directory, task.base_answers, base.sha256)
    trying = _prompt_search(directory, task.prompting)
    answered, figures = _all_arms(base.path, rows, task, before, trying, hold)
    lines, scanned = output_scan.check(answered, task.scan, hold)
    detail = {
        "n": len(rows),
        **figures,
        **scanned,
        "outputs_sha256": write_outputs(directory, lines),
        "base": {"name": base.name, "sha256": base.sha256},
        "precision": _precision(task).value,
        "setup": machine.setup(),
        "seconds": round(time.monotonic() - started, 1),
    }
    hold.finish("finished", f"Answered {len(rows)} held-out pairs.", detail)


def _precision(task: TunedModel) -> Precision:
    return Precision(task.precision or Precision.USUAL)


def arms(base: Path, task: TunedModel) -> Iterator[tuple[str, Loaded]]:
    """Each arm's name with its model and tokenizer, ready to be asked; a whole model comes into
    memory once the base has left it.
    """
    model, tokenizer = base_models.load(base, _precision(task))
    folder = Path(task.adapter_path) if task.adapter_path else None
    if folder is None:
        yield "base", (model, tokenizer)
    elif not task.whole_model:
        model = tuned_models.with_adapter(model, folder, task.adapter_sha256)
        for name in ("base", "tuned"):
            with generate.arm(model, tuned=name == "tuned"):
                yield name, (model, tokenizer)
    else:
        vetting.vet(folder)
        tuned_models.check_recorded(folder, task.adapter_sha256)
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
    prompting: Prompting | None = None
    """Which examples the model was shown, where the best prompt was looked for."""


def _before(
    directory: Path, earlier: EarlierAnswers | None, base_sha256: str
) -> _ArmAnswers | None:
    """The base's answers that were sent along, if they are this base's and arrived unchanged."""
    if earlier is None or earlier.base_sha256 != base_sha256:
        return None
    content = (directory / earlier.file).read_bytes()
    if hashlib.sha256(content).hexdigest() != earlier.sha256:
        return None
    return _ArmAnswers(
        json.loads(content),
        earlier.unended,
        earlier.limit,
        earlier.evaluation,
        earlier.prompting,
    )


@dataclass(frozen=True, slots=True)
class _PromptSearch:
    """What the base model's best prompt is looked for with."""

    examples: Sequence[HeldOutPair]
    rows: Sequence[HeldOutPair]


def _prompt_search(directory: Path, files: PromptingFiles | None) -> _PromptSearch | None:
    if files is None:
        return None
    return _PromptSearch(
        read_held_out(directory / files.examples), read_held_out(directory / files.rows)
    )


def _all_arms(
    base: Path,
    rows: Sequence[HeldOutPair],
    task: EvaluateTask,
    before: _ArmAnswers | None,
    trying: _PromptSearch | None,
    hold: Evidence,
) -> tuple[list[OutputLine], Figures]:
    """Lines of `outputs.jsonl` and figures, each arm in turn."""
    lines: list[OutputLine] = []
    figures: Figures = {}
    total = (2 if task.adapter_path else 1) * len(rows)
    hold.say("Loading the model.")
    for name, loaded in arms(base, task):  # enumerate would hold on to the base
        limit = int(task.max_new_tokens or answer_limit(loaded[1], rows))
        progress = _Progress(hold, len(lines), total)
        if name == "base" and before is not None and before.limit == limit:
            answered = before
            figures["base_answers_of"] = answered.evaluation
        elif name == "base" and trying is not None:
            answered = _with_best_prompt(loaded, rows, task, limit, trying, progress)
        else:
            hold.say(f"Answering with the {name} model.")
            answered = _answers(loaded, rows, task, limit, progress)
        del loaded
        if answered.prompting is not None:
            figures["prompting"] = written(answered.prompting)
        scores = _scored(answered, rows, task)
        figures |= {"max_new_tokens": limit} | tally(scores, name)
        figures[f"{name}_unended"] = answered.unended
        each = zip(rows, answered.texts, scores, strict=True)
        lines += [answer_line(row.pair_id, name, text, got) for row, text, got in each]
    return lines, figures


def _with_best_prompt(
    loaded: Loaded,
    rows: Sequence[HeldOutPair],
    task: EvaluateTask,
    limit: int,
    trying: _PromptSearch,
    progress: "_Progress",
) -> _ArmAnswers:
    """The base's answers with the number of examples that does best on the validation rows."""
    model, tokenizer = loaded
    room = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    trials: list[PromptTrial] = []
    for count in best_prompt.numbers(len(trying.examples)):
        examples = _examples(trying, count)
        prompts = [row.prompt for row in (*trying.rows, *rows)]
        longest = max(
            len(render.prompt_ids(tokenizer, task.system_message, prompt, examples))
            for prompt in prompts
        )
        if count and room is not None and longest + limit > room:
            break
        progress.hold.say(f"Trying the base model with {count} examples on validation pairs.")
        answered = _answers(
            loaded,
            trying.rows,
            task,
            limit,
            _Progress(progress.hold, 0, len(trying.rows)),
            examples,
        )
        scores = _scored(answered, trying.rows, task)
        trials.append(
            PromptTrial(
                examples=count,
                correct=sum(score.correct for score in scores),
                valid=sum(score.valid for score in scores),
                n=len(scores),
            )
        )
    chosen = best_prompt.best(trials).examples
    progress.hold.say(f"Answering with the base model, after {chosen} examples.")
    answered = _answers(loaded, rows, task, limit, progress, _examples(trying, chosen))
    pair_ids = tuple(row.pair_id for row in trying.examples[:chosen])
    prompting = Prompting(chosen=chosen, pair_ids=pair_ids, tried=tuple(trials))
    return replace(answered, prompting=prompting)


def _scored(answered: _ArmAnswers, rows: Sequence[HeldOutPair], task: EvaluateTask) -> list[Score]:
    return [
        score(text, row.response, task.output_schema, task.label_field)
        for text, row in zip(answered.texts, rows, strict=True)
    ]


def _examples(trying: _PromptSearch, count: int) -> best_prompt.Examples:
    return [(row.prompt, row.response) for row in trying.examples[:count]]


def _answers(
    loaded: Loaded,
    rows: Sequence[HeldOutPair],
    task: EvaluateTask,
    limit: int,
    progress: "_Progress",
    examples: best_prompt.Examples = (),
) -> _ArmAnswers:
    answers = generate.answers(
        *loaded,
        task.system_message,
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


def answer_limit(tokenizer: PreTrainedTokenizerBase, rows: Sequence[HeldOutPair]) -> int:
    """Tokens an answer may have: twice the longest expected one, from 48 to 1,024.

    A longer answer is wrong whatever follows; without the limit an untuned model talks on.
    """
    longest = max(len(tokenizer.encode(row.response, add_special_tokens=False)) for row in rows)
    return min(_MOST_TOKENS, max(_LEAST_TOKENS, 2 * longest))
