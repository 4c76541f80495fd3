"""What one text shows by itself: each measure finds its fault, and leaves ordinary text alone."""

import pytest

from curation.health import texts as text
from curation.review.phrases import folded

ENGLISH = "Where is the card that I ordered last week? It has not come yet."


@pytest.mark.parametrize(
    ("words", "tokens"),
    [("", 0), ("Where is it?", 4), ("2024", 4), ('{"a": 1}', 7), ("日本語", 3), ("Grüße", 1)],
)
def test_tokens_by_the_rule(words: str, tokens: int) -> None:
    assert text.tokens(words) == tokens


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (ENGLISH, "en"),
        ("Ich möchte meine Karte sperren, weil ich sie gestern verloren habe.", "de"),
        ("Je voudrais bloquer ma carte parce que je l'ai perdue hier soir.", "fr"),
        ("Necesito ayuda con mi cuenta porque no puedo entrar desde ayer.", "es"),
        ("Ich will", None),
        ('{"why": "weil ich sie gestern verloren habe und nicht finde"}', None),
        ("12345 67890 12345 67890 12345 67890 12345 67890 12345 67890", None),
    ],
)
def test_language_is_guessed_from_long_prose_only(words: str, code: str | None) -> None:
    assert text.language(words) == code


@pytest.mark.parametrize(
    ("words", "trouble"),
    [
        ("the cafÃ© is closed", ("mojibake",)),
        ("the caf\ufffd is closed", ("replacement characters",)),
        ("pass\u200bword", ("invisible or control characters",)),
        ("a\x00b", ("invisible or control characters",)),
        ("the café costs 3 € — naïve 日本 😀", ()),
        (ENGLISH, ()),
    ],
)
def test_encoding_trouble(words: str, trouble: tuple[str, ...]) -> None:
    assert text.encoding(words) == trouble


@pytest.mark.parametrize(
    ("said", "odd"),
    [
        ("I\u2019m sorry, but I can\u2019t help with that.", True),
        ("I cannot assist with this request.", True),
        ("Sorry for the delay. Your card is on its way.", False),
        ('{"refusal": "none"}', False),
    ],
)
def test_refusals(said: str, odd: bool) -> None:
    assert text.refuses(folded(said)) is odd


@pytest.mark.parametrize(
    ("said", "odd"),
    [("As an AI language model, I think", True), ("Asana is a tool for teams", False)],
)
def test_model_talk(said: str, odd: bool) -> None:
    assert text.model_talk(folded(said)) is odd


@pytest.mark.parametrize(
    ("asked", "said", "odd"),
    [
        (ENGLISH, ENGLISH.upper(), True),
        (ENGLISH, f"{ENGLISH} It is lost.", True),
        ("yes", "yes, it is", False),
        (ENGLISH, "It is lost.", False),
        ("", "", False),
    ],
)
def test_copied(asked: str, said: str, odd: bool) -> None:
    assert text.copied(folded(asked), folded(said)) is odd


@pytest.mark.parametrize(
    ("prompt", "response", "odd"),
    [
        ("card", "yes", True),
        ("card lost", "...", True),
        ("card lost", "D", False),
        ("カード 紛失", "はい", False),
    ],
)
def test_short(prompt: str, response: str, odd: bool) -> None:
    assert text.short(prompt, response) is odd


@pytest.mark.parametrize(
    ("said", "odd"),
    [
        ("```python\nx = 1\n", True),
        ("````\n```\n", True),
        ("```python\nx = 1\n```\n", False),
        ("````\n```\n````", False),
        ("~~~\n```\n~~~", False),
        ("use `x` here", False),
    ],
)
def test_open_fence(said: str, odd: bool) -> None:
    assert text.open_fence(said) is odd


@pytest.mark.parametrize(
    ("said", "odd"),
    [
        ("TODO: write this", True),
        ("Lorem ipsum dolor", True),
        ("Yours, [Your Name]", True),
        ("<insert date here>", True),
        ("a todo list", False),
        ("[PERSON_1] called", False),
        ("<your", False),
        ("autoDoctodo", False),
    ],
)
def test_left_in(said: str, odd: bool) -> None:
    assert text.left_in(said) is odd
