"""Turn texts into sets of hashed shingles, many at once: runs of words or of characters.

A shingle is a 64-bit hash of its bytes. Two different shingles share one with a chance of 2^-64,
and the last four bits give way to a rank in `curation.overlap.near.jaccard_join`: the chance that a
collision changes the similarity of a given pair of rows of 200 shingles is about 1 in 10^14. The
hash has no secret, so this is no guard against someone who makes collisions on purpose.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Hashes = npt.NDArray[np.uint64]
Counts = npt.NDArray[np.int64]

TOKENS, CHARS = 3, 5
"""How many words, or characters, make a shingle."""

_CHUNK = 1 << 19
"""Bytes hashed at once: what is worked on stays in the processor's cache."""
_FOREIGN_MARK = re.compile(r"[^\w\x00-\x7f]")
_STEP = 8
_LONGEST = 64
"""Bytes of a word that are hashed eight at a time; of a longer one the rest is hashed alone."""

_MIX = (np.uint64(0x9E3779B97F4A7C15), np.uint64(0xC2B2AE3D27D4EB4F))
_PLACE = (np.uint64(0xD6E8FEB86659FD93), np.uint64(0xA5CB9243F2E96C2B))
_LENGTH = np.uint64(0x2545F4914F6CDD1D)
_SHORT = (np.uint64(0x8CB92BA72F3D8DD7), np.uint64(0xE7037ED1A0B428DB))
_MASKS = np.array([(1 << 8 * n) - 1 for n in range(_STEP + 1)], np.uint64)


def _table(pattern: str) -> bytes:
    """1 for each byte of a word, else 0; above ASCII all are, since marks there are taken out."""
    return bytes(code > 127 or re.match(pattern, chr(code)) is not None for code in range(256))


_IN_WORD = _table(r"\w")
_NOT_BLANK = _table("[^ ]")


@dataclass(frozen=True, slots=True)
class Shingles:
    """Hashes row after row, repeats and all: row n has the next `counts[n]` of `chunks`."""

    chunks: list[Hashes]
    """Emptied by whoever sorts them, so that both do not have to fit into memory."""
    counts: Counts


def terms(texts: Iterable[str]) -> Shingles:
    """Runs of three of `re.findall(r"\\w+", text)`; of fewer words, one run of what there is."""
    return _gathered((_marked(text) for text in texts), _IN_WORD)


def tokens(texts: Iterable[str]) -> Shingles:
    """Runs of three of `text.split(" ")`; of fewer, one run of what there is."""
    return _gathered((text.encode("utf-8", "surrogatepass") for text in texts), _NOT_BLANK)


def characters(texts: Iterable[str]) -> Shingles:
    """Runs of five characters; of a shorter text, the text, and of an empty one nothing."""
    return _gathered((text.encode("utf-8", "surrogatepass") for text in texts), None)


def _marked(text: str) -> bytes:
    """The text in UTF-8 where every byte above ASCII is part of a word character."""
    if not text.isascii():
        text = _FOREIGN_MARK.sub(" ", text)
    return text.encode("utf-8", "surrogatepass")


def _gathered(rows: Iterable[bytes], in_word: bytes | None) -> Shingles:
    chunks: list[Hashes] = []
    counts = [np.zeros(0, np.int64)]
    for chunk in _chunked(rows):
        hashes, count = _of_tokens(chunk, in_word) if in_word is not None else _of_chars(chunk)
        chunks.append(hashes)
        counts.append(count)
    return Shingles(chunks, np.concatenate(counts))


def _chunked(rows: Iterable[bytes]) -> Iterator[list[bytes]]:
    chunk: list[bytes] = []
    size = 0
    for row in rows:
        chunk.append(row)
        size += len(row)
        if size >= _CHUNK:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def _joined(rows: Sequence[bytes]) -> tuple[bytes, Counts]:
    """The rows with a blank before each, blanks to read past the end, and where each ends."""
    ends = np.cumsum(np.fromiter(map(len, rows), np.int64, len(rows)) + 1)
    return b" " + b" ".join(rows) + b" " * _STEP, ends


