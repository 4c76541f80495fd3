"""Ask a model for new rows on a topic: first a message like the gold ones, then its answer.

Drafts wait for people. What cannot be used (empty, a copy, an answer outside the schema) is counted
and reported. Not checked here: whether a draft is true to the topic, or right.
"""

import hashlib
import json
import random
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from curation.schema_check import check_schema, problems
from storage import synced
from storage.blank import seen, trim
from storage.errors import BadInput
from training.draft.writers import Writer, writer
from training.hosted.completions import Chat, Wanted
from training.models.render import Message, messages
from training.records import tasks
from training.records.results import DraftLine
from training.records.tasks import DraftTask
from training.work.evidence import Cancelled, Evidence

_PROMPT_TOKENS = 120
_SHORTEST, _LONGEST = 12, 1_000
_LIKENESS = 0.7
_TRIES_PER_DRAFT = 5
_LABEL = re.compile(r"^(?:message|customer|input|user)\s*:\s*", re.IGNORECASE)
_HELPER = re.compile(
    r"\b(i.?m sorry (to hear|for your)|happy to (help|assist|give)|here to help|as an ai)\b",
    re.IGNORECASE,
)
"""How a chat model talks when it forgets that it writes for the person who asks."""
_WORD = re.compile(r"\w+")
_QUOTES = "\"'\u201c\u201d\u2018\u2019 \n\t"


