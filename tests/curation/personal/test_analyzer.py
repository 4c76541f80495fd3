"""The personal-data scan on the real model: what it finds, sets aside and leaves alone."""

import json
import logging
import socket
import subprocess
import sys
import time
from itertools import pairwise

import pytest
from hypothesis import given, settings, strategies as st

from curation.personal import recall
from curation.personal.analyzer import Scanner
from curation.personal.detect import LONGEST, WINDOW, Quarantine, Span, limits, pieces
from curation.personal.pii import TYPES, Config
from curation.personal.placeholders import replace
from curation.personal.resolving import resolved, vocabulary
from storage.errors import RuleBroken, Unavailable

SCHEMA = {
    "type": "object",
    "properties": {
        "team": {"enum": ["Paris Desk", "cards"]},
        "next_step": {"const": "Ask Maria Lopez"},
        "note": {"type": "string"},
    },
}


@pytest.fixture(scope="module")
def scanner() -> Scanner:
    return Scanner(Config(allow=tuple(sorted(vocabulary(SCHEMA)))))


def kinds(scanner: Scanner, text: str, *, output: bool = False) -> dict[str, str]:
    """Surface to type of what is found in one text."""
    (spans,) = scanner.scan([text], output=output)
    assert isinstance(spans, list)
    return {text[span.start : span.end]: span.type for span in spans}


@pytest.mark.parametrize(
    ("text", "excerpt", "kind"),
    [
        ("My name is Maria Lopez and my card is gone.", "Maria Lopez", "PERSON"),
        ("my name is maria lopez and i live in madrid", "madrid", "LOCATION"),
        ("Write to ana.lopez@cuvox.de please", "ana.lopez@cuvox.de", "EMAIL_ADDRESS"),
        ("Write to ana@mail.branch.internal please", "ana@mail.branch.internal", "EMAIL_ADDRESS"),
        ("Call me on 212-555-0188 tomorrow", "212-555-0188", "PHONE_NUMBER"),
        ("My phone is +44 20 7946 0958", "+44 20 7946 0958", "PHONE_NUMBER"),
        ("Card 4111 1111 1111 1111 was eaten", "4111 1111 1111 1111", "CREDIT_CARD"),
        ("IBAN DE89370400440532013000 please", "DE89370400440532013000", "IBAN_CODE"),
        ("My SSN is 308-63-0237", "308-63-0237", "US_SSN"),
        ("Logged in from 86.231.85.193", "86.231.85.193", "IP_ADDRESS"),
        ("See https://www.marialopez.net/me", "https://www.marialopez.net/me", "URL"),
        ("I was born on 3 May 1984", "3 May 1984", "DATE_TIME"),
        ("Paid on 2024-05-03", "2024-05-03", "DATE_TIME"),
        ("I live at 221 Baker Street, call first", "221 Baker Street", "STREET_ADDRESS"),
        ("Send it to 19 Maple Street, Portland", "19 Maple Street, Portland", "STREET_ADDRESS"),
        ("My SSN is 911-45-6781", "911-45-6781", "US_SSN"),
        ("My passport is 912803456", "912803456", "ID_NUMBER"),
    ],
)
def test_each_kind_is_found(scanner: Scanner, text: str, excerpt: str, kind: str) -> None:
    assert kinds(scanner, text).get(excerpt) == kind


def test_words_that_identify_nobody_are_left_alone(scanner: Scanner) -> None:
    for text in (
        "My card was declined today, two days ago and on Monday morning.",
        "The ATM kept my Visa card at 9 am, I waited 24 hours.",
        "I asked <PERSON_1> about it yesterday.",
    ):
        assert kinds(scanner, text) == {}


def test_a_poisoned_row_is_set_aside_and_fast(scanner: Scanner) -> None:
    poisoned = "a." * 8_000 + " and my e-mail is ana.lopez@cuvox.de"
    begun = time.thread_time()
    spans = scanner.scan(["Hello there.", poisoned, "I am Maria Lopez, ana@cuvox.de"])
    assert time.thread_time() - begun < 20
    assert spans[0] == []
    assert isinstance(spans[1], Quarantine)
    assert "too long" in spans[1].reason
    assert isinstance(spans[2], list)
    assert "EMAIL_ADDRESS" in {span.type for span in spans[2]}


