"""Find rows that say the same: exact, nearly the same, or the same question answered differently.

Two rows are compared by the exact Jaccard similarity of their shingle sets: three words in a row,
or five characters in a row where words are few (under five) or not separated by blanks. MinHash
only proposes whom to compare: 25 bands of 5 find more than 999 of 1,000 pairs at 0.8. Paraphrases
with other words are not found.
"""

import hashlib
import json
import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from storage.errors import BadInput

BANDS, BAND_ROWS = 25, 5
_FEW_WORDS = 5
_WORDS, _CHARS = 3, 5


@dataclass(frozen=True, slots=True)
class Near:
    """Two rows and how alike they are: exact Jaccard similarity, 1 where they say the same."""

    a: int
    b: int
    similarity: float
