"""What `report` measures: rows, what their text shows, and the form of a measure."""

import hashlib
import json
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from curation import strict_json
from curation.health import texts
from curation.review.phrases import folded
from curation.statistics import Interval, wilson
from storage.errors import BadInput

REMEMBERED = 50_000
"""Texts whose marks are remembered between two looks at a set."""
Id = int | str
Bars = tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class MeasuredPair:
    """One row as the measures see it."""

    id: Id
    prompt: str
    response: str
    content_sha256: str
    topic: str | None = None
    difficulty: str | None = None
    system: str | None = None
    """The row's own system message, or its hash, where it is not the set's."""
    flagged: bool = False


@dataclass(frozen=True, slots=True)
class Task:
    """What the rows are held to."""

    output_schema: Mapping[str, object] | None = None
    label_field: str | None = None


@dataclass(frozen=True, slots=True)
class Approval:
    """One approval with the seconds since its reviewer's decision before."""

    row: Id
    seconds: float
    word_count: int
    """Of input and response together."""


@dataclass(frozen=True, slots=True)
class Measure:
    """One line of the report."""

    key: str
    name: str
    group: str
    """"coverage", "consistency", "text" or "review"."""
    summary: str
    """What was measured, in words."""
    limits: str
    """What it does not catch."""
    n: int
    """Rows that could be measured."""
    rows: tuple[Id, ...] = ()
    """Rows to look at, in the order of the set."""
    look: bool = True
    """Whether `rows` look wrong; False where they are only named."""
    bars: Bars = ()
    """A picture: names with counts."""

    @property
    def share(self) -> Interval:
        """95 % Wilson interval of the share of rows to look at."""
        return wilson(len(self.rows), self.n)


@dataclass(frozen=True, slots=True)
class Marks:
    """What the text of one row shows; depends on nothing but the text."""

    prompt_tokens: int
    response_tokens: int
    language: str | None
    encoding: tuple[str, ...]
    odd: frozenset[str]
    """Keys of the measures that this text meets."""


@dataclass(frozen=True, slots=True)
class Set:
    """What the measures look at."""

    rows: Sequence[MeasuredPair]
    task: Task
    approvals: Sequence[Approval]
    marks: Sequence[Marks]


_marks: OrderedDict[str, Marks] = OrderedDict()


def marks_of(row: MeasuredPair) -> Marks:
    """What the text of a row shows, looked at once."""
    marks = _marks.get(row.content_sha256)
    if marks is None:
        marks = _marks[row.content_sha256] = _look(row.prompt, row.response)
        if len(_marks) > REMEMBERED:
            _marks.popitem(last=False)
    return marks


def _look(prompt: str, response: str) -> Marks:
    answer = folded(response)
    odd = {
        "short": texts.short(prompt, response),
        "copied": texts.copied(folded(prompt), answer),
        "refusal": texts.refuses(answer),
        "model_talk": texts.model_talk(answer),
        "fence": texts.open_fence(response) or texts.open_fence(prompt),
        "left_in": texts.left_in(response),
    }
    guessed = [texts.language(prompt), texts.language(response)]
    foreign = [code for code in guessed if code not in (None, "en")]
    return Marks(
        texts.tokens(prompt),
        texts.tokens(response),
        foreign[0] if foreign else next((code for code in guessed if code), None),
        tuple(dict.fromkeys((*texts.encoding(prompt), *texts.encoding(response)))),
        frozenset(key for key, met in odd.items() if met),
    )


@lru_cache(maxsize=REMEMBERED)
def parsed(response: str) -> object:
    """The JSON value of a response that is an object; None for any other."""
    if not response.lstrip().startswith("{"):
        return None
    try:
        return strict_json.loads(response)
    except BadInput:
        return None


def of(some: Sequence[object], rows: Sequence[object]) -> str:
    """How many of how many."""
    return f"{len(some)} of {len(rows)}"


def row_of(line: Mapping[str, object], system_message: str | None = None) -> MeasuredPair:
    """A row from a JSON object with `id`, `prompt`, `response` and, if given, `topic`,
    `difficulty`, `system` and `flagged`.

    Raises:
        BadInput: a key is missing or is no text.
    """
    prompt, response = (_text(line, name) for name in ("prompt", "response"))
    row_id = line.get("id")
    if not isinstance(row_id, int | str):
        raise BadInput("it needs a number or a text under 'id'")
    optional = {name: line.get(name) for name in ("topic", "difficulty", "system")}
    tags = {name: str(value) for name, value in optional.items() if value not in (None, "")}
    if tags.get("system") == system_message:
        tags.pop("system", None)
    both = json.dumps([prompt, response], ensure_ascii=False)
    sha256 = hashlib.sha256(both.encode(errors="surrogatepass")).hexdigest()
    flagged = line.get("flagged") is True
    return MeasuredPair(row_id, prompt, response, sha256, **tags, flagged=flagged)


def _text(line: Mapping[str, object], name: str) -> str:
    text = line.get(name)
    if not isinstance(text, str):
        raise BadInput(f"it needs a text under {name!r}")
    return text
