"""Find rows that say the same: exact, nearly the same, or the same question answered differently.

Rows are compared by the exact Jaccard similarity of their shingle sets: three words in a row, or,
where either row has under eight words or is written without blanks, five characters in a row.
Every pair is found (`curation.overlap.near.jaccard_join`). Paraphrases in other words are not.
"""

import hashlib
import json
import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Any, TypeVar

import numpy as np

from curation.overlap.near import jaccard_join, shingles
from storage.errors import BadInput

THRESHOLD = 0.8

_LEAST = 0.5
"""Below, rows have little in common, and nearly all would have to be compared."""
_SHORT = 8
ALMOST = 0.9999
"""Of rows that have the same shingles but not the same words: "a b a b a b" and "a b a b a"."""
_MOST_COPIES = 50
"""Of more copies, each is paired with the first fifty: 10,000 copies are not 50 million pairs."""
_WORD = re.compile(r"\w+")

Shingles = frozenset[str]
T = TypeVar("T")
Schema = Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class Near:
    """Two rows, a < b, and their exact Jaccard similarity: 1 where they say the same."""

    a: int
    b: int
    similarity: float


class _Row:
    """One text in the forms that are compared, each only made where someone asks for it."""

    def __init__(self, plain: str) -> None:
        self.plain = plain

    @cached_property
    def words(self) -> Shingles | None:
        """Runs of three words; None where the text is too short or written without blanks."""
        return _shingles(self.plain.split(" "), shingles.WORDS) if has_words(self.plain) else None

    @cached_property
    def chars(self) -> Shingles:
        """Runs of five characters."""
        return _shingles(self.plain, shingles.CHARS)


def has_words(plain: str) -> bool:
    """Whether a normalised text is long enough, and written with blanks, to compare its words."""
    words = plain.count(" ") + 1
    return words >= _SHORT and (plain.isascii() or len(plain) < 12 * words)


def normalised(text: str) -> str:
    """The words in lower case without marks, spacing or width; without words, the marks."""
    plain = unicodedata.normalize("NFKC", text).lower()
    return " ".join(_WORD.findall(plain)) or " ".join(plain.split())


def digest(text: str) -> str:
    """Equal for two texts exactly if they are equal once normalised."""
    return hashlib.sha256(normalised(text).encode("utf-8", "surrogatepass")).hexdigest()


def similarity(one: str, other: str) -> float:
    """Exact Jaccard similarity, 0 to 1; 1 exactly if both are equal once normalised."""
    return _alike(_Row(normalised(one)), _Row(normalised(other)))


def pairs(rows: Sequence[tuple[int, str]], threshold: float = THRESHOLD) -> list[Near]:
    """All pairs of rows (id, text) at least this similar, in the order of their ids.

    Raises:
        BadInput: the threshold is under 0.5 or over 1, or an id stands twice.
    """
    if not _LEAST <= threshold <= 1:
        raise BadInput(f"A threshold of {threshold} cannot be used: give 0.5 to 1.")
    if len({row_id for row_id, _ in rows}) < len(rows):
        raise BadInput("A row stands twice in the list to compare: list each row once.")
    copies = _copies(rows)
    found = [Near(a, b, 1.0) for ids in copies.values() for a, b in _couples(ids)]
    kept = {ids[0]: plain for plain, ids in copies.items() if plain}
    for a, b, alike in _joined(kept, threshold):
        for one in copies[kept[a]][:_MOST_COPIES]:
            for other in copies[kept[b]][:_MOST_COPIES]:
                found.append(Near(min(one, other), max(one, other), min(alike, ALMOST)))
    return sorted(found, key=lambda near: (near.a, near.b))


def nearest(text: str, rows: Iterable[tuple[int, str]]) -> Near | None:
    """The row most like a text that is no row yet (its `a` is 0), the first of equals."""
    wanted = _Row(normalised(text))
    scored = [(_alike(wanted, _Row(normalised(other))), -row_id) for row_id, other in rows]
    if not scored:
        return None
    alike, row_id = max(scored)
    return Near(0, -row_id, alike)


def groups(near: Iterable[Near]) -> list[list[int]]:
    """Rows that hang together through pairs, each group and all groups in the order of ids."""
    parent: dict[int, int] = {}

    def root(row: int) -> int:
        while parent.setdefault(row, row) != row:
            parent[row] = row = parent[parent[row]]
        return row

    for one in near:
        low, high = sorted((root(one.a), root(one.b)))
        parent[high] = low
    members: dict[int, list[int]] = defaultdict(list)
    for row in sorted(parent):
        members[root(row)].append(row)
    return sorted(members.values())


def best_of(group: Sequence[T], rank: Callable[[T], tuple[int, ...]]) -> T:
    """The row to keep: the highest rank, the first of equals."""
    return max(group, key=rank)


