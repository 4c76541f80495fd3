"""What `report` measures: rows, what their text shows, and the form of a measure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from curation.statistics import Interval, wilson
from storage.errors import BadInput

Id = int | str
Bars = tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Tags:
    """One row as the measures see it, beside the marks of its text."""

    id: Id
    topic: str | None = None
    difficulty: str | None = None
    system: str | None = None
    """The row's own system message, or its hash, where it is not the set's."""
    flagged: bool = False


@dataclass(frozen=True, slots=True)
class MeasuredPair:
    """One row of a file with its texts."""

    tags: Tags
    prompt: str
    response: str


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
    """Rows to look at, in the order of the set; in a report that is kept only the first."""
    look: bool = True
    """Whether `rows` look wrong; False where they are only named."""
    bars: Bars = ()
    """A picture: names with counts."""
    beyond: int = 0
    """Rows to look at that are not among `rows`."""

    @property
    def count(self) -> int:
        """How many rows there are to look at."""
        return len(self.rows) + self.beyond

    @property
    def share(self) -> Interval:
        """95 % Wilson interval of the share of rows to look at."""
        return wilson(self.count, self.n)


@dataclass(frozen=True, slots=True)
class Marks:
    """What the text of one row shows; depends on nothing but the text and the task."""

    prompt_tokens: int
    response_tokens: int
    word_count: int
    """Of input and output together."""
    language: str | None
    encoding: tuple[str, ...]
    """Kinds of encoding trouble."""
    odd: tuple[str, ...]
    """Keys of the measures that this text meets."""
    fits: bool
    """Whether the output fits the schema; True where there is none."""
    label: str | None
    answer: str | None
    """Names the output, whatever its case and spacing; None where repeating it says nothing."""
    question: str
    """Names the input in the same way."""


@dataclass(frozen=True, slots=True)
class Set:
    """What the measures look at."""

    rows: Sequence[Tags]
    task: Task
    approvals: Sequence[Approval]
    marks: Sequence[Marks]
    """Of each row."""


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
    flagged = line.get("flagged") is True
    return MeasuredPair(Tags(row_id, **tags, flagged=flagged), prompt, response)


def _text(line: Mapping[str, object], name: str) -> str:
    text = line.get(name)
    if not isinstance(text, str):
        raise BadInput(f"it needs a text under {name!r}")
    return text
