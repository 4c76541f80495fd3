"""Numbers of people and their papers, by country: found by shape, kept where the check digits fit.

Check digits follow python-stdnum. A tenth or so of all numbers of the right length fit by chance,
and a number with a typing error is not found.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module

COUNTRIES = {
    "BE": "Belgium: national number",
    "BR": "Brazil: CPF",
    "CA": "Canada: SIN",
    "CH": "Switzerland: AHV number",
    "DE": "Germany: tax number (IdNr)",
    "ES": "Spain: DNI and NIE",
    "FI": "Finland: HETU",
    "FR": "France: NIR",
    "GB": "United Kingdom: NHS number",
    "IN": "India: Aadhaar",
    "IT": "Italy: codice fiscale",
    "NL": "Netherlands: BSN",
    "PL": "Poland: PESEL",
    "SE": "Sweden: personnummer",
}
"""What each country's number is called; the keys are ISO 3166 codes."""

_DIGITS = r"(?<![^\W_])\d(?:[ .\-/]?\d){8,14}(?![^\W_])"
_JOINED = r"(?<!\d)\d{9,15}(?!\d)"


@dataclass(frozen=True, slots=True)
class _Kind:
    module: str
    shapes: tuple[str, ...]
    lengths: frozenset[int] = frozenset()
    """How many digits a number has; empty where the shape says it."""


_KINDS: dict[str, tuple[_Kind, ...]] = {
    "BE": (_Kind("stdnum.be.nn", (_DIGITS, _JOINED), frozenset({11})),),
    "BR": (_Kind("stdnum.br.cpf", (_DIGITS, _JOINED), frozenset({11})),),
    "CA": (_Kind("stdnum.ca.sin", (_DIGITS, _JOINED), frozenset({9})),),
    "CH": (_Kind("stdnum.ch.ssn", (_DIGITS, _JOINED), frozenset({13})),),
    "DE": (_Kind("stdnum.de.idnr", (_DIGITS, _JOINED), frozenset({11})),),
    "ES": (
        _Kind("stdnum.es.dni", (r"(?<![^\W_])\d{8}[ -]?[A-Za-z](?![^\W_])",)),
        _Kind("stdnum.es.nie", (r"(?<![^\W_])[XYZxyz][ -]?\d{7}[ -]?[A-Za-z](?![^\W_])",)),
    ),
    "FI": (_Kind("stdnum.fi.hetu", (r"(?<![^\W_])\d{6}[-+A-FU-Y]\d{3}[0-9A-Y](?![^\W_])",)),),
    "FR": (
        _Kind(
            "stdnum.fr.nir",
            (r"(?<![^\W_])[12] ?\d\d ?\d\d ?\d[\dAB] ?\d{3} ?\d{3} ?\d\d(?![^\W_])",),
        ),
    ),
    "GB": (_Kind("stdnum.gb.nhs", (_DIGITS, _JOINED), frozenset({10})),),
    "IN": (_Kind("stdnum.in_.aadhaar", (_DIGITS, _JOINED), frozenset({12})),),
    "IT": (
        _Kind(
            "stdnum.it.codicefiscale",
            (r"(?<![^\W_])[A-Za-z]{6} ?\d\d[A-Za-z]\d\d ?[A-Za-z]\d{3}[A-Za-z](?![^\W_])",),
        ),
    ),
    "NL": (_Kind("stdnum.nl.bsn", (_DIGITS, _JOINED), frozenset({9})),),
    "PL": (_Kind("stdnum.pl.pesel", (_DIGITS, _JOINED), frozenset({11})),),
    "SE": (_Kind("stdnum.se.personnummer", (r"(?<![^\W_])(?:\d\d)?\d{6}[-+ ]?\d{4}(?![^\W_])",)),),
}


def places(text: str, countries: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Where numbers of these countries stand, as start and end; a place may come twice."""
    for kind in (kind for country in countries for kind in _KINDS[country]):
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
