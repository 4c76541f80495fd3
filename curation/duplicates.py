"""Find rows that say the same: exact, nearly the same, or the same question answered differently.

Two rows are compared by the exact Jaccard similarity of their shingle sets: three words in a row
and, where either row has few words or a script without blanks, five characters in a row. MinHash
only proposes whom to compare (25 bands of 5: over 999 of 1,000 pairs at 0.8 are proposed).
Paraphrases in other words are not found.
"""

import hashlib
import re
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    pass

THRESHOLD = 0.8
BANDS, BAND_ROWS = 25, 5
_LEAST_THRESHOLD = 0.5
_FEW_WORDS = 8
_WORDS, _CHARS = 3, 5
_WORD = re.compile(r"\w+")

Shingles = frozenset[str]


@dataclass(frozen=True, slots=True)
class Near:
    """Two rows, a < b, and their exact Jaccard similarity: 1 where they say the same."""

    a: int
    b: int
    similarity: float


def normalised(text: str) -> str:
    """The words of a text in lower case, with neither marks, spacing nor width; the text if wordless."""
    plain = unicodedata.normalize("NFKC", text).lower()
    return " ".join(_WORD.findall(plain)) or " ".join(plain.split())


def digest(text: str) -> str:
    """Same for two texts exactly if they are equal once normalised."""
    return hashlib.sha256(normalised(text).encode("utf-8", "surrogatepass")).hexdigest()


def similarity(one: str, other: str) -> float:
    """Exact Jaccard similarity of two texts, 0 to 1."""
    return _alike(_both(one), _both(other))