def contradictions(
    rows: Sequence[tuple[int, str, str]],
    threshold: float = THRESHOLD,
    schema: Schema = None,
) -> list[Near]:
    """Pairs of rows (id, prompt, response) that ask (nearly) the same and answer differently.

    Answers are the same if `canonical` makes the same of them.
    """
    answers = {row_id: canonical(response, schema) for row_id, _, response in rows}
    same = {ids[0]: ids for ids in _copies([(row_id, p) for row_id, p, _ in rows]).values()}
    prompts = {row_id: prompt for row_id, prompt, _ in rows}
    near = [Near(first, first, 1.0) for first in same]
    near += pairs([(first, prompts[first]) for first in same], threshold)
    found = {
        pair: one.similarity
        for one in near
        for pair in _differing(same[one.a], same[one.b], answers)
    }
    return [Near(a, b, found[a, b]) for a, b in sorted(found)]


def canonical(response: str, schema: Schema = None) -> str:
    """Equal for two answers exactly if they say the same: as JSON, else once normalised.

    Of JSON the order of keys, spacing, 1 and 1.0, and the order of a list whose items the schema
    calls unique do not count.
    """
    try:
        value = json.loads(response)
    except (ValueError, RecursionError):
        return normalised(response)
    return json.dumps(one_form(value, schema), sort_keys=True)


def one_form(value: Any, schema: Schema) -> Any:  # noqa: ANN401 - JSON is of any type
    """A JSON value in the form that all with the same meaning have."""
    known = schema if isinstance(schema, Mapping) else {}
    if isinstance(value, dict):
        inner = known.get("properties")
        inner = inner if isinstance(inner, Mapping) else {}
        return {name: one_form(one, inner.get(name)) for name, one in value.items()}
    if isinstance(value, list):
        items = [one_form(one, known.get("items")) for one in value]
        return sorted(items, key=json.dumps) if known.get("uniqueItems") is True else items
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def _copies(rows: Sequence[tuple[int, str]]) -> dict[str, list[int]]:
    """Ids, ascending, of the rows that are equal once normalised."""
    copies: dict[str, list[int]] = defaultdict(list)
    for row_id, text in sorted(rows):
        copies[normalised(text)].append(row_id)
    return copies


def _couples(ids: Sequence[int]) -> Iterator[tuple[int, int]]:
    """All pairs of a few copies; of many, each with the first fifty."""
    for at, row in enumerate(ids):
        for earlier in ids[: min(at, _MOST_COPIES)]:
            yield earlier, row


def _differing(
    ones: Sequence[int], others: Sequence[int], answers: Mapping[int, str]
) -> Iterator[tuple[int, int]]:
    """Pairs across two sides with different answers, of each answer the first fifty rows."""
    left, right = _by_answer(ones, answers), _by_answer(others, answers)
    for said, rows in left.items():
        for also, more in right.items():
            if said != also:
                for a, b in product(rows[:_MOST_COPIES], more[:_MOST_COPIES]):
                    yield min(a, b), max(a, b)


def _by_answer(ids: Sequence[int], answers: Mapping[int, str]) -> dict[str, list[int]]:
    rows: dict[str, list[int]] = defaultdict(list)
    for row_id in ids:
        rows[answers[row_id]].append(row_id)
    return rows


def _shingles(parts: Sequence[str], size: int) -> Shingles:
    """All runs of `size` parts; a text shorter than that is one shingle of its own."""
    last = max(1, len(parts) - size + 1)
    joint = "" if isinstance(parts, str) else " "
    return frozenset(joint.join(parts[at : at + size]) for at in range(last))


def _alike(one: _Row, other: _Row) -> float:
    """Exact Jaccard similarity, by words where both rows are long enough, else by characters."""
    if one.plain == other.plain:
        return 1.0
    left, right = one.words, other.words
    if left is None or right is None:
        left, right = one.chars, other.chars
    shared = len(left & right)
    return min(shared / (len(left) + len(right) - shared), ALMOST)


def _joined(rows: Mapping[int, str], threshold: float) -> Iterator[tuple[int, int, float]]:
    """Pairs that are alike by words, then those alike by characters of which one has no words."""
    if threshold > ALMOST:
        return
    worded = {row_id: plain for row_id, plain in rows.items() if has_words(plain)}
    short = {row_id: plain for row_id, plain in rows.items() if row_id not in worded}
    yield from _alike_in(worded, threshold, shingles.tokens)
    if short:
        # A set this much larger than another cannot reach the threshold with it.
        most = int(max(map(len, short.values())) / threshold)
        near = short | _with_few_characters(worded, most)
        for a, b, alike in _alike_in(near, threshold, shingles.characters):
            if a in short or b in short:
                yield a, b, alike


def _alike_in(
    texts: Mapping[int, str],
    threshold: float,
    cut: Callable[[Iterable[str]], shingles.Shingles],
) -> Iterator[tuple[int, int, float]]:
    ids = list(texts)
    found = jaccard_join.sets(cut(texts.values()), threshold)
    for a, b, alike in jaccard_join.row_pairs(found, threshold):
        yield ids[a], ids[b], alike


def _with_few_characters(texts: Mapping[int, str], most: int) -> dict[int, str]:
    """The texts without more than so many runs of five characters in twice as many to begin with.

    All with fewer in the whole text are among them.
    """
    found = jaccard_join.sets(shingles.characters(text[: 2 * most] for text in texts.values()))
    few = found.rows[: found.row_starts[np.searchsorted(found.sizes, most, side="right")]]
    ids = list(texts)
    return {ids[row]: texts[ids[row]] for row in few.tolist()}
