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
from typing import Any

import numpy as np

from curation.overlap.near import jaccard_join, shingles
from storage.errors import BadInput

THRESHOLD = 0.8

_LOWEST = 0.5
"""Below, rows have little in common, and nearly all would have to be compared."""
_SHORT = 8
ALMOST = 0.9999
"""Of rows that have the same shingles but not the same words: "a b a b a b" and "a b a b a"."""
_COPIES = 50
"""Of more copies, each is paired with the first fifty: 10,000 copies are not 50 million pairs."""
_WORD = re.compile(r"\w+")

Shingles = frozenset[str]
Schema = Mapping[str, object] | None


@dataclass(frozen=True, slots=True)
class Near:
    """Two rows, a < b, and their exact Jaccard similarity: 1 where they say the same."""

    a: int
    b: int
    similarity: float


class _Text:
    """One text in the forms that are compared, each only made where someone asks for it."""

    def __init__(self, plain: str) -> None:
        self.plain = plain

    @cached_property
    def trigrams(self) -> Shingles | None:
        """Runs of three words; None where the text is too short or written without blanks."""
        return _shingles(self.plain.split(" "), shingles.TOKENS) if worded(self.plain) else None

    @cached_property
    def chars(self) -> Shingles:
        """Runs of five characters."""
        return _shingles(self.plain, shingles.CHARS)


def worded(plain: str) -> bool:
    """Whether a normalised text is long enough, and written with blanks, to compare its words."""
    count = plain.count(" ") + 1
    return count >= _SHORT and (plain.isascii() or len(plain) < 12 * count)


def normalised(text: str) -> str:
    """The words in lower case without marks, spacing or width; without words, the marks."""
    plain = unicodedata.normalize("NFKC", text).lower()
    return " ".join(_WORD.findall(plain)) or " ".join(plain.split())


def digest(text: str) -> str:
    """Equal for two texts exactly if they are equal once normalised."""
    return hashlib.sha256(normalised(text).encode("utf-8", "surrogatepass")).hexdigest()


def similarity(left: str, right: str) -> float:
    """Exact Jaccard similarity, 0 to 1; 1 exactly if both are equal once normalised."""
    return alike(normalised(left), normalised(right))


def alike(left: str, right: str) -> float:
    """As `similarity`, of two texts that are normalised."""
    return _alike(_Text(left), _Text(right))


def pairs(rows: Sequence[tuple[int, str]], threshold: float = THRESHOLD) -> list[Near]:
    """All pairs of rows (id, text) at least this similar, in the order of their ids.

    Raises:
        BadInput: the threshold is under 0.5 or over 1, or an id stands twice.
    """
    if not _LOWEST <= threshold <= 1:
        raise BadInput(f"A threshold of {threshold} cannot be used: give 0.5 to 1.")
    if len({row_id for row_id, _ in rows}) < len(rows):
        raise BadInput("A pair stands twice in the list to compare: list each pair once.")
    copies = _copies(rows)
    near = [Near(a, b, 1.0) for ids in copies.values() for a, b in couples(ids)]
    distinct = {ids[0]: plain for plain, ids in copies.items() if plain}
    for first, second, alike in joined(distinct, threshold):
        left, right = copies[distinct[first]], copies[distinct[second]]
        near += (Near(a, b, min(alike, ALMOST)) for a, b in across(left, right))
    return sorted(near, key=lambda pair: (pair.a, pair.b))


def nearest(text: str, rows: Iterable[tuple[int, str]]) -> Near | None:
    """The row most like a text that is no row yet (its `a` is 0), the first of equals."""
    wanted = _Text(normalised(text))
    scored = [(_alike(wanted, _Text(normalised(stored))), -row_id) for row_id, stored in rows]
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

    for pair in near:
        low, high = sorted((root(pair.a), root(pair.b)))
        parent[high] = low
    members: dict[int, list[int]] = defaultdict(list)
    for row in sorted(parent):
        members[root(row)].append(row)
    return sorted(members.values())


def contradictions(
    rows: Sequence[tuple[int, str, str]],
    threshold: float = THRESHOLD,
    schema: Schema = None,
) -> list[Near]:
    """Pairs of rows (id, prompt, response) that ask (nearly) the same and answer differently.

    Answers are the same if `canonical` makes the same of them.
    """
    answers = {row_id: canonical(response, schema) for row_id, _, response in rows}
    copies = {ids[0]: ids for ids in _copies([(row_id, p) for row_id, p, _ in rows]).values()}
    prompts = {row_id: prompt for row_id, prompt, _ in rows}
    near = [Near(first, first, 1.0) for first in copies]
    near += pairs([(first, prompts[first]) for first in copies], threshold)
    return clashes(near, copies, answers)


