"""Coverage and health of a set: what is in it, what is thin, what looks wrong, with the rows.

Pure: rows in, measures out. Every measure is a hint for a person and says what it does not catch;
nothing here blocks anything, the readiness gate does that.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from statistics import median

from curation.health import coverage, texts
from curation.health.marks import WORDY, marks_of
from curation.health.measured import Approval, Id, Measure, MeasuredPair, Set, Task, of

QUICK, READING_SPEED = 2.0, 15.0
"""An approval in fewer seconds, or read at more words a second, is worth a second look."""
_REPEATS = 5
"""Different inputs that share one response, to be worth a look."""
_LISTED = 300
"""Rows of a measure that a kept report lists: as many as one address can name."""
_LONG_MEDIAN, _TINY = 30, 3
"""Where responses have this many tokens at the median, so few are suspiciously short."""


@dataclass(frozen=True, slots=True)
class HealthReport:
    """Everything that was measured."""

    n: int
    measures: tuple[Measure, ...]
    suspects: int = 0
    """Rows that look wrong in any way but how fast they were approved."""

    def to_look_at(self) -> list[Measure]:
        """The measures with rows that look wrong, in the order in which to look."""
        return [measure for measure in self.measures if measure.look and measure.rows]

    def shortened(self) -> "HealthReport":
        """The report as it is kept: of each measure the first rows only."""
        return replace(self, measures=tuple(map(_shortened, self.measures)))


def _shortened(measure: Measure) -> Measure:
    rows = measure.rows[:_LISTED]
    return replace(measure, rows=rows, beyond=measure.count - len(rows))


def measure(
    rows: Sequence[MeasuredPair], task: Task, approvals: Sequence[Approval] = ()
) -> HealthReport:
    """Measure a set from its texts."""
    marks = [marks_of(row.prompt, row.response, task) for row in rows]
    return of_marks(Set([row.tags for row in rows], task, approvals, marks))


def of_marks(pairs: Set) -> HealthReport:
    """Measure a set whose texts were looked at before."""
    measures = tuple(measure(pairs) for measure in _MEASURES)
    odd = (each for each in measures if each.look and each.group != "review")
    return HealthReport(len(pairs.rows), measures, len({row for each in odd for row in each.rows}))


def _schema(s: Set) -> Measure:
    schema = s.task.output_schema
    if schema is None:
        summary, wrong = "This set has no output schema.", tuple[Id, ...]()
    else:
        wrong = tuple(row.id for row, m in zip(s.rows, s.marks, strict=True) if not m.fits)
        summary = f"{of(wrong, s.rows)} do not fit the schema."
    return Measure(
        "schema",
        "Output does not fit the schema",
        "consistency",
        summary,
        "An output that fits the schema can still be the wrong answer.",
        len(s.rows) if schema is not None else 0,
        wrong,
    )


def _encoding(s: Set) -> Measure:
    rows = tuple(row.id for row, m in zip(s.rows, s.marks, strict=True) if m.encoding)
    kinds = Counter(kind for m in s.marks for kind in m.encoding)
    return Measure(
        "encoding",
        "Encoding trouble",
        "text",
        f"{of(rows, s.rows)} have mojibake (“Ã©” for “é”), replacement or invisible characters.",
        "A single wrong letter that could be right, look-alike letters of other alphabets, and "
        "text that was cut before it came here are not found.",
        len(s.rows),
        rows,
        bars=tuple(kinds.most_common()),
    )


def _system(s: Set) -> Measure:
    rows = tuple(row.id for row in s.rows if row.system is not None)
    kinds = len({row.system for row in s.rows if row.system is not None})
    summary = "No pair came with a system message other than the set's."
    if rows:
        foreign = "another system message" if kinds == 1 else f"{kinds} other system messages"
        summary = f"{of(rows, s.rows)} came with {foreign}; the set's replaces it."
    return Measure(
        "system",
        "System message drift",
        "consistency",
        summary,
        "Their outputs may answer a message that the model will never see. Known only for pairs "
        "that were imported with a system message of their own.",
        len(s.rows),
        rows,
    )


def _odd(key: str, name: str, fault: str, limits: str) -> Callable[[Set], Measure]:
    def measure(s: Set) -> Measure:
        rows = [row.id for row, m in zip(s.rows, s.marks, strict=True) if key in m.odd]
        summary = f"{of(rows, s.rows)} {fault}."
        return Measure(key, name, "text", summary, limits, len(s.rows), tuple(rows))

    return measure


def _short(s: Set) -> Measure:
    middle = median(m.response_tokens for m in s.marks) if s.marks else 0
    tiny = _TINY if middle >= _LONG_MEDIAN else 0
    rows = tuple(
        row.id
        for row, m in zip(s.rows, s.marks, strict=True)
        if "short" in m.odd or m.response_tokens < tiny
    )
    return Measure(
        "short",
        "Very short",
        "text",
        f"{of(rows, s.rows)} have an input of one word, or an output without a word"
        + (f" or of under {_TINY} tokens where the median is {middle:.0f}." if tiny else "."),
        "A short pair can be right, and a long one can say nothing.",
        len(s.rows),
        rows,
    )


def _language(s: Set) -> Measure:
    guessed = [(row, m) for row, m in zip(s.rows, s.marks, strict=True) if m.language is not None]
    rows = tuple(row.id for row, m in guessed if m.language != "en")
    return Measure(
        "language",
        "Not in English",
        "text",
        f"{of(rows, guessed)} whose language could be guessed are not in English; "
        f"{len(s.rows) - len(guessed)} are too short to tell.",
        f"Guessed from the first letters, and only from {texts.MINIMUM_LETTERS} on: short texts, "
        "mixed languages and JSON are left out. The scan for personal data reads English, so it "
        "misses more in these pairs.",
        len(guessed),
        rows,
        bars=tuple(Counter(m.language or "" for _, m in guessed).most_common()),
    )


def _repeated(s: Set) -> Measure:
    by_response: dict[str, dict[str, Id]] = defaultdict(dict)
    for row, m in zip(s.rows, s.marks, strict=True):
        if m.answer is not None:
            by_response[m.answer].setdefault(m.question, row.id)
    groups = [group for group in by_response.values() if len(group) >= _REPEATS]
    repeated = {row_id for group in groups for row_id in group.values()}
    rows = tuple(row.id for row in s.rows if row.id in repeated)
    return Measure(
        "repeated",
        "One output for many inputs",
        "text",
        f"{of(rows, s.rows)} share {len(groups)} "
        f"{'output' if len(groups) == 1 else 'outputs'} of at least {WORDY} words with "
        f"{_REPEATS - 1} or more different inputs.",
        "JSON whose values are labels or a few words is expected to repeat and is left out; a "
        "stock answer with one word changed is not found (see Duplicates).",
        len(s.rows),
        rows,
    )


def _pace(s: Set) -> Measure:
    rows = tuple(
        approval.row
        for approval in s.approvals
        if approval.seconds < QUICK or approval.word_count > READING_SPEED * approval.seconds
    )
    n = len(s.approvals)
    summary = "No two decisions of one reviewer came close enough together to measure."
    if n:
        summary = (
            f"{of(rows, s.approvals)} approvals came under {QUICK:.0f} s after the reviewer's "
            f"decision before, or faster than {READING_SPEED:.0f} words a second."
        )
    return Measure(
        "pace",
        "Approved faster than one reads",
        "review",
        summary,
        "Measured between two decisions as they reached the server: those sent together after a "
        "break look quick, and a slow approval can be careless too.",
        n,
        rows,
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
        "have an output that speaks of itself as a model",
        "Stock phrases in English only.",
    ),
    _odd(
        "refusal",
        "Refusal",
        "have an output with a stock phrase of refusal",
        "English phrases only, and a refusal may be the right answer: the set should hold some.",
    ),
    _odd(
        "copied",
        "Output repeats the input",
        "have an output that begins with the whole input",
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
    coverage.length("response_tokens", "Length of the outputs", lambda m: m.response_tokens),
    coverage.difficulty,
    coverage.edge,
)