def _of_tokens(rows: Sequence[bytes], in_word: bytes) -> tuple[Hashes, Counts]:
    joined, row_ends = _joined(rows)
    inside = np.frombuffer(joined.translate(in_word), np.bool_)
    edges = np.flatnonzero(inside[1:] != inside[:-1]) + 1
    starts, ends = edges[::2], edges[1::2]
    last = np.searchsorted(starts, row_ends)
    return _runs_of_three(_hashed(joined, starts, ends - starts), last)


def _runs_of_three(word: Hashes, last: Counts) -> tuple[Hashes, Counts]:
    """Shingles from the hashes of words, of which each row ends before `last`."""
    count = np.diff(last, prepend=0)
    runs = word.copy()
    valid = np.ones(len(word), np.bool_)
    if len(word) > 2:
        runs[:-2] += word[1:-1] * _PLACE[0] + word[2:] * _PLACE[1]
    valid[last[count >= 2] - 1] = False
    valid[last[count >= TOKENS] - 2] = False
    single, double = last[count == 1] - 1, last[count == 2] - 2
    runs[single] = word[single] + _SHORT[0]
    runs[double] = word[double] + word[double + 1] * _PLACE[0] + _SHORT[1]
    return runs[valid], np.where(count >= TOKENS, count - 2, np.minimum(count, 1))


def _of_chars(rows: Sequence[bytes]) -> tuple[Hashes, Counts]:
    joined, row_ends = _joined(rows)
    # In UTF-8 a byte 10xxxxxx continues a character; the blank before each row is left out.
    begins = (np.frombuffer(joined, np.uint8) & 0xC0) != 0x80
    begins[np.concatenate(([0], row_ends[:-1]))] = False
    starts = np.flatnonzero(begins[: row_ends[-1]])
    last = np.searchsorted(starts, row_ends)
    return _runs_of_five(joined, starts, last, row_ends)


def _runs_of_five(
    joined: bytes, starts: Counts, last: Counts, row_ends: Counts
) -> tuple[Hashes, Counts]:
    """Shingles from where characters start, of which each row ends before `last`."""
    count = np.diff(last, prepend=0)
    ends = np.full(len(starts), row_ends[-1], np.int64)
    ends[: -CHARS or None] = starts[CHARS:] if len(starts) > CHARS else ends[: -CHARS or None]
    full, short = count >= CHARS, (count > 0) & (count < CHARS)
    ends[last[full] - CHARS] = row_ends[full]
    ends[last[short] - count[short]] = row_ends[short]
    number = np.arange(len(starts)) - np.repeat(last - count, count)
    valid = number < np.repeat(np.where(full, count - CHARS + 1, 1), count)
    lengths = (ends - starts)[valid]
    return _hashed(joined, starts[valid], lengths), np.where(full, count - CHARS + 1, short)


def _hashed(joined: bytes, starts: Counts, lengths: Counts) -> Hashes:
    """A hash of each run of bytes, which `joined` continues by at least eight."""
    eights = np.ndarray(len(joined) - _STEP + 1, "<u8", joined, strides=(1,))
    hashes = eights[starts]
    hashes &= _MASKS[np.minimum(lengths, _STEP)]
    hashes ^= lengths.astype(np.uint64) * _LENGTH
    _mix(hashes)
    for done in range(_STEP, _LONGEST, _STEP):
        longer = np.flatnonzero(lengths > done)
        if not len(longer):
            return hashes
        more = eights[starts[longer] + done] & _MASKS[np.minimum(lengths[longer] - done, _STEP)]
        more += hashes[longer]
        _mix(more)
        hashes[longer] = more
    for at in np.flatnonzero(lengths > _LONGEST):
        run = joined[starts[at] : starts[at] + lengths[at]]
        hashes[at] = int.from_bytes(hashlib.blake2b(run, digest_size=8).digest(), "little")
    return hashes


def _mix(hashes: Hashes) -> None:
    """Spread every bit over all, in place and one to one (the finish of MurmurHash3)."""
    for factor in _MIX:
        hashes ^= hashes >> np.uint64(32)
        hashes *= factor
    hashes ^= hashes >> np.uint64(29)
