"""`python -m curation duplicates`: near-duplicates in a file, found exactly; no database needed."""

import time
from collections.abc import Iterator
from enum import StrEnum
from json.encoder import encode_basestring
from pathlib import Path
from typing import Annotated

import typer

from curation.exchange.reading import jsonl
from storage import lazily
from storage.errors import BadInput

app = lazily.part()


class Shingle(StrEnum):
    """What rows are cut into to be compared."""

    WORD3 = "word3"
    CHAR5 = "char5"


class SearchMethod(StrEnum):
    """How pairs are looked for."""

    EXACT = "exact"
    MINHASH = "minhash"


MINIMUM = {SearchMethod.EXACT: 0.5, SearchMethod.MINHASH: 0.8}
"""The lowest threshold of each."""


@app.command()
def duplicates(
    source: Annotated[Path, typer.Argument(metavar="IN.jsonl")],
    out: Annotated[Path, typer.Option(metavar="PAIRS.jsonl", help="Where the pairs go.")],
    threshold: Annotated[float, typer.Option(help="Report pairs from here on, 0.5 to 1.")] = 0.8,
    shingle: Annotated[
        Shingle, typer.Option(help="Compare runs of three words or of five characters.")
    ] = Shingle.WORD3,
    method: Annotated[
        SearchMethod,
        typer.Option(help="exact misses no pair; minhash is the usual way, slower, from 0.8 on."),
    ] = SearchMethod.EXACT,
    groups: Annotated[
        Path | None,
        typer.Option(metavar="GROUPS.jsonl", help="Also write rows that hang together by pairs."),
    ] = None,
) -> None:
    """Find every pair of rows that share most of their words, exactly.

    IN.jsonl has {"id", "prompt", "response"} on each line. PAIRS.jsonl gets {"a", "b",
    "similarity"}: each pair once, a before b as in IN.jsonl, in no special order. GROUPS.jsonl gets
    {"ids"} for rows that hang together by pairs.

    A row is its lower-cased prompt, a line break and its response. word3 cuts it into the runs of
    three of re.findall(r"\\w+", row), char5 into each five characters of " ".join(row.split()):
    for short rows and for scripts without blanks. What is shorter is one run. The similarity is the
    exact Jaccard of the two sets of runs. A row without any word (char5: an empty row) is like no
    other. The same thing said in other words is not found.
    """
    with lazily.refusing():
        _find(source, out, threshold, shingle, method, groups)


def _find(
    source: Path,
    out: Path,
    threshold: float,
    shingle: Shingle,
    method: SearchMethod,
    groups: Path | None,
) -> None:
    begun = time.perf_counter()
    _check(source, out, threshold, method, groups)
    from curation.overlap.near import jaccard_join, shingles

    search = jaccard_join.pairs
    if method is SearchMethod.MINHASH:
        from curation.overlap.near import minhash

        search = minhash.pairs
    cut = {Shingle.WORD3: shingles.terms, Shingle.CHAR5: shingles.characters}[shingle]
    keys: dict[str, None] = {}
    sets = jaccard_join.sets(cut(_texts(source, keys, shingle)), threshold)
    ids = list(keys)
    together = jaccard_join.Together(sets)
    count = 0
    with jsonl.replacing(out) as file:
        for a, b, similarity in jaccard_join.row_pairs(sets, threshold, together, search):
            file.write(f'{{"a": {ids[a]}, "b": {ids[b]}, "similarity": {similarity}}}\n')
            count += 1
    if groups is not None:
        with jsonl.replacing(groups) as file:
            for rows in together.groups():
                file.write(f'{{"ids": [{", ".join(ids[row] for row in rows)}]}}\n')
    took = time.perf_counter() - begun
    summary = f"{len(ids):,} rows, {count:,} pairs in {took:.2f} s ({len(ids) / took:,.0f} rows/s)."
    typer.echo(summary, err=True)


def _check(
    source: Path, out: Path, threshold: float, method: SearchMethod, groups: Path | None
) -> None:
    minimum = MINIMUM[method]
    if not minimum <= threshold <= 1:
        raise BadInput(f"A threshold of {threshold} cannot be used: give {minimum} to 1.")
    files = [path.resolve() for path in (source, out, groups) if path is not None]
    if len(set(files)) < len(files):
        raise BadInput("Two of the files are the same: give each a path of its own.")


def _texts(source: Path, keys: dict[str, None], shingle: Shingle) -> Iterator[str]:
    """The words to compare of each row; its id goes into `keys`, as it is written in JSON."""
    for where, row in jsonl.objects(source):
        value = jsonl.identity(row, where)
        key = str(value) if isinstance(value, int) else encode_basestring(value)
        if key in keys:
            raise BadInput(f"{where} has an id that stands further up: give each row its own.")
        keys[key] = None
        prompt, response = jsonl.text(row, "prompt", where), jsonl.text(row, "response", where)
        text = f"{prompt}\n{response}".lower()
        yield text if shingle is Shingle.WORD3 else " ".join(text.split())