def test_no_scan_while_warnings_are_switched_off(scanner: Scanner) -> None:
    logging.disable(logging.CRITICAL)
    try:
        with pytest.raises(Unavailable, match="switched off"):
            scanner.scan(["Hello there."])
    finally:
        logging.disable(logging.NOTSET)


def test_too_long_a_text_is_set_aside(scanner: Scanner) -> None:
    assert isinstance(scanner.scan(["word " * (LONGEST // 5 + 1)])[0], Quarantine)


def test_an_address_across_the_edge_of_a_window_is_found_once(scanner: Scanner) -> None:
    before = ("All is well here. " * 1_200)[: WINDOW - 8]
    text = f"{before} ana.lopez@cuvox.de {before}"
    (spans,) = scanner.scan([text])
    assert isinstance(spans, list)
    mails = [text[span.start : span.end] for span in spans if span.type == "EMAIL_ADDRESS"]
    assert mails == ["ana.lopez@cuvox.de"]


@pytest.mark.parametrize(
    "excerpt",
    ["ana\u200b.lopez@cu\u00advox.de", "ana.lopez\uff20cuvox\uff0ede", "\uff41na@cuvox.de"],
)
def test_hidden_and_wide_characters_hide_nothing(scanner: Scanner, excerpt: str) -> None:
    assert kinds(scanner, f"Mail \u2026 {excerpt} please") == {excerpt: "EMAIL_ADDRESS"}


def test_wide_digits_are_read(scanner: Scanner) -> None:
    wide = "".join(chr(ord(c) + 0xFEE0) for c in "4111111111111111")
    assert kinds(scanner, f"Card {wide} is gone") == {wide: "CREDIT_CARD"}


def test_odd_characters_break_nothing(scanner: Scanner) -> None:
    for text in ("", " \n", "\ud800 \udfff", "\x00\x01", "\u202e\u200f", "😀 👨‍👩‍👧", "{" * 9_000):
        assert scanner.scan([text]) == [[]]


def test_an_output_is_read_value_by_value(scanner: Scanner) -> None:
    output = '{"team": "Paris Desk", "next_step": "Ask Maria Lopez", "note": "Mail ana@cuvox.de"}'
    assert kinds(scanner, output, output=True) == {"ana@cuvox.de": "EMAIL_ADDRESS"}
    assert "Maria Lopez" in kinds(scanner, "Ask Maria Lopez")


def test_escapes_and_numbers_in_an_output_are_read(scanner: Scanner) -> None:
    output = r'{"note": "Call\nana\u0040cuvox.de", "card": 4111111111111111}'
    spans = kinds(scanner, output, output=True)
    assert spans == {r"ana\u0040cuvox.de": "EMAIL_ADDRESS", "4111111111111111": "CREDIT_CARD"}


def test_a_scan_calls_nobody(scanner: Scanner, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise AssertionError("the scan opened a connection")

    monkeypatch.setattr(socket.socket, "connect", refused)
    assert "EMAIL_ADDRESS" in kinds(scanner, "bob.ray@example.co.uk wrote").values()


def test_importing_the_scanner_loads_no_model() -> None:
    code = (
        "import sys, curation.personal.analyzer;"
        "sys.exit(any(m in sys.modules for m in ('presidio_analyzer', 'spacy', 'tldextract')))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False)
    assert done.returncode == 0


def test_settings_name_their_scans() -> None:
    assert Config().sha256 == Config().sha256 != Config(organization=False).sha256
    assert Config(allow=("a",)).sha256 != Config(allow=("b",)).sha256


def test_companies_are_reported_where_asked() -> None:
    text = "I work at Smith Ltd. in Leeds"
    assert "ORGANIZATION" in kinds(Scanner(Config(organization=True)), text).values()
    assert "ORGANIZATION" not in kinds(Scanner(Config(organization=False)), text).values()


def test_spans_never_overlap_and_the_surer_kind_wins() -> None:
    text = "Ana Lopez 4111 1111 1111 1111"
    spans = resolved(text, [Span(0, 29, "PERSON", 0.99), Span(10, 29, "CREDIT_CARD", 0.5)])
    assert spans == [Span(0, 9, "PERSON", 0.99), Span(10, 29, "CREDIT_CARD", 0.5)]


spans = st.builds(
    lambda start, length, kind: Span(start, start + length, kind, 0.5),
    st.integers(0, 30),
    st.integers(1, 9),
    st.sampled_from(["PERSON", "URL", "X"]),
)


@settings(deadline=None)
@given(st.lists(spans, max_size=8))
def test_nothing_found_is_lost_when_overlaps_are_resolved(spans: list[Span]) -> None:
    text = "abcdefghij" * 4
    remaining = resolved(text, spans)
    for left, right in pairwise(remaining):
        assert left.end <= right.start
    covered = {i for span in remaining for i in range(span.start, span.end)}
    for span in spans:  # what is left of one by others may be a single letter: that tells nothing
        inside = range(span.start, span.end)
        assert all(i in covered or i + 1 in covered for i in inside[:-1])


def test_placeholders_are_numbered_through_the_row() -> None:
    fields = {"prompt": "Ana and ana, Bob", "response": '{"note": "Ana\\tn", "card": 411111}'}
    accepted = {
        "prompt": [Span(0, 3, "PERSON", 1), Span(8, 11, "PERSON", 1), Span(13, 16, "PERSON", 1)],
        "response": [Span(10, 13, "PERSON", 1), Span(27, 30, "CREDIT_CARD", 1)],
    }
    done = replace(fields, accepted)
    assert done["prompt"] == "<PERSON_1> and <PERSON_1>, <PERSON_2>"
    assert json.loads(done["response"]) == {"note": "<PERSON_1>\tn", "card": "<CREDIT_CARD_1>"}


def test_numbers_go_on_after_those_in_the_row() -> None:
    replaced = replace({"text": "<PERSON_4> met Ana"}, {"text": [Span(15, 18, "PERSON", 1)]})
    assert replaced["text"] == "<PERSON_4> met <PERSON_5>"


def test_the_same_name_escaped_in_json_has_the_same_number() -> None:
    fields = {"prompt": "José", "response": r'{"a": "Jos\u00e9"}'}
    accepted = {"prompt": [Span(0, 4, "PERSON", 1)], "response": [Span(7, 16, "PERSON", 1)]}
    assert replace(fields, accepted)["response"] == '{"a": "<PERSON_1>"}'


@pytest.mark.parametrize(
    "wrong",
    [
        [Span(0, 99, "PERSON", 1)],
        [Span(2, 2, "PERSON", 1)],
        [Span(8, 11, "PERSON", 1), Span(9, 12, "PERSON", 1)],
        [Span(3, 12, "PERSON", 1)],
        [Span(8, 11, "a name", 1)],
    ],
)
def test_a_placeholder_that_would_break_the_row_is_refused(wrong: list[Span]) -> None:
    with pytest.raises(RuleBroken):
        replace({"response": '{"a": "Ana", "b": "Bob"}'}, {"response": wrong})


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=60))
def test_pieces_point_back_to_their_text(text: str) -> None:
    for raw, output in ((text, False), (json.dumps({"k": text}), True)):
        for piece in pieces(raw, output=output):
            assert len(piece.text) == len(piece.starts) == len(piece.ends)
            for start, end in zip(piece.starts, piece.ends, strict=True):
                assert 0 <= start < end <= len(raw)


def test_the_limits_are_sentences() -> None:
    assert all(line.endswith(".") and line[0].isupper() for line in limits())


def test_a_scan_of_many_rows_keeps_their_order() -> None:
    texts = [f"Mail user{n}@cuvox.de" if n % 3 else "Hello there." for n in range(150)]
    spans = Scanner().scan(texts)
    assert [bool(each) for each in spans] == [n % 3 > 0 for n in range(150)]


def test_the_recall_that_the_page_prints_is_that_of_the_present_rules() -> None:
    figures = recall.measured()
    assert figures is not None
    assert figures.config_sha256 == Config().sha256, "run benchmarks.personal_data with --write"
    assert {"PERSON", "ORGANIZATION", "TITLE"} <= figures.types.keys()
    assert {"NRP", "AGE"} <= set(figures.unmeasured(TYPES))
