"""T16 of the personal-data scan: 1,000 seeded rows, and what people do to hide from a scanner.

Run by `python -m benchmarks.personal_data --only hostile`;
`tests/curation/personal/test_scan_safety.py` runs a small part. Each row is a message with one
planted value. Ways: plain; with a poison before or after it that makes patterns slow; in a text of
a megabyte; the value split by invisible characters; its digits full-width. No row may be called
clean whose value was not found: it is found or set aside.

Then texts of one repeated unit, 100,000 characters each, which no scan should take long for.
Seconds are processor time, so others on the machine do not count.
"""

import json
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from curation.personal.analyzer import Scanner
from curation.personal.detect import LONGEST, Quarantine
from curation.personal.pii import Config

HIDDEN = ("\u200b", "\u200d", "\u00ad", "\u2060", "\ufeff", "\U000e0061", "\u180e")
POISONS = (
    "a.",
    "a..",
    "www.",
    "1.2",
    "A.B.",
    "a@a.",
    "a:b:",
    "a-a ",
    "12-12",
    "Rue Aa ",
    "1, Aa, ",
    "Anna and ",
    "Aa\n",
    "DE89 3704 ",
    "{[",
    "\\u0061",
)
"""Units that, repeated, cost some pattern or the tokenizer most."""
UNITS = (
    *POISONS,
    "a\n",
    "a",
    "1",
    "1 ",
    "A1 ",
    "1 jan ",
    "1 St ",
    "Ana, ",
    "Mr. ",
    "Aa Inc, ",
    "a@b.c ",
    "http://a.",
    "+49 30 ",
    "my name is ",
    "works as a ",
    "the corner of ",
    "a\U0001f600",
    "\uff11 ",
    "e\u0301",
    "\u200ba",
    "a_b",
    "<a@b.c>,",
    "flat 1 ",
    "(0)",
    "\n",
    '{"a":',
)


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
    first_name = chance.choice(
        ["Maria", "John", "Karen", "Peter", "Laura", "David", "Susan", "Kevin"]
    )
    family = chance.choice(["Lopez", "Miller", "Novak", "Keller", "Rossi", "Larsen", "Dubois"])
    town = chance.choice(["Berlin", "Madrid", "Chicago", "Paris", "Oslo", "Vienna", "Dublin"])
    d = "".join(chance.choices("23456789", k=12))
    templates = {
        "EMAIL_ADDRESS": (f"{first_name}.{family}{d[:3]}@cuvox.de".lower(), "write to {} please"),
        "CREDIT_CARD": (luhn("4" + d + "00"), "my card {} was kept by the machine"),
        "IBAN_CODE": (iban(chance), "send it to {} today"),
        "US_SSN": (f"5{d[:2]}-{d[2:4]}-{d[4:8]}", "my social security number is {}"),
        "IP_ADDRESS": (f"8{d[0]}.1{d[1]}.2{d[2]}.9{d[3]}", "somebody logged in from {} last night"),
        "URL": (f"https://www.{family}{d[:3]}.com/me".lower(), "my shop is {} and it is down"),
        "PHONE_NUMBER": (f"+49 30 {d[:4]} {d[4:8]}", "call me on {} after six"),
        "STREET_ADDRESS": (f"{d[:2]} Maple Street, {town}", "send the card to {} this week"),
        "PERSON": (f"{first_name} {family}", "my name is {} and my card is lost"),
        "LOCATION": (town, "I moved to {} and my card stopped working"),
    }
    kind = chance.choice(sorted(templates))
    value, around = templates[kind]
    return kind, value, f"Hello, {around.format(value)}. What should I do?"


Row = tuple[str, str, str]
"""Type, value, text."""


def rows(count: int, seed: int = 16) -> list[Row]:
    """Seeded rows."""
    chance = random.Random(seed)
    return [planted(chance) for _ in range(count)]


