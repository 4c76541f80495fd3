"""`python -m curation scan`: personal data in the rows of a file; no database needed."""

import json
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from curation.exchange.reading import jsonl
from storage import lazily, settings, systems
from storage.errors import BadInput

if TYPE_CHECKING:
    from curation.personal.detect import Quarantine, Span
    from curation.personal.pii import Config

T = TypeVar("T")

app = lazily.part()

ENOUGH = 300_000
"""Characters to scan from which on a second process is worth its start."""


@app.command()
def scan(
    source: Annotated[Path, typer.Argument(metavar="IN.jsonl")],
    out: Annotated[Path, typer.Option(metavar="FINDINGS.jsonl", help="Where the findings go.")],
    processes: Annotated[
        int, typer.Option(min=0, help="Processes; 0 takes two where there are cores and rows.")
    ] = 0,
    cache: Annotated[
        Path | None,
        typer.Option(metavar="PATH", help="Remembers scans; scan_cache.db in the data folder."),
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Neither use nor fill the cache.")] = False,
    second_model: Annotated[
        str, typer.Option(metavar="NAME", help="Asks a model of scanner-models for names too.")
    ] = "",
) -> None:
    """Find personal data in texts.

    IN.jsonl has {"id", "text"} on each line. FINDINGS.jsonl gets {"id", "start", "end", "type",
    "score"} for each finding, in the order of the rows: characters of the text, end exclusive. A
    row that could not be read whole is one line {"id", "quarantined": reason}: it is not clean. A
    row without a line is one in which nothing was found.

    Types: PERSON, TITLE, AGE, NRP (nationality, religion, politics), LOCATION, STREET_ADDRESS,
    ORGANIZATION, DATE_TIME, EMAIL_ADDRESS, PHONE_NUMBER, URL, IP_ADDRESS, CREDIT_CARD, IBAN_CODE,
    US_SSN, ID_NUMBER. Dates that only say how long ago, such as "yesterday", are none.

    A rescan of rows that did not change costs next to nothing: the cache knows them by a hash of
    text and configuration. It holds hashes, places and types, never a text.

    It reads English. What it does not find: see docs/personal-data-scan.md.
    """
    with lazily.refusing():
        _scan(source, out, processes, None if fresh else cache or _usual(), second_model)


def _usual() -> Path:
    return settings.current().data / "scan_cache.db"


def _scan(source: Path, out: Path, processes: int, cache: Path | None, second_model: str) -> None:
    begun = time.perf_counter()
    if source.resolve() == out.resolve():
        raise BadInput("Two of the files are the same: give each a path of its own.")
    texts = _texts(source)
    findings: dict[str, list[Span] | Quarantine] = {}
    cached = 0
    if texts:
        from curation.personal.pii import Config

        config = Config(nationality=True, weekdays=True, second_model=second_model)
        findings, cached = _scanned(texts.values(), config, processes, cache)
    with jsonl.replacing(out) as file:
        for name, text in texts.items():
            file.writelines(_lines(name, findings[text]))
    by_row = [findings[text] for text in texts.values()]
    count = sum(len(spans) for spans in by_row if isinstance(spans, list))
    aside = sum(not isinstance(spans, list) for spans in by_row)
    took = time.perf_counter() - begun
    typer.echo(
        f"{len(texts):,} rows ({cached:,} known), {count:,} findings, {aside:,} set aside "
        f"in {took:.2f} s ({len(texts) / took:,.0f} rows/s).",
        err=True,
    )


def _texts(source: Path) -> dict[str, str]:
    """The text of each row by its id as JSON."""
    texts: dict[str, str] = {}
    for where, row in jsonl.objects(source):
        key = json.dumps(jsonl.identity(row, where), ensure_ascii=False)
        if key in texts:
            raise BadInput(f"{where} has an id that stands further up: give each row its own.")
        texts[key] = jsonl.text(row, "text", where)
    return texts


def _scanned(
    texts: Iterable[str], config: "Config", processes: int, cache: Path | None
) -> "tuple[dict[str, list[Span] | Quarantine], int]":
    """The findings in each text, scanned once however often it stands there; how many the cache
    had.
    """
    from curation.personal import scan_cache, scanning

    by_hash = {scan_cache.key(config.sha256, text): text for text in texts}
    old = scan_cache.lookup(cache, list(by_hash)) if cache else {}
    findings: dict[str, list[Span] | Quarantine] = {
        by_hash[sha256]: spans for sha256, spans in old.items()
    }
    new = {sha256: text for sha256, text in by_hash.items() if sha256 not in old}
    if not new:
        return findings, len(old)
    with scanning.scanners(config, processes or _processes(new.values())) as each:
        scanned = list(_with_progress(each(list(new.values())), len(new)))
    findings.update(zip(new.values(), scanned, strict=True))
    if cache:
        clean = dict(zip(new, scanned, strict=True))
        scan_cache.remember(cache, {h: s for h, s in clean.items() if isinstance(s, list)})
    return findings, len(old)


def _processes(texts: Iterable[str]) -> int:
    return min(2, systems.cores()) if sum(map(len, texts)) >= ENOUGH else 1


def _with_progress(each: Iterable[T], total: int) -> Iterable[T]:
    """With a progress bar on a terminal."""
    if not sys.stderr.isatty():
        return each
    from rich.console import Console
    from rich.progress import track

    return track(each, "Scanning", total=total, console=Console(stderr=True))


def _lines(name: str, findings: "list[Span] | Quarantine") -> list[str]:
    """The lines of one row; `name` is its id as JSON."""
    if isinstance(findings, list):
        return [
            f'{{"id": {name}, "start": {span.start}, "end": {span.end}, '
            f'"type": "{span.type}", "score": {round(span.score, 3)}}}\n'
            for span in findings
        ]
    return [f'{{"id": {name}, "quarantined": {json.dumps(findings.reason)}}}\n']
