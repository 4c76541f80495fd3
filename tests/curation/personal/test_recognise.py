"""What a project describes itself: lists, context words, numbers of people, patterns. No model."""

import pytest

from curation.personal import number_grammar, pii, recognise
from curation.personal.detect import Span
from curation.personal.id_numbers import COUNTRIES, places
from curation.personal.pii import Config
from storage.errors import BadInput
from storage.settings import ROOT


def findings(text: str, *model: Span, **settings: object) -> list[tuple[str, str]]:
    """Words and types of what is left, beside what the language model found."""
    own = recognise.recognisers(Config(**settings))  # type: ignore[arg-type]  # as each test names them
    return [(text[s.start : s.end], s.type) for s in own.settled(text, model)]


def test_denied_words_are_found_in_any_case_width_and_spacing() -> None:
    deny = (("ORGANIZATION", "Project Falcon"),)
    wide = "".join(chr(ord(char) + 0xFEE0) for char in "project")
    for text in ("project  FALCON", f"{wide} fal\u200bcon", "Project\nFalcon"):
        assert findings(text, deny=deny) == [(text, "ORGANIZATION")]
    assert findings("Projects Falcon, Project Falcons", deny=deny) == []


def test_a_single_name_needs_a_capital_and_a_full_one_does_not() -> None:
    names = ("Will", "Ana Roth")
    assert findings("I will ask Will, not ana roth.", names=names) == [
        ("Will", "PERSON"),
        ("ana roth", "PERSON"),
    ]


def test_known_words_are_cut_from_names_and_nothing_else() -> None:
    text = "Acme Ana wrote to ana@acme.com from Acme."
    spans = (Span(0, 8, "PERSON", 0.9), Span(18, 30, "EMAIL_ADDRESS", 1), Span(36, 40, "NRP", 0.9))
    assert findings(text, *spans, known=("Acme", "acme")) == [
        ("Ana", "PERSON"),
        ("ana@acme.com", "EMAIL_ADDRESS"),
    ]
    hotline = Span(5, 16, "PHONE_NUMBER", 0.8)
    assert findings("Call 0800 123456.", hotline, known=("0800 123456",)) == []


def test_a_context_word_names_what_follows_it() -> None:
    context = (("ID_NUMBER", "member number"), ("PERSON", "signed by"))
    text = "My member number is KX-4471-2. Letter signed by Kim Lo yesterday; signed by nobody."
    assert findings(text, context=context) == [("KX-4471-2", "ID_NUMBER"), ("Kim Lo", "PERSON")]
    far = "Without the member number nobody here can help you at all, please ring 447122 then."
    assert findings(far, context=context) == []


def test_births_are_told_from_other_dates_when_switched_on() -> None:
    text = "Born on 3 May 1984, DOB: 04/05/99, paid on 4 May 2020, born in 1971."
    date = Span(text.index("paid") + 8, text.index(", born"), "DATE_TIME", 0.6)
    assert findings(text, date, births=True) == [
        ("3 May 1984", "DATE_OF_BIRTH"),
        ("04/05/99", "DATE_OF_BIRTH"),
        ("4 May 2020", "DATE_TIME"),
        ("1971", "DATE_OF_BIRTH"),
    ]
    assert findings(text) == []


@pytest.mark.parametrize("country", COUNTRIES)
def test_numbers_of_people_need_right_check_digits(country: str) -> None:
    number = COUNTRIES[country].example
    assert findings(f"It is {number}.", countries=(country,)) == [(number, "ID_NUMBER")]
    at = max(i for i, char in enumerate(number) if char.isdigit())
    wrong = f"{number[:at]}{(int(number[at]) + 1) % 10}{number[at + 1 :]}"
    assert list(places(f"It is {wrong}.", (country,))) == []
    assert findings(f"It is {number}.") == []


def test_the_documents_name_every_country() -> None:
    text = (ROOT / "docs" / "personal-data.md").read_text(encoding="utf-8")
    countries = {country.label.partition(":")[0] for country in COUNTRIES.values()}
    assert {name for name in countries if name not in text} == set()