def poisoned(each: Sequence[Row], *, before: bool, length: int = 5_000) -> Iterator[Row]:
    """The rows with a long poison before or after the message."""
    for number, (kind, value, text) in enumerate(each):
        unit = POISONS[number % len(POISONS)]
        poison = unit * (length // len(unit))
        yield kind, value, f"{poison} {text}" if before else f"{text} {poison}"


def split(each: Sequence[Row]) -> Iterator[Row]:
    """The rows with an invisible character between all characters of the value."""
    chance = random.Random(3)
    for kind, value, text in each:
        hidden = chance.choice(HIDDEN).join(value)
        yield kind, hidden, text.replace(value, hidden)


def wide(each: Sequence[Row]) -> Iterator[Row]:
    """The rows with full-width digits in the value."""
    digits = {ord(str(n)): 0xFF10 + n for n in range(10)}
    for kind, value, text in each:
        yield kind, value.translate(digits), text.replace(value, value.translate(digits))


WAYS: dict[str, Callable[[Sequence[Row]], Iterator[Row]]] = {
    "plain": iter,
    "a megabyte": lambda each: ((k, v, text + " word" * 200_000) for k, v, text in each),
    "split by invisible characters": split,
    "full-width digits": wide,
    "poison before": lambda each: poisoned(each, before=True),
    "poison after": lambda each: poisoned(each, before=False),
}


def outcome(text: str, value: str, findings: object) -> str:
    """ "found", "aside" or "missed": called scanned though a letter of the value was not found."""
    if not isinstance(findings, list):
        assert isinstance(findings, Quarantine)
        return "aside"
    start = text.index(value)
    marked = {i for span in findings for i in range(span.start, span.end)}
    wanted = {i for i in range(start, start + len(value)) if text[i].isalnum()}
    return "found" if wanted <= marked else "missed"


def run(count: int) -> None:
    """Print what became of the rows, by way, and how long the slowest text took."""
    scanner = Scanner(Config())
    scanner.scan(["Load all: ring 020 7946 0958, write to ana@cuvox.de."])
    every = rows(count)
    plain: Counter[str] = Counter()
    print(f"\n{count} rows with one planted value; seconds of processor time")
    for name, way in WAYS.items():
        outcomes: Counter[str] = Counter()
        missed: Counter[str] = Counter()
        slowest = 0.0
        for kind, value, text in way(every):
            findings, seconds = timed(scanner, text)
            slowest = max(slowest, seconds)
            fate = outcome(text, value, findings)
            outcomes[fate] += 1
            plain[kind] += name == "plain" and fate == "found"
            if fate == "missed":
                missed[kind] += 1
        print(
            f"  {name:32} found {outcomes['found']:5}, set aside {outcomes['aside']:5}, "
            f"missed {outcomes['missed']:4}, slowest {slowest:.2f} s {dict(missed) or ''}",
            flush=True,
        )
    print("  recall by type, plain: ", end="")
    totals = Counter(kind for kind, _, _ in every)
    print(", ".join(f"{kind} {plain[kind]}/{n}" for kind, n in sorted(totals.items())))
    _units(scanner)


def timed(scanner: Scanner, text: str, *, output: bool = False) -> tuple[object, float]:
    """What is found in one text and the seconds of processor time it took."""
    begun = time.process_time()
    (findings,) = scanner.scan([text], output=output)
    return findings, time.process_time() - begun


def _units(scanner: Scanner) -> None:
    timings = []
    for unit in UNITS:
        findings, seconds = timed(scanner, (unit * LONGEST)[:LONGEST])
        timings.append((seconds, unit, isinstance(findings, Quarantine)))
    findings, seconds = timed(scanner, json.dumps(["a1"] * (LONGEST // 6)), output=True)
    timings.append((seconds, "JSON of short values", isinstance(findings, Quarantine)))
    over, aside = sum(timing[0] > 5 for timing in timings), sum(timing[2] for timing in timings)
    print(
        f"  {len(timings)} texts of {LONGEST:,} characters of one repeated unit: {aside} set "
        f"aside, {over} took over 5 s; the slowest:"
    )
    for seconds, unit, refused in sorted(timings, reverse=True)[:5]:
        print(f"    {seconds:.2f} s {unit!r}{', set aside' if refused else ''}")
