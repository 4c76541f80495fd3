"""Make the page "How Assay is tested" from what the numbered tests and benchmarks counted.

`ASSAY_REPORTS=reports make test` leaves a record of each numbered test in `reports/`; the long runs
that are benchmarks write theirs with `--json reports/T01-reviewers.json` and the like: the number,
then the benchmark's name. `python -m benchmarks.tested reports` writes `docs/tested.md` from them.
"""

import argparse
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from storage.settings import ROOT

PAGE = ROOT / "docs" / "tested.md"
TESTS: Mapping[str, str] = {
    "T01": "Several reviewers at once on a real server, presses sent twice, connections lost: no "
    "decision is lost, none is doubled, no card is shown to two people under one claim.",
    "T02": "Two people, every order of taking a card, deciding, expiry, handing on and undoing: "
    "one holder at most, and one decision for each that was answered.",
    "T03": "Processes that claim the same pairs at once: none is given to two.",
    "T04": "The server is killed with SIGKILL while people decide: each decision that was answered "
    "is in the database, and the database is whole.",
    "T05": "Eleven saving pages are interrupted where Streamlit may do so, and pressed again: "
    "nothing is half saved, and nothing twice.",
    "T06": "Two people, two tabs, an expired claim: nobody overwrites what they did not see, and "
    "no words are dropped.",
    "T07": "Watched from outside with strace: an answer leaves after the log of the database was "
    "written and synced.",
    "T08": "Each write, sync, rename and open fails in turn, with a full disk, a broken one and a "
    "forbidden folder: the old state or the new one, and a sentence.",
    "T09": "The disk is full: what was answered stays readable, and work goes on once there is "
    "room.",
    "T10": "Backups while people decide: each one is whole and can be restored.",
    "T11": "Every upgrade of the database from each earlier schema, stopped at each statement: no "
    "row is lost, no half schema stays.",
    "T12": "A machine on which work could be lost is refused at the start, with a reason.",
    "T15": "Files that grow when they are read are refused within limits of memory and time.",
    "T16": "Personal data behind texts made to exhaust a scanner: found, or the pair is set aside; "
    "never called clean.",
    "T17": "Requests without sign-in: uploads, sockets and slow bodies take nothing from others.",
    "T20": "Names made to leave the data folder, at each place that takes one: no file outside.",
    "T26": "Models and adapters made to run code or to exhaust memory: refused before they load.",
    "T27": "Markers typed into the product are in no log, message, temporary file or event.",
}
"""What each number stands for."""


class Record(msgspec.Struct):
    """What one test or benchmark counted."""

    id: str
    source: str
    counts: dict[str, float]


@dataclass(frozen=True, slots=True)
class Line:
    """A record as the page shows it."""

    source: str
    figures: str


def main() -> None:
    """Read the records and write the page."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("folder", type=Path)
    given = asked.parse_args()
    PAGE.write_text(page(records(given.folder)), "utf-8")
    print(f"Written {PAGE.relative_to(ROOT)}.")


def records(folder: Path) -> list[Record]:
    """The records of a folder in order of their numbers; cases of one test are added up."""
    added: dict[tuple[str, str], Record] = {}
    for record in _read(folder):
        test, _, case = record.source.partition("[")
        counts = {"cases": 1.0, **record.counts} if case else record.counts
        known = added.setdefault((record.id, test), Record(record.id, test, {}))
        for name, count in counts.items():
            known.counts[name] = known.counts.get(name, 0) + count
    return list(added.values())


def _read(folder: Path) -> Iterator[Record]:
    for path in sorted(folder.glob("T[0-9][0-9]-*.json")):
        read = msgspec.json.decode(path.read_bytes())
        number, _, name = path.stem.partition("-")
        if "counts" in read:
            yield msgspec.convert(read, Record)
        else:
            yield Record(number, f"benchmarks.{name.split('-')[0]}", _numbers(read))


def _numbers(read: Mapping[str, object]) -> dict[str, float]:
    return {name: value for name, value in read.items() if isinstance(value, int | float)}


def page(found: list[Record]) -> str:
    """The page as Markdown; each number that nothing was counted for says so."""
    parts = [_HEAD]
    for number, purpose in TESTS.items():
        parts.append(f"## {number}\n\n{purpose}\n")
        lines = [_line(record) for record in found if record.id == number]
        if not lines:
            parts.append("Nothing was counted in the run that this page was made from.\n")
            continue
        parts.append("| where | counted |\n| --- | --- |")
        parts += [f"| `{line.source}` | {line.figures} |" for line in lines]
        parts.append("")
    return "\n".join(parts)


def _line(record: Record) -> Line:
    figures = ", ".join(
        f"{re.sub('_', ' ', name)} {value:,.10g}" for name, value in record.counts.items()
    )
    return Line(record.source, figures)


_HEAD = """# How Assay is tested

What people trust Assay with is their words and their verdicts. This page lists the tests that try
to lose, double, leak or spoil them, and what they counted when this page was made. They run against
real SQLite files and, where a line says so, real servers and processes. Where a guard could be
taken out of the code, most were seen to fail without it. `make test` runs all but the benchmarks,
which do the same for longer.

Make the page anew with

```
ASSAY_REPORTS=reports make test
python -m benchmarks.tested reports
```

What is not tested: loss of power (what the operating system was asked to sync is, see T07), failing
memory, and file systems other than those of one Linux machine.
"""


if __name__ == "__main__":
    main()
