"""What one text shows by itself: its length in tokens, its language, broken encoding, odd words.

All of it is a hint for a person, by rules that can be read here; none of it judges meaning.
"""

import re
import warnings
from functools import cache
from typing import Any

from curation import visible
from curation.review.phrases import among

MINIMUM_LETTERS = 40
"""Letters below which a text's language is not guessed: on 3,075 English bank messages the
detector was wrong in 7 of 1,059 shorter texts and in none of 2,016 longer ones."""
SURE = 0.5
_LOOKED_AT = 200
"""Characters that the language is guessed from."""

# One token a word, digit, mark, or letter of a script without spaces between words.
_TOKEN = re.compile(
    r"[\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]|[^\W\d_]+|\d|[^\w\s]|_"
)
_ASCII_TOKEN = re.compile(r"[A-Za-z]+|[^\sA-Za-z]")
_TWO_TERMS = re.compile(r"\w\W+\w")
_FENCE = re.compile(r"^ {0,3}(```+|~~~+)", re.MULTILINE)
_MARKS = ("TODO", "TBD", "FIXME", "XXX", "orem ipsum")
_LEFT_IN = re.compile(r"\b(?:TODO|TBD|FIXME|XXX|[Ll]orem ipsum)\b")
_GAP = re.compile(
    r"[\[<{] ?(?:insert|your|add|enter|fill in)\b[^\]>}\n]{0,40}[\]>}]", re.IGNORECASE
)
_ENGLISH = frozenset(
    {"the", "and", "you", "my", "your", "this", "that", "with", "what", "which", "from", "would"}
    | {"could", "should", "there", "they", "how", "when", "why", "where", "because", "been", "has"}
    | {"i'm", "don't", "please"}
)
"""Words that hardly any other language has; two of them make a text English at once."""
_REFUSALS = (
    "I'm sorry, but I can't",
    "I'm sorry, but I cannot",
    "I am sorry, but I can't",
    "I am sorry, but I cannot",
    "Sorry, but I can't",
    "I can't help with",
    "I cannot help with",
    "I can't assist with",
    "I cannot assist with",
    "I'm unable to help",
    "I am unable to help",
    "I'm unable to assist",
    "I am unable to assist",
    "I can't provide",
    "I cannot provide",
    "I can't fulfill",
    "I cannot fulfill",
    "I'm not able to help",
    "I am not able to help",
    "I won't be able to help",
    "I must decline",
)
_MODEL_TALK = (
    "as an AI",
    "as a language model",
    "as an artificial intelligence",
    "I'm an AI",
    "I am an AI",
    "I'm a language model",
    "I am a language model",
    "my training data",
    "my knowledge cutoff",
    "my last knowledge update",
)
_COPIED = 20
"""Characters of an input from which a response that begins with it has copied it."""


def tokens(text: str) -> int:
    """Tokens of a text, estimated: one a word, digit, mark, or letter of a script without spaces.

    Against the packaged model's own tokenizer the sum is within 10 % on English prose, and 16 %
    too high on JSON.
    """
    return len((_ASCII_TOKEN if text.isascii() else _TOKEN).findall(text))


def word_count(text: str) -> int:
    """Words as spaces part them."""
    return len(text.split())


def language(text: str) -> str | None:
    """ISO 639-1 code of the language; None where the text is too short, is JSON, or fits none.

    By `py3langid` (naive Bayes over byte n-grams), on this machine. Two languages in one text, and
    languages that are written alike, are told apart badly.
    """
    start = text[:_LOOKED_AT]
    if start[:1] in "{[" or sum(map(str.isalpha, start)) < MINIMUM_LETTERS:
        return None
    if start.isascii() and len(_ENGLISH.intersection(start.lower().split())) >= 2:
        return "en"
    code, sure = _identifier().classify(start)
    return str(code) if sure >= SURE else None


@cache
def _identifier() -> Any:  # noqa: ANN401 - py3langid has no types
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


def encoding(text: str) -> tuple[str, ...]:
    """Kinds of encoding trouble, in plain words; nothing in text that is plain ASCII.

    Mojibake by the heuristic of `ftfy`, made to raise few false alarms: a single wrong letter that
    could be right is not found.
    """
    trouble = []
    if not text.isascii():
        if "\ufffd" in text:
            trouble.append("replacement characters")
        if _bad(text):
            trouble.append("mojibake")
    if visible.hidden(text):
        trouble.append("invisible or control characters")
    return tuple(trouble)


def _bad(text: str) -> bool:
    return bool(_badness()(text))


@cache
def _badness() -> Any:  # noqa: ANN401 - one function of a package
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        from ftfy.badness import is_bad

    return is_bad


def copied(prompt: str, response: str) -> bool:
    """Whether a response is the input again, or begins with the whole of it; both folded."""
    if not prompt or not response:
        return False
    return prompt == response or (len(prompt) >= _COPIED and response.startswith(prompt))


def short(prompt: str, response: str) -> bool:
    """Whether the input has under two words, or the response no letter and no digit."""
    return not _TWO_TERMS.search(prompt) or not any(map(str.isalnum, response))


def refuses(response: str) -> bool:
    """Whether a folded response uses a stock phrase of refusal, in English."""
    return bool(among(response, _REFUSALS))


def model_talk(response: str) -> bool:
    """Whether a folded response speaks of itself as a model, in English."""
    return bool(among(response, _MODEL_TALK))


def open_fence(text: str) -> bool:
    """Whether a fenced code block of Markdown is opened and never closed."""
    inside = ""
    for mark in _FENCE.findall(text):
        if not inside:
            inside = mark
        elif mark[0] == inside[0] and len(mark) >= len(inside):
            inside = ""
    return bool(inside)


def left_in(text: str) -> bool:
    """Whether a gap was left to fill: TODO, TBD, lorem ipsum, [your name]. Placeholders of the
    personal-data scan, such as [PERSON_1], do not count."""
    if any(mark in text for mark in _MARKS) and _LEFT_IN.search(text):
        return True
    return bool(_GAP.search(text))