@dataclass(frozen=True, slots=True)
class DraftBrief:
    """What drafts are made from."""

    topic: str
    task: str
    system_message: str
    schema: dict[str, object] | None
    examples: tuple[tuple[str, str], ...]

    def asks(self, shuffle: random.Random) -> list[Message]:
        """The chat that asks for a new message: gold messages as earlier turns, in random order."""
        system = (
            f"You write the inputs for this task: {self.task} Write one new input at a time, in "
            "the everyday words of the person who sends it. Write nothing else."
        )
        chat = [{"role": "system", "content": system}]
        for prompt, _ in shuffle.sample(self.examples, len(self.examples)):
            chat.append({"role": "user", "content": "Write one input."})
            chat.append({"role": "assistant", "content": prompt})
        return [*chat, {"role": "user", "content": f"Write one input about: {self.topic}"}]

    def answers(self, prompt: str) -> list[Message]:
        """The chat that asks for the answer: the task's own system message, gold pairs before."""
        return messages(self.system_message, prompt, examples=self.examples)

    @property
    def answer_tokens(self) -> int:
        """Tokens an answer may have; a token is seldom less than two characters."""
        return max(64, max(len(response) for _, response in self.examples) // 2)


@dataclass(slots=True)
class Drafts:
    """The drafts so far, and why others were refused."""

    task: DraftBrief
    lines: list[DraftLine] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)
    _vocabularies: list[frozenset[str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._vocabularies += [_vocabulary(prompt) for prompt, _ in self.task.examples]

    def takes(self, prompt: str) -> bool:
        """Whether an input can be used; one that can is remembered, so that no other is like
        it.
        """
        if not _SHORTEST <= len(seen(prompt)) <= len(prompt) <= _LONGEST:
            self.refused["input too short or too long"] += 1
            return False
        if _HELPER.search(prompt):
            self.refused["input in a helper's voice"] += 1
            return False
        vocabulary = _vocabulary(prompt)
        if any(_likeness(vocabulary, earlier) >= _LIKENESS for earlier in self._vocabularies):
            self.refused["input too like an example or another draft"] += 1
            return False
        self._vocabularies.append(vocabulary)
        return True

    def answer(self, response: str) -> bool:
        """Whether an answer can be used."""
        if not trim(response):
            self.refused["answer empty"] += 1
            return False
        if self.task.schema is not None and problems(response, self.task.schema):
            self.refused["answer outside the schema"] += 1
            return False
        return True


def main(directory: Path, hold: Evidence) -> None:
    """Draft as `spec.json` says; leave `drafts.jsonl` and `result.json`.

    Raises:
        AssayError: the examples, the schema, the base model or the endpoint cannot be used.
    """
    task = tasks.read(DraftTask, directory)
    brief = brief_of(task)
    if not 0 < task.temperature <= 2:
        raise BadInput("The temperature must be above 0 and at most 2.")
    model = writer(task, hold)
    hold.say(f"Drafting with {model.name}.")
    drafts = Drafts(brief)
    tried = fill(drafts, model, task.count, task.seed, task.temperature, hold)
    content = b"".join(msgspec.json.encode(line) + b"\n" for line in drafts.lines)
    synced.write(directory / "drafts.jsonl", content)
    detail = {
        "asked": task.count,
        "kept": len(drafts.lines),
        "tried": tried,
        "refused": dict(drafts.refused),
        "model": model.name,
    }
    hold.finish("finished" if drafts.lines else "failed", _ending(drafts, tried), detail)


def brief_of(task: DraftTask) -> DraftBrief:
    """What a task makes its drafts from.

    Raises:
        BadInput: there are no examples, or the schema cannot be used.
    """
    examples = tuple((example.prompt, example.response) for example in task.examples)
    if not examples:
        raise BadInput("Drafts are made from gold pairs, and there are none. Write some first.")
    if task.output_schema is not None:
        check_schema(task.output_schema)
    purpose = task.task or "answering such messages."
    return DraftBrief(task.topic, purpose, task.system_message, task.output_schema, examples)


def fill(
    drafts: Drafts, model: Writer, count: int, seed: int, temperature: float, hold: Evidence
) -> int:
    """Draft until there are `count` or the tries are used up; returns how many were tried.

    Each round has a seed of its own, counted up from the given one.
    """
    tried = 0
    while len(drafts.lines) < count and tried < _TRIES_PER_DRAFT * count:
        if hold.cancel_requested():
            raise Cancelled
        wanted = min(model.at_once, _TRIES_PER_DRAFT * count - tried)
        _round(drafts, model, wanted, seed + tried, temperature, count)
        tried += wanted
        hold.progress(min(len(drafts.lines), count), count)
    return tried


def _round(
    drafts: Drafts, model: Writer, wanted: int, seed: int, temperature: float, count: int
) -> None:
    """One batch: messages, then the answers of those that can be used."""
    shuffle = random.Random(seed)  # noqa: S311 - reproducible, not secret
    asks = [drafts.task.asks(shuffle) for _ in range(wanted)]
    raw = model.write(asks, Wanted(_PROMPT_TOKENS, temperature, seed))
    usable = [(ask, text) for ask, text in zip(asks, raw, strict=True) if drafts.takes(clean(text))]
    if not usable:
        return
    chats = [drafts.task.answers(clean(text)) for _, text in usable]
    replies = model.write(chats, Wanted(drafts.task.answer_tokens, 0.0, seed))
    for (ask, text), chat, reply in zip(usable, chats, replies, strict=True):
        if len(drafts.lines) < count and drafts.answer(reply.strip()):
            drafts.lines.append(
                _line(len(drafts.lines), (ask, chat), (text, reply), model.name, seed)
            )


def _line(
    index: int, chats: tuple[Chat, Chat], raw: tuple[str, str], model: str, seed: int
) -> DraftLine:
    """One draft with what it was made from: hashes of what was asked and of what came back."""
    return DraftLine(
        index=index,
        prompt=clean(raw[0]),
        response=raw[1].strip(),
        model=model,
        prompt_sha256=_sha256(chats),
        seed=seed,
        raw_sha256=_sha256(raw),
    )


def clean(text: str) -> str:
    """A message without the label and the quotation marks that models put around it."""
    return _LABEL.sub("", text.strip(_QUOTES)).strip(_QUOTES)


def _sha256(value: object) -> str:
    return hashlib.sha256(json.dumps(value, ensure_ascii=False).encode()).hexdigest()


def _vocabulary(text: str) -> frozenset[str]:
    return frozenset(_WORD.findall(text.casefold()))


def _likeness(first: frozenset[str], second: frozenset[str]) -> float:
    """Share of their words that two texts have in common."""
    return len(first & second) / len(first | second) if first | second else 1.0


def _ending(drafts: Drafts, tried: int) -> str:
    reasons: Sequence[str] = [f"{n} {why}" for why, n in drafts.refused.most_common()]
    refused = f" Not kept: {', '.join(reasons)}." if reasons else ""
    if not drafts.lines:
        return f"None of {tried} drafts could be used.{refused} Try another model or topic."
    return f"Kept {len(drafts.lines)} drafts of {tried}.{refused}"
