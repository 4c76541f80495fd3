"""Patterns and word lists of the scan: what they find in several countries, in limited time."""

import contextlib
import time

import pytest

from curation.personal import gazetteer, name_rules, patterns


def surfaces(text: str, kind: str) -> list[str]:
    """What the patterns find of one type."""
    return [text[span.start : span.end] for span in patterns.spans(text) if span.type == kind]


@pytest.mark.parametrize(
    ("text", "excerpt"),
    [
        ("Send it to 12 rue de la Paix, 75002 Paris please", "12 rue de la Paix, 75002 Paris"),
        ("It is Hauptstraße 5, 10115 Berlin now", "Hauptstraße 5, 10115 Berlin"),
        ("I moved to Via Garibaldi 17, Torino", "Via Garibaldi 17, Torino"),
        ("Post: Calle de Alcalá 44, Madrid", "Calle de Alcalá 44, Madrid"),
        ("My door is Storgatan 8, Lund", "Storgatan 8, Lund"),
        ("At ul. Długa 46, Kraków", "ul. Długa 46, Kraków"),
        ("Try Prinsengracht 263, Amsterdam", "Prinsengracht 263, Amsterdam"),
        ("Mail PSC 1234, Box 5678\nAPO AE 09012 today", "PSC 1234, Box 5678\nAPO AE 09012"),
        ("See Apt. 4, Lisbon", "Apt. 4, Lisbon"),
        ("Use P.O. Box 88", "P.O. Box 88"),
        ("Find it at the corner of Oak Street and Elm Street", "the corner of Oak Street and Elm"),
    ],
)
def test_addresses_of_several_countries(text: str, excerpt: str) -> None:
    assert any(excerpt in surface for surface in surfaces(text, "STREET_ADDRESS"))


@pytest.mark.parametrize(
    ("text", "kind", "excerpt"),
    [
        ("A 23 year old man", "AGE", "23"),
        ("She is 41, I think", "AGE", "41"),
        ("at the age of 67", "AGE", "67"),
        ("Dear Mr. Brown", "TITLE", "Mr."),
        ("Dear Prof. Brown", "PERSON", "Brown"),
        ("He works as a senior software engineer", "TITLE", "senior software engineer"),
        ("I work at Nordwind Trading since May", "ORGANIZATION", "Nordwind Trading"),
        ("Bill it to Kessler Logistics GmbH.", "ORGANIZATION", "Kessler Logistics GmbH"),
        ("my zip code is 90210", "LOCATION", "90210"),
        ("Ring 020 7946 0958 now", "PHONE_NUMBER", "020 7946 0958"),
        ("Ring +33 1 42 68 53 00", "PHONE_NUMBER", "+33 1 42 68 53 00"),
        ("my iban is gb82west12345698765432", "IBAN_CODE", "gb82west12345698765432"),
        ("card 1234 5678 1234 5678", "CREDIT_CARD", "1234 5678 1234 5678"),
        ("dob: 04/11/1987", "DATE_TIME", "04/11/1987"),
    ],
)
def test_other_patterns(text: str, kind: str, excerpt: str) -> None:
    assert any(excerpt in surface for surface in surfaces(text, kind))


def test_everyday_words_match_no_pattern() -> None:
    for text in (
        "I topped up 50 euros 3 times and it failed.",
        "The app says my top-up is pending, what now?",
        "Can I change my pin at any ATM in town?",
    ):
        assert list(patterns.spans(text)) == []


@pytest.mark.parametrize("unit", ["Aa ", "1 ", "Rue Aa ", "Anna and ", "a. ", "1, Aa, ", "Aa\n"])
def test_hostile_text_ends_within_the_limit(unit: str) -> None:
    text = unit * (20_000 // len(unit))
    begun = time.thread_time()
    with contextlib.suppress(TimeoutError):
        list(patterns.spans(text))
    assert time.thread_time() - begun < 3 * patterns.SECONDS


def test_no_time_left_is_an_error_and_never_silence() -> None:
    with pytest.raises(TimeoutError):
        list(patterns.spans("Call 020 7946 0958", seconds=0))


def names(text: str) -> list[str]:
    """What the name rules find, where the dictionary holds a few words."""
    dictionary = gazetteer.dictionary(frozenset({"transfer", "card", "producer", "friend", "wall"}))
    return sorted({text[s.start : s.end] for s in name_rules.spans(text, dictionary)})


def test_names_that_lists_and_capitals_give_away() -> None:
    assert names("The Transfers of my friend Osvaldina failed") == ["Osvaldina"]
    assert names("She met Producer Maria Lopez") == ["Maria Lopez"]
    assert names("Barbara is my friend") == ["Barbara"]
    assert names("i wrote to barbara from turkmenistan") == ["barbara", "turkmenistan"]
    assert names("Visa card, Transfer, Card on the Wall") == []


def test_places_that_are_words_need_a_capital_or_a_preposition() -> None:
    assert names("we ate turkey and wore a jersey") == []
    assert names("we live in turkey") == ["turkey"]


def test_every_list_is_there_and_clean() -> None:
    for name in ("first_names", "names_that_are_words", "function_words", "places"):
        entries = gazetteer.word_list(name)
        assert len(entries) > 90
        assert all(word == word.strip() and word for word in entries)
    assert not gazetteer.first_names() & gazetteer.word_list("function_words")


def test_making_the_patterns_is_not_on_the_clock_of_the_first_text(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [0.0]
    rules = patterns._compiled()

    def slowly() -> object:
        now[0] += 10 * patterns.SECONDS
        return rules

    monkeypatch.setattr(patterns, "_compiled", slowly)
    monkeypatch.setattr("curation.personal.patterns.time.monotonic", lambda: now[0])
    assert {span.type for span in patterns.spans("born 1990-01-02 at ten")} == {"DATE_TIME"}
