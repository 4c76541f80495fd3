"""Find rows that say the same: exact, nearly the same, or the same question answered differently.

Rows are compared by the exact Jaccard similarity of their shingle sets: three words in a row, or,
where either row has under eight words or is written without blanks, five characters in a row.
MinHash only proposes whom to compare, with 25 bands of 5 (a bare threshold would choose bands
that miss most pairs). Paraphrases in other words are not found.
"""

import hashlib
import json
import re
import unicodedata
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations, product
from typing import TypeVar

from storage.errors import BadInput

THRESHOLD = 0.8
BANDS, BAND_ROWS = 25, 5

_LEAST = 0.5
"""Below, 25 bands of 5 would propose too few pairs to speak of all."""
_SHORT = 8
_MOST_COPIES = 50
"""Of more copies, each is paired with the first fifty: 10,000 copies are not 50 million pairs."""
_WORDS, _CHARS = 3, 5
_WORD = re.compile(r"\w+")

Shingles = frozenset[str]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Near:
    """Two rows, a < b, and their exact Jaccard similarity: 1 where they say the same."""

    a: int
    b: int
    similarity: float


class _Row:
    """One text in the forms that are compared; word shingles only where it is long enough."""

    def __init__(self, plain: str) -> None:
        words = plain.split()
        blanks = plain.isascii() or len(plain) < 12 * len(words)
        self.plain = plain
        self.words = _shingles(words, _WORDS) if blanks and len(words) >= _SHORT else None

    @cached_property
    def chars(self) -> Shingles:
        """Runs of five characters, only cut where someone asks for them."""
        return _shingles(self.plain, _CHARS)


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
    kept = {ids[0]: _Row(plain) for plain, ids in copies.items() if plain}
    for a, b in _candidates(kept):
        alike = _alike(kept[a], kept[b])
        if alike >= threshold:
            for one in copies[kept[a].plain][:_MOST_COPIES]:
                for other in copies[kept[b].plain][:_MOST_COPIES]:
                    found.append(Near(min(one, other), max(one, other), alike))
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
    rows: Sequence[tuple[int, str, str]], threshold: float = THRESHOLD
) -> list[Near]:
    """Pairs of rows (id, prompt, response) that ask (nearly) the same and answer differently.

    Answers are the same if their JSON is, or else if they are equal once normalised.
    """
    answers = {row_id: canonical(response) for row_id, _, response in rows}
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


def canonical(response: str) -> str:
    """An answer without what does not count: the order and spacing of JSON, else case and marks."""
    try:
        return json.dumps(json.loads(response), sort_keys=True)
    except (ValueError, RecursionError):
        return normalised(response)


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
    return min(shared / (len(left) + len(right) - shared), 0.9999)


def _candidates(rows: Mapping[int, _Row]) -> set[tuple[int, int]]:
    """Pairs worth an exact comparison: some band of their word or character sketches is equal."""
    proposed = _proposed({i: row.words for i, row in rows.items() if row.words is not None})
    short = {i: len(row.chars) for i, row in rows.items() if row.words is None}
    if short:
        # A set over twice as large as another cannot reach the least threshold with it.
        most = max(short.values()) / _LEAST + _CHARS
        near = {i: row.chars for i, row in rows.items() if i in short or len(row.plain) <= 4 * most}
        chars = _proposed({i: one for i, one in near.items() if len(one) <= most})
        proposed |= {pair for pair in chars if not short.keys().isdisjoint(pair)}
    return proposed


def _proposed(sets: Mapping[int, Shingles]) -> set[tuple[int, int]]:
    """Pairs of sets with an equal band of five of their MinHash values, smaller id first."""
    from datasketch import MinHash

    encoded = ([s.encode("utf-8", "surrogatepass") for s in one] for one in sets.values())
    sketches = MinHash.generator(encoded, num_perm=BANDS * BAND_ROWS, hashfunc=zlib.crc32)
    buckets: dict[tuple[int, bytes], list[int]] = defaultdict(list)
    for row_id, sketch in zip(sets, sketches, strict=True):
        values = sketch.hashvalues
        for band in range(BANDS):
            key = values[band * BAND_ROWS : (band + 1) * BAND_ROWS].tobytes()
            buckets[band, key].append(row_id)
    return {(min(a, b), max(a, b)) for ids in buckets.values() for a, b in combinations(ids, 2)}
