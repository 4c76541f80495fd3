"""Coverage and health of a set: what is in it, what is thin, what looks wrong, with the rows.

Pure: rows in, measures out. Every measure is a hint for a person and says what it does not catch;
nothing here blocks anything, the readiness gate does that.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import median

from curation import schema_check
from curation.health import coverage
from curation.health import texts as text
from curation.health.measured import (
    KEPT,
    Approval,
    Id,
    Measure,
    Row,
    Set,
    Task,
    marks_of,
    of,
    parsed,
)
from curation.review.phrases import folded

__all__ = ["Approval", "Measure", "Report", "Row", "Task", "measure"]

QUICK, WORDS_A_SECOND = 2.0, 15.0
"""An approval in fewer seconds, or read faster than this, is worth a second look."""
_SAME, _SAME_WORDS = 5, 5
"""Different inputs that share one response, and words it needs, to be worth a look."""
_LONG_MEDIAN, _TINY = 30, 3
"""Where responses have this many tokens at the median, so few are suspiciously short."""


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that was measured."""

    n: int
    measures: tuple[Measure, ...]

    def to_look_at(self) -> list[Measure]:
        """The measures with rows that look wrong, in the order in which to look."""
        return [one for one in self.measures if one.look and one.rows]


def measure(rows: Sequence[Row], task: Task, approvals: Sequence[Approval] = ()) -> Report:
    """Measure a set. What is known of a text is kept by its hash, so a second call is fast."""
    seen = Set(rows, task, approvals, [marks_of(row) for row in rows])
    return Report(len(rows), tuple(measure(seen) for measure in _MEASURES))


def _schema(s: Set) -> Measure:
    schema = s.task.output_schema
    if schema is None:
        told, wrong = "This set has no output schema.", tuple[Id, ...]()
    else:
        written = json.dumps(schema, sort_keys=True)
        wrong = tuple(row.id for row in s.rows if not _fits(written, row.response))
        told = f"{of(wrong, s.rows)} do not fit the schema."
    return Measure(
        "schema",
        "Output does not fit the schema",
        "consistency",
        told,
        "A response that fits the schema can still be the wrong answer.",
        len(s.rows) if schema is not None else 0,
        wrong,
    )


@lru_cache(maxsize=KEPT)
def _fits(schema: str, response: str) -> bool:
    return not schema_check.problems(response, json.loads(schema))


def _encoding(s: Set) -> Measure:
    found = tuple(row.id for row, m in zip(s.rows, s.marks, strict=True) if m.encoding)
    kinds = Counter(kind for m in s.marks for kind in m.encoding)
    return Measure(
        "encoding",
        "Encoding trouble",
        "text",
        f"{of(found, s.rows)} have mojibake (“Ã©” for “é”), replacement or invisible characters.",
        "A single wrong letter that could be right, look-alike letters of other alphabets, and "
        "text that was cut before it came here are not found.",
        len(s.rows),
        found,
        bars=tuple(kinds.most_common()),
    )


def _system(s: Set) -> Measure:
    found = tuple(row.id for row in s.rows if row.system is not None)
    kinds = len({row.system for row in s.rows if row.system is not None})
    told = "No row came with a system message other than the set's."
    if found:
        other = "another system message" if kinds == 1 else f"{kinds} other system messages"
        told = f"{of(found, s.rows)} came with {other}; the set's replaces it."
    return Measure(
        "system",
        "System message drift",
        "consistency",
        told,
        "Their outputs may answer a message that the model will never see. Known only for rows "
        "that were imported with a system message of their own.",
        len(s.rows),
        found,
    )


def _odd(key: str, name: str, words: str, limits: str) -> Callable[[Set], Measure]:
    def measure(s: Set) -> Measure:
        found = [row.id for row, m in zip(s.rows, s.marks, strict=True) if key in m.odd]
        told = f"{of(found, s.rows)} {words}."
        return Measure(key, name, "text", told, limits, len(s.rows), tuple(found))

    return measure


def _short(s: Set) -> Measure:
    middle = median(m.response_tokens for m in s.marks) if s.marks else 0
    tiny = _TINY if middle >= _LONG_MEDIAN else 0
    found = tuple(
        row.id
        for row, m in zip(s.rows, s.marks, strict=True)
        if "short" in m.odd or m.response_tokens < tiny
    )
    return Measure(
        "short",
        "Very short",
        "text",
        f"{of(found, s.rows)} have an input of one word, or a response without a word"
        + (f" or of under {_TINY} tokens where the median is {middle:.0f}." if tiny else "."),
        "A short row can be right, and a long one can say nothing.",
        len(s.rows),
        found,
    )


