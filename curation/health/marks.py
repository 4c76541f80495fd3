"""What the text of one row shows: the slow part of the health of a set, done once for each text."""

import hashlib
import json
from functools import lru_cache

from curation import schema_check, strict_json
from curation.health import texts
from curation.health.measured import Marks, Task
from curation.review.phrases import folded
from storage.errors import BadInput

RULES = 1
"""Raised whenever a text would get other marks than before."""
WORDY = 5
"""Words that an output needs so that repeating it says something."""
_REMEMBERED = 2048
"""Outputs whose value is remembered: those of a labelled set are few."""


def task_key(task: Task) -> str:
    """Names what marks depend on beside the text: the task and the rules here."""
    dependencies = json.dumps([RULES, task.output_schema, task.label_field], sort_keys=True)
    return hashlib.sha256(dependencies.encode()).hexdigest()[:16]


def marks_of(prompt: str, response: str, task: Task) -> Marks:
    """What the text of a row shows."""
    question, answer = folded(prompt), folded(response)
    odd = {
        "short": texts.short(prompt, response),
        "copied": texts.copied(question, answer),
        "refusal": texts.refuses(answer),
        "model_talk": texts.model_talk(answer),
        "fence": texts.open_fence(response) or texts.open_fence(prompt),
        "left_in": texts.left_in(response),
    }
    guessed = [texts.language(prompt), texts.language(response)]
    foreign = [code for code in guessed if code not in (None, "en")]
    schema = task.output_schema
    return Marks(
        prompt_tokens=texts.tokens(prompt),
        response_tokens=texts.tokens(response),
        word_count=texts.word_count(prompt) + texts.word_count(response),
        language=foreign[0] if foreign else next((code for code in guessed if code), None),
        encoding=tuple(dict.fromkeys((*texts.encoding(prompt), *texts.encoding(response)))),
        odd=tuple(key for key, met in odd.items() if met),
        fits=schema is None or _fits(json.dumps(schema, sort_keys=True), response),
        label=label_of(task.label_field, response) if task.label_field else None,
        answer=None if _closed(task.label_field, response) else _name(answer),
        question=_name(question),
    )


def _name(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:16]


@lru_cache(maxsize=_REMEMBERED)
def _fits(schema: str, response: str) -> bool:
    return not schema_check.problems(response, json.loads(schema))


@lru_cache(maxsize=_REMEMBERED)
def _parsed(response: str) -> object:
    """The JSON value of a response that is an object; None for any other."""
    if not response.lstrip().startswith("{"):
        return None
    try:
        return strict_json.loads(response)
    except BadInput:
        return None


def label_of(name: str, response: str) -> str | None:
    """The label that a JSON response has in the field `name`; None where it has none."""
    value = _parsed(response)
    if not isinstance(value, dict) or name not in value:
        return None
    label = value[name]
    return label if isinstance(label, str) else json.dumps(label, sort_keys=True)


def _closed(label_field: str | None, response: str) -> bool:
    """Whether a response is so closed that repeating it says nothing: few words, or a label."""
    value = _parsed(response)
    if value is None:
        return len(response.split()) < WORDY
    lengths = [
        len(str(part).split())
        for name, part in (value.items() if isinstance(value, dict) else [("", value)])
        if name != label_field
    ]
    return all(n < WORDY for n in lengths)
