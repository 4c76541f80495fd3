"""Numbers of people and their papers, by country: found by shape, kept where the check digits fit.

Check digits follow python-stdnum. A tenth or so of all numbers of the right length fit by chance,
and a number with a typing error is not found.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module

_DIGITS = r"(?<![^\W_])\d(?:[ .\-/]?\d){8,14}(?![^\W_])"
_JOINED = r"(?<!\d)\d{9,15}(?!\d)"


@dataclass(frozen=True, slots=True)
class _Number:
    """One kind of number: the module of stdnum that checks it, and how it is written."""

    module: str
    shapes: tuple[str, ...]
    lengths: frozenset[int] = frozenset()
    """How many digits a number has; empty where the shape says it."""


@dataclass(frozen=True, slots=True)
class Country:
    """What a country's numbers are called on screen, a valid example, and how they are written."""

    label: str
    example: str
    numbers: tuple[_Number, ...]


def _digits(module: str, length: int) -> tuple[_Number, ...]:
    """A number of so many digits, with or without marks between them."""
    return (_Number(module, (_DIGITS, _JOINED), frozenset({length})),)


def _shaped(module: str, shape: str) -> _Number:
    return _Number(module, (rf"(?<![^\W_]){shape}(?![^\W_])",))


COUNTRIES = {
    "BE": Country("Belgium: national number", "93.05.18-223.61", _digits("stdnum.be.nn", 11)),
    "BR": Country("Brazil: CPF", "390.533.447-05", _digits("stdnum.br.cpf", 11)),
    "CA": Country("Canada: SIN", "123-456-782", _digits("stdnum.ca.sin", 9)),
    "CH": Country("Switzerland: AHV number", "756.9217.0769.85", _digits("stdnum.ch.ssn", 13)),
    "DE": Country("Germany: tax number (IdNr)", "36 574 261 809", _digits("stdnum.de.idnr", 11)),
    "ES": Country(
        "Spain: DNI and NIE",
        "54362315K",
        (
            _shaped("stdnum.es.dni", r"\d{8}[ -]?[A-Za-z]"),
            _shaped("stdnum.es.nie", r"[XYZxyz][ -]?\d{7}[ -]?[A-Za-z]"),
        ),
    ),
    "FI": Country(
        "Finland: HETU",
        "131052-308T",
        (_shaped("stdnum.fi.hetu", r"\d{6}[-+A-FU-Y]\d{3}[0-9A-Y]"),),
    ),
    "FR": Country(
        "France: NIR",
        "2 95 10 99 126 111 93",
        (_shaped("stdnum.fr.nir", r"[12] ?\d\d ?\d\d ?\d[\dAB] ?\d{3} ?\d{3} ?\d\d"),),
    ),
    "GB": Country("United Kingdom: NHS number", "943 476 5870", _digits("stdnum.gb.nhs", 10)),
    "IN": Country("India: Aadhaar", "2341 2341 2346", _digits("stdnum.in_.aadhaar", 12)),
    "IT": Country(
        "Italy: codice fiscale",
        "RCCMNL83S18D969H",
        (
            _shaped(
                "stdnum.it.codicefiscale",
                r"[A-Za-z]{6} ?\d\d[A-Za-z]\d\d ?[A-Za-z]\d{3}[A-Za-z]",
            ),
        ),
    ),
    "NL": Country("Netherlands: BSN", "1112.22.333", _digits("stdnum.nl.bsn", 9)),
    "PL": Country("Poland: PESEL", "44051401359", _digits("stdnum.pl.pesel", 11)),
    "SE": Country(
        "Sweden: personnummer",
        "880320-0016",
        (_shaped("stdnum.se.personnummer", r"(?:\d\d)?\d{6}[-+ ]?\d{4}"),),
    ),
}
"""The one list of countries, by ISO 3166 code: the settings, the page and the tests read it."""


def places(text: str, countries: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Where numbers of these countries stand, as start and end; a place may come twice."""
    for kind in (kind for country in countries for kind in COUNTRIES[country].numbers):
        fits = _check(kind.module)
        for match in (m for shape in kind.shapes for m in _regex(shape).finditer(text)):
            digits = re.sub(r"[ .\-/]", "", match[0]) if kind.lengths else match[0]
            if (not kind.lengths or len(digits) in kind.lengths) and fits(digits):
                yield match.span()


@cache
def _regex(shape: str) -> re.Pattern[str]:
    return re.compile(shape, re.ASCII)


@cache
def _check(module: str) -> Callable[[str], bool]:
    check: Callable[[str], bool] = import_module(module).is_valid
    return check
