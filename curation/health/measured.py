"""What `report` measures: rows, what their text shows, and the form of a measure."""

import hashlib
import json
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from curation import strict_json
from curation.health import texts as text
from curation.review.phrases import folded
from curation.statistics import Interval, wilson
from storage.errors import BadInput

KEPT = 50_000
"""Texts whose marks are kept between two looks at a set."""
Id = int | str
Bars = tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Row:
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

    output_schema: Mapping[str, Any] | None = None
    label_field: str | None = None


@dataclass(frozen=True, slots=True)
class Approval:
    """One approval with the seconds since its reviewer's decision before."""

    row: Id
    seconds: float
    words: int
    """Of input and response together."""


@dataclass(frozen=True, slots=True)
class Measure:
    """One line of the report."""

    key: str
    name: str
    group: str
    """"coverage", "consistency", "text" or "review"."""
    told: str
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

    rows: Sequence[Row]
    task: Task
    approvals: Sequence[Approval]
    marks: Sequence[Marks]


_known: OrderedDict[str, Marks] = OrderedDict()


def marks_of(row: Row) -> Marks:
    known = _known.get(row.content_sha256)
    if known is None:
        known = _known[row.content_sha256] = _look(row.prompt, row.response)
        if len(_known) > KEPT:
            _known.popitem(last=False)
    return known


def _look(prompt: str, response: str) -> Marks:
    said = folded(response)
    odd = {
        "short": text.short(prompt, response),
        "copied": text.copied(folded(prompt), said),
        "refusal": text.refuses(said),
        "model_talk": text.model_talk(said),
        "fence": text.open_fence(response) or text.open_fence(prompt),
        "left_in": text.left_in(response),
    }
    guessed = [text.language(prompt), text.language(response)]
    foreign = [code for code in guessed if code not in (None, "en")]
    return Marks(
        text.tokens(prompt),
        text.tokens(response),
        foreign[0] if foreign else next((code for code in guessed if code), None),
        tuple(dict.fromkeys((*text.encoding(prompt), *text.encoding(response)))),
        frozenset(key for key, met in odd.items() if met),
    )


@lru_cache(maxsize=KEPT)
def parsed(response: str) -> object:
    """The JSON value of a response that is an object; None for any other."""
    if not response.lstrip().startswith("{"):
        return None
    try:
        return strict_json.loads(response)
    except BadInput:
        return None


def of(found: Sequence[object], rows: Sequence[object]) -> str:
    return f"{len(found)} of {len(rows)}"


def row_of(line: Mapping[str, Any], system_message: str | None = None) -> Row:
    """A row from a JSON object with `id`, `prompt`, `response` and, if given, `topic`,
    `difficulty`, `system` and `flagged`.

    Raises:
        BadInput: a key is missing or is no text.
    """
    for name in ("prompt", "response"):
        if not isinstance(line.get(name), str):
            raise BadInput(f"it needs a text under {name!r}")
    if not isinstance(line.get("id"), int | str):
        raise BadInput("it needs a number or a text under 'id'")
    told = {name: line.get(name) for name in ("topic", "difficulty", "system")}
    words = {name: str(value) for name, value in told.items() if value not in (None, "")}
    if words.get("system") == system_message:
        words.pop("system", None)
    both = json.dumps([line["prompt"], line["response"]], ensure_ascii=False)
    sha256 = hashlib.sha256(both.encode(errors="surrogatepass")).hexdigest()
    return Row(
        line["id"],
        line["prompt"],
        line["response"],
        sha256,
        topic=words.get("topic"),
        difficulty=words.get("difficulty"),
        system=words.get("system"),
        flagged=line.get("flagged") is True,
    )