def test_a_pattern_finds_numbers_that_stand_alone() -> None:
    patterns = (("ORDER_NUMBER", '"ORD"-9{6}'), ("ACCOUNT_NUMBER", "AA9{6,8}"))
    text = "ORD-123456, (ORD-1234567) XORD-123456 and DE1234567 or DE123456789."
    assert findings(text, patterns=patterns) == [
        ("ORD-123456", "ORDER_NUMBER"),
        ("DE1234567", "ACCOUNT_NUMBER"),
    ]
    phone = Span(0, 10, "PHONE_NUMBER", 0.9)
    assert findings(text, phone, patterns=patterns)[0] == ("ORD-123456", "ORDER_NUMBER")


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ("", "1 to 60 characters"),
        ("9" * 61, "1 to 60 characters"),
        ("(9+)+", "cannot be read from character 1"),
        ("9{2}(.*)", "cannot be read from character 5"),
        ("ORD9{4}", "cannot be read from character 1"),
        ("9{41}", "up to 40"),
        ("9{8,4}", "the smaller first"),
        ("9{0}", "the smaller first"),
        ('"AB"{2}9{4}', "not after quoted words"),
        ("9{1,40}9{1,40}", "something else must follow"),
        ("9{1,40}-{0,1}9{4}", "something else must follow"),
        ("*{4,8}9{4}", "something else must follow"),
        ("a{5}", "ordinary words"),
        ('"of"*{6}', "ordinary words"),
        ("99", "ordinary words"),
    ],
)
def test_what_is_no_pattern_is_refused_in_one_sentence(pattern: str, why: str) -> None:
    with pytest.raises(BadInput, match=why):
        number_grammar.compiled(pattern)


def test_a_pattern_never_goes_back() -> None:
    for pattern in ("9{4,8}-a{2,40}", '"A"9{2,40} *{1,40}', "A{1,40}9{1,40}-A{1,40}9{1,40}"):
        regex = number_grammar.compiled(pattern).pattern
        assert regex.count("}+") == regex.count("{"), "each count is possessive"


def test_json_values_are_read_one_by_one_and_stay_where_they_are() -> None:
    text = '{"to": "Ana\\u0020Roth", "id": 12345678}'
    own = recognise.recognisers(Config(names=("Ana Roth",), patterns=(("ACCOUNT_NUMBER", "9{8}"),)))
    spans = own.settled(text, (), output=True)
    assert [text[s.start : s.end] for s in spans] == ["Ana\\u0020Roth", "12345678"]


def test_every_wrong_entry_gets_a_sentence() -> None:
    config = Config(
        threshold=2,
        countries=("XX",),
        known=("Ana Roth",),
        names=("Ana Roth", "x"),
        deny=(("SECRET", "abc"), ("PERSON", "y" * 101)),
        patterns=(("ORDER_NUMBER", "(a+)+$"),),
        context=(("ID_NUMBER", "no"),) * 201,
    )
    problems = pii.problems(config)
    assert len(problems) == 8
    assert any(each.startswith("“Names of people”, line 2: ") for each in problems)
    assert any("Take them out of one of the two" in each for each in problems)
    assert pii.problems(Config()) == []


def test_what_is_typed_is_read_line_by_line() -> None:
    typed = 'id_number: member no, customer no\n\nORDER_NUMBER: "A,B"-9{6}\nnonsense'
    entries = pii.typed_lines(typed)
    assert entries == (
        ("ID_NUMBER", "member no"),
        ("ID_NUMBER", "customer no"),
        ("ORDER_NUMBER", '"A,B"-9{6}'),
        ("NONSENSE", ""),
    )
    assert pii.typed_lines(pii.as_lines(entries[:3])) == entries[:3]
    assert pii.lines(" a \n\nb\na") == ("a", "b")


def test_settings_survive_the_database_and_name_the_scan() -> None:
    config = Config(deny=(("PERSON", "Bo"),), countries=("NL",), names=("Al Roe",))
    assert pii.from_json(pii.to_json(config)) == config
    hashes = {
        each.sha256 for each in (Config(), config, Config(births=True), Config(known=("ab",)))
    }
    assert len(hashes) == 4
    assert pii.from_json(pii.to_json(config)).sha256 == config.sha256
