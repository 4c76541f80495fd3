"""What counts as personal data: the settings of a scan, checked, and the hash that names them.

Pure: no model, no database. `scan_settings` keeps them per project,
`analyzer` and `recognise` search by them. What no setting makes the scan
catch is listed by `detect.limits`.
"""

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from importlib.metadata import version
from typing import Any

import msgspec

from curation.personal import number_grammar
from curation.personal.id_numbers import COUNTRIES
from curation.personal.identity import identity
from storage.errors import BadInput, Unavailable

_VERSION = 1
"""Goes up when `recognise`, `number_grammar` or `id_numbers` change what is found."""
TYPES = (
    "PERSON",
    "LOCATION",
    "STREET_ADDRESS",
    "ORGANIZATION",
    "EMAIL_ADDRESS",
    "PHONE_NUMBER",
    "CREDIT_CARD",
    "IBAN_CODE",
    "US_SSN",
    "IP_ADDRESS",
    "URL",
    "DATE_TIME",
    "DATE_OF_BIRTH",
    "ID_NUMBER",
    "ACCOUNT_NUMBER",
    "ORDER_NUMBER",
    "NRP",
    "AGE",
    "TITLE",
)
"""The types a person can give a finding or a word."""
MAX_ENTRIES = {"known": 500, "deny": 500, "names": 20_000, "context": 200, "patterns": 20}
"""Entries that a list can have."""
LONGEST = 100
"""Characters of one entry."""
LISTS = {
    "known": "Never personal data",
    "deny": "Always personal data",
    "names": "Names of people",
    "context": "Words that stand before a number or a name",
    "patterns": "Account and order numbers",
}
"""What a person reads over each list."""


class Replacement(StrEnum):
    """What stands in the place of accepted personal data."""

    ROW = "row"
    """Numbered placeholders, counted anew in each row."""
    PROJECT = "project"
    """Numbered placeholders, the same one for the same words in the whole project."""
    SURROGATE = "surrogate"
    """Invented names, addresses and numbers, the same one for the same words in the project."""


@dataclass(frozen=True)
class Config:
    """What the scan looks for. Scans with another `sha256` are stale."""

    organization: bool = True
    """Company names: also where the model puts many people and places that it does not know."""
    nationality: bool = False
    """Nationalities, religions, political groups."""
    weekdays: bool = False
    """Also "Friday", which says when only to those who know the week."""
    threshold: float = 0.4
    allow: tuple[str, ...] = ()
    """Literals of the output format (`resolving.vocabulary`): never reported in outputs."""
    addresses: bool = True
    """Street addresses."""
    births: bool = False
    """Dates and years close to a word such as "born", as DATE_OF_BIRTH."""
    countries: tuple[str, ...] = ()
    """Countries whose numbers of people are found where their check digits fit, as ID_NUMBER."""
    known: tuple[str, ...] = ()
    """Literals that are never personal data, in any text."""
    deny: tuple[tuple[str, str], ...] = ()
    """Type and words that are always found, in upper and lower case."""
    names: tuple[str, ...] = ()
    """The project's own names of people."""
    context: tuple[tuple[str, str], ...] = ()
    """Type and words: a number, or for a name type capitalised words, right after them is one."""
    patterns: tuple[tuple[str, str], ...] = ()
    """Type and pattern in the grammar of `number_grammar`."""
    second_model: str = ""
    """A folder of `name_models`: its model is asked too, beside the language model."""

    @cached_property
    def sha256(self) -> str:
        """Names these settings together with the rules, the model and the libraries."""
        digits = [version("python-stdnum")] if self.countries else []
        what = [to_json(self), _VERSION, *identity(self.second_model), *digits]
        return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()


def to_json(config: Config) -> dict[str, object]:
    """The settings as a job or the database keeps them."""
    settings: dict[str, object] = msgspec.to_builtins(config)
    return settings


def from_json(settings: object) -> Config:
    """The settings that `to_json` gave; they were checked before they were kept.

    Raises:
        Unavailable: they are not what this version of Assay keeps.
    """
    try:
        return msgspec.convert(settings, Config)
    except msgspec.ValidationError as error:
        raise Unavailable("The settings of the scan cannot be read: save them anew.") from error


def problems(config: Config) -> list[str]:
    """What is wrong with the settings, one sentence for each entry; empty where all is well."""
    return [*_switches(config), *_lists(config), *_contradictions(config)]


def _switches(config: Config) -> Iterator[str]:
    if not 0.1 <= config.threshold <= 1:
        yield "The minimum score lies between 0.1 and 1."
    for code in config.countries:
        if code not in COUNTRIES:
            yield f"{code!r} is not a country whose numbers are known: {', '.join(COUNTRIES)}."


def _lists(config: Config) -> Iterator[str]:
    for field, title in LISTS.items():
        entries = getattr(config, field)
        limit = MAX_ENTRIES[field]
        if len(entries) > limit:
            yield f"“{title}” has {len(entries):,} entries: {limit:,} is the most."
        for number, entry in enumerate(entries[:limit], 1):
            problem = _CHECKS[field](entry)
            if problem:
                yield f"“{title}”, line {number}: {problem}"


def _phrase_problem(entry: str) -> str:
    if not isinstance(entry, str) or len(entry) > LONGEST:
        return f"an entry is a text of at most {LONGEST} characters."
    if sum(map(str.isalnum, entry)) < 2 or entry != entry.strip():
        return "an entry needs at least two letters or digits."
    return ""


def _typed_problem(entry: tuple[str, str]) -> str:
    kind, phrase = entry
    if kind not in TYPES:
        return f"begin with a type and a colon, such as PERSON: … The types: {', '.join(TYPES)}."
    return _phrase_problem(phrase)


def _pattern_problem(entry: tuple[str, str]) -> str:
    kind, pattern = entry
    if kind not in TYPES:
        return _typed_problem(entry)
    try:
        number_grammar.compiled(pattern)
    except BadInput as error:
        return str(error)
    return ""


_CHECKS: dict[str, Callable[[Any], str]] = {
    "known": _phrase_problem,
    "names": _phrase_problem,
    "deny": _typed_problem,
    "context": _typed_problem,
    "patterns": _pattern_problem,
}


def _contradictions(config: Config) -> Iterator[str]:
    reported = [phrase for _, phrase in config.deny] + list(config.names)
    folded = {phrase.casefold() for phrase in reported}
    for number, phrase in enumerate(config.known, 1):
        if phrase.casefold() in folded:
            yield (
                f"“{LISTS['known']}”, line {number}: the same words stand in a list of what is "
                "always found. Take them out of one of the two."
            )


def lines(text: str) -> tuple[str, ...]:
    """The entries of a list as typed, one a line; empty lines do not count."""
    return tuple(dict.fromkeys(line.strip() for line in text.splitlines() if line.strip()))


def typed_lines(text: str) -> tuple[tuple[str, str], ...]:
    """Entries such as `ORGANIZATION: Acme, Bolt Ltd`; commas part the words, not in a pattern."""
    entries: list[tuple[str, str]] = []
    for line in lines(text):
        kind, _, after = line.partition(":")
        phrases = [after] if '"' in after or "{" in after else after.split(",")
        entries += [(kind.strip().upper(), phrase.strip()) for phrase in phrases]
    return tuple(entries)


def as_lines(entries: tuple[str, ...] | tuple[tuple[str, str], ...]) -> str:
    """The same entries as a person types them."""
    return "\n".join(entry if isinstance(entry, str) else ": ".join(entry) for entry in entries)