def _language(s: Set) -> Measure:
    known = [(row, m) for row, m in zip(s.rows, s.marks, strict=True) if m.language is not None]
    found = tuple(row.id for row, m in known if m.language != "en")
    return Measure(
        "language",
        "Not in English",
        "text",
        f"{of(found, known)} whose language could be guessed are not in English; "
        f"{len(s.rows) - len(known)} are too short to tell.",
        f"Guessed from the first letters, and only from {text.LEAST_LETTERS} on: short texts, "
        "mixed languages and JSON are left out. The scan for personal data reads English, so it "
        "misses more in these rows.",
        len(known),
        found,
        bars=tuple(Counter(m.language or "" for _, m in known).most_common()),
    )


def _repeated(s: Set) -> Measure:
    by_response: dict[str, dict[str, Id]] = defaultdict(dict)
    for row in s.rows:
        if not _closed(s.task.label_field, row.response):
            by_response[folded(row.response)].setdefault(folded(row.prompt), row.id)
    groups = [same for same in by_response.values() if len(same) >= _SAME]
    wanted = {pair_id for same in groups for pair_id in same.values()}
    found = tuple(row.id for row in s.rows if row.id in wanted)
    return Measure(
        "repeated",
        "One response for many inputs",
        "text",
        f"{of(found, s.rows)} share {len(groups)} "
        f"{'response' if len(groups) == 1 else 'responses'} of at least {_SAME_WORDS} words with "
        f"{_SAME - 1} or more different inputs.",
        "JSON whose values are labels or a few words is expected to repeat and is left out; a "
        "stock answer with one word changed is not found (see Duplicates).",
        len(s.rows),
        found,
    )


@lru_cache(maxsize=KEPT)
def _closed(label_field: str | None, response: str) -> bool:
    """Whether a response is so closed that repeating it says nothing: few words, or a label."""
    value = parsed(response)
    if value is None:
        return len(response.split()) < _SAME_WORDS
    words = [
        len(str(part).split())
        for name, part in (value.items() if isinstance(value, dict) else [("", value)])
        if name != label_field
    ]
    return all(n < _SAME_WORDS for n in words)


def _pace(s: Set) -> Measure:
    found = tuple(
        one.row
        for one in s.approvals
        if one.seconds < QUICK or one.words > WORDS_A_SECOND * one.seconds
    )
    n = len(s.approvals)
    told = "No two decisions of one reviewer came close enough together to measure."
    if n:
        told = (
            f"{of(found, s.approvals)} approvals came under {QUICK:.0f} s after the reviewer's "
            f"decision before, or faster than {WORDS_A_SECOND:.0f} words a second."
        )
    return Measure(
        "pace",
        "Approved faster than one reads",
        "review",
        told,
        "Measured between two decisions as they reached the server: those sent together after a "
        "break look quick, and a slow approval can be careless too.",
        n,
        found,
    )


_MEASURES: tuple[Callable[[Set], Measure], ...] = (
    _schema,
    _encoding,
    _odd(
        "left_in",
        "Gap left to fill",
        "have a gap that nobody filled, such as TODO or [your name]",
        "Only the usual ways to mark a gap. In a template the gap may be wanted.",
    ),
    _odd(
        "model_talk",
        "Speaks of itself as a model",
        "have a response that speaks of itself as a model",
        "Stock phrases in English only.",
    ),
    _odd(
        "refusal",
        "Refusal",
        "have a response with a stock phrase of refusal",
        "English phrases only, and a refusal may be the right answer: the set should hold some.",
    ),
    _odd(
        "copied",
        "Response repeats the input",
        "have a response that begins with the whole input",
        "An input repeated in the middle, or in part, is not found.",
    ),
    _odd(
        "fence",
        "Code block left open",
        "open a Markdown code block and never close it",
        "Only fences of three marks and more; whether the code runs is not looked at.",
    ),
    _short,
    _repeated,
    _system,
    _language,
    _pace,
    coverage.topics,
    coverage.labels,
    coverage.length("prompt_tokens", "Length of the inputs", lambda m: m.prompt_tokens),
    coverage.length("response_tokens", "Length of the responses", lambda m: m.response_tokens),
    coverage.difficulty,
    coverage.edge,
)