def clashes(
    near: Iterable[Near], copies: Mapping[int, Sequence[int]], answers: Mapping[int, str]
) -> list[Near]:
    """The rows that answer differently among those that ask (nearly) the same.

    `near` are groups of copies, each named by its first row; one with itself is near, too.
    """
    similarities = {
        pair: alike.similarity
        for alike in near
        for pair in _differing(copies[alike.a], copies[alike.b], answers)
    }
    return [Near(a, b, similarities[a, b]) for a, b in sorted(similarities)]


def couples(ids: Sequence[int]) -> Iterator[tuple[int, int]]:
    """All pairs of a few copies; of many, each with the first fifty."""
    for at, row in enumerate(ids):
        for earlier in ids[: min(at, _COPIES)]:
            yield earlier, row


def across(left: Sequence[int], right: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Pairs of rows of two groups of copies, the lower first; of many, of the first fifty each."""
    for a, b in product(left[:_COPIES], right[:_COPIES]):
        yield min(a, b), max(a, b)


def canonical(response: str, schema: Schema = None) -> str:
    """Equal for two answers exactly if they say the same: as JSON, else once normalised.

    Of JSON the order of keys, spacing, 1 and 1.0, and the order of a list whose items the schema
    calls unique do not count.
    """
    try:
        value = json.loads(response)
    except (ValueError, RecursionError):
        return normalised(response)
    return json.dumps(uniform(value, schema), sort_keys=True)


def uniform(value: Any, schema: object) -> Any:  # noqa: ANN401 - JSON is of any type
    """A JSON value in the form that all with the same meaning have."""
    rules = schema if isinstance(schema, Mapping) else {}
    if isinstance(value, dict):
        inner = rules.get("properties")
        inner = inner if isinstance(inner, Mapping) else {}
        return {name: uniform(child, inner.get(name)) for name, child in value.items()}
    if isinstance(value, list):
        items = [uniform(child, rules.get("items")) for child in value]
        return sorted(items, key=json.dumps) if rules.get("uniqueItems") is True else items
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def _copies(rows: Sequence[tuple[int, str]]) -> dict[str, list[int]]:
    """Ids, ascending, of the rows that are equal once normalised."""
    copies: dict[str, list[int]] = defaultdict(list)
    for row_id, text in sorted(rows):
        copies[normalised(text)].append(row_id)
    return copies


def _differing(
    left: Sequence[int], right: Sequence[int], answers: Mapping[int, str]
) -> Iterator[tuple[int, int]]:
    """Pairs across two sides with different answers, of each answer the first fifty rows."""
    sides = product(_by_answer(left, answers).items(), _by_answer(right, answers).items())
    for (answer, rows), (contrary, clashing) in sides:
        if answer != contrary:
            yield from across(rows, clashing)


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


def _alike(left: _Text, right: _Text) -> float:
    """Exact Jaccard similarity, by words where both rows are long enough, else by characters."""
    if left.plain == right.plain:
        return 1.0
    a, b = left.trigrams, right.trigrams
    if a is None or b is None:
        a, b = left.chars, right.chars
    shared = len(a & b)
    return min(shared / (len(a) + len(b) - shared), ALMOST)


def joined(rows: Mapping[int, str], threshold: float) -> Iterator[tuple[int, int, float]]:
    """Pairs that are alike by words, then those alike by characters of which one has no words."""
    if threshold > ALMOST:
        return
    long = {row_id: plain for row_id, plain in rows.items() if worded(plain)}
    short = {row_id: plain for row_id, plain in rows.items() if row_id not in long}
    yield from _alike_in(long, threshold, shingles.tokens)
    if short:
        # A set this much larger than another cannot reach the threshold with it.
        limit = int(max(map(len, short.values())) / threshold)
        near = short | _with_few_characters(long, limit)
        for a, b, alike in _alike_in(near, threshold, shingles.characters):
            if a in short or b in short:
                yield a, b, alike


def _alike_in(
    texts: Mapping[int, str],
    threshold: float,
    cut: Callable[[Iterable[str]], shingles.Shingles],
) -> Iterator[tuple[int, int, float]]:
    ids = list(texts)
    sets = jaccard_join.sets(cut(texts.values()), threshold)
    for a, b, alike in jaccard_join.row_pairs(sets, threshold):
        yield ids[a], ids[b], alike


def _with_few_characters(texts: Mapping[int, str], limit: int) -> dict[int, str]:
    """The texts without more than so many runs of five characters in twice as many to begin with.

    All with fewer in the whole text are among them.
    """
    sets = jaccard_join.sets(shingles.characters(text[: 2 * limit] for text in texts.values()))
    few = sets.rows[: sets.row_starts[np.searchsorted(sets.sizes, limit, side="right")]]
    ids = list(texts)
    return {ids[row]: texts[ids[row]] for row in few.tolist()}
