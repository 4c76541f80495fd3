"""What pages, presses and commands cost as a project grows.

`python -m benchmarks.growth --sizes 1000,10000,100000 --json FILE` builds a project of each size by
the product's own verbs, opens every page as a lead, presses what experts press and runs what leads
run. It writes a list of records (kind, name, size, cpu_s, wall_s, statements, rows, peak_mb) and
prints them as a table with the exponent of growth between the smallest and the largest size: 0 does
not grow, 1 grows as the pairs do. With `--folder`, projects that are there already are measured.

Pages are drawn in this process without a browser, as the server does it; each is drawn once before
it is measured, so what is kept for all people is there.
"""

import argparse
import json
import logging
import math
import multiprocessing
import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from uuid import uuid4

import msgspec
from rich.console import Console
from rich.table import Table
from sqlalchemy import Engine, select

from benchmarks import grown
from benchmarks.measuring import Cost, Meter
from curation.gate import audit
from curation.overlap import overlaps
from curation.personal import scrub
from curation.review import claims, decisions
from curation.review.ops import Op
from curation.versions import packages, verification
from storage import events, migrate, pairs
from storage.engine import open_engine, reading, writing
from storage.tables import FindingRow
from storage.types import Action, FindingState, LinkKind, Role, Split, User
from tests.support import stories
from training import reports

SIZES = (1_000, 10_000, 100_000)
_FEW = 0.35
"""The share of pairs that is decided where only pages are measured: they count them all."""
_WIDTH = 170
"""Characters of a line of the table."""
_ROUNDS = 5
"""Presses of a kind; the costliest of them counts."""


def main() -> None:
    """Measure each size in a process of its own, write the records and print the table."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--sizes", default=",".join(map(str, SIZES)))
    asked.add_argument("--json", type=Path, help="where the records go")
    asked.add_argument("--folder", type=Path, help="where the projects are, or are built")
    asked.add_argument(
        "--pages-only",
        action="store_true",
        help="leave presses and commands out, and decide fewer pairs",
    )
    given = asked.parse_args()
    costs = []
    with tempfile.TemporaryDirectory() as scratch:
        for size in map(int, given.sizes.split(",")):
            costs += alone(size, given.folder, Path(scratch), pages_only=given.pages_only)
    if given.json:
        given.json.write_text(json.dumps(msgspec.to_builtins(costs), indent=1) + "\n", "utf-8")
    Console(width=_WIDTH).print(table(costs))


def alone(size: int, folder: Path | None, scratch: Path, *, pages_only: bool = False) -> list[Cost]:
    """Measure one size in a process of its own, which starts without anyone's memory."""
    records = scratch / f"{size}.json"
    child = multiprocessing.get_context("spawn").Process(
        target=_measure, args=(size, folder, scratch / str(size), records, pages_only)
    )
    child.start()
    child.join()
    if child.exitcode:
        raise SystemExit(f"Measuring {size} pairs ended with status {child.exitcode}.")
    return msgspec.json.decode(records.read_bytes(), type=list[Cost])


def _measure(size: int, folder: Path | None, data: Path, records: Path, pages_only: bool) -> None:
    os.environ["ASSAY_DATA"] = str(data)
    built = None if folder is None else folder / str(size) / "assay.db"
    meter = Meter(size)
    data.mkdir(parents=True, exist_ok=True)
    if built is not None and built.exists():
        shutil.copy(built, data / "assay.db")
    engine = open_engine(data / "assay.db")
    meter.watch(engine)
    migrate.upgrade(engine)
    if built is None or not built.exists():
        grown.build(engine, size, meter, _FEW if pages_only else grown.DECIDED)
        if built is not None:
            engine.dispose()
            built.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(data / "assay.db", built)
    for report in reports.REPORTS:  # of the project and of its version, which both have the id 1
        with meter.measured("command", f"report: {report.name}"):
            reports.work(engine, report.name, 1)
    engine.dispose()
    pages(meter)
    if not pages_only:
        presses(engine, meter)
        commands(engine, meter, data)
    records.write_bytes(msgspec.json.encode(meter.costs))


def pages(meter: Meter) -> None:
    """Draw every page twice, each time as a new session of a lead; the second is measured."""
    from streamlit.components.v2 import manifest_scanner

    from pages.frame import identity, shell, wiring
    from pages.frame.security import cookie_name
    from tests.support import ui

    logging.getLogger("streamlit").setLevel(logging.ERROR)  # it misses a browser
    identity.cookies, manifest_scanner.scan_component_manifests = ui.jar, ui.installed
    engine = wiring.engine()
    engine.dispose()
    meter.watch(engine)
    lead = stories.person(engine, grown.LEAD)
    profile = {cookie_name("profile"): str(lead.id)}
    for place in shell.PLACES:
        if place is shell.SIGN_IN or not place.roles & lead.roles:
            continue
        for name in (f"{place.title}, first", place.title):
            with meter.measured("page", name):
                page = ui.landed(place.path, profile)
            if page.exception:
                raise SystemExit(f"{place.title} fails: {page.exception[0].message}")
    engine.dispose()


def presses(engine: Engine, meter: Meter) -> None:
    """What an expert presses hundreds of times a day."""
    ana, second = (stories.person(engine, name, Role.REVIEWER) for name in (grown.REVIEWER, "Ben"))
    lead = stories.person(engine, grown.LEAD)
    with writing(engine) as session:
        claims.lease(session, ana, 1, limit=20)
        audit.draw(session, lead, 1, 60)
    for _ in range(_ROUNDS):
        _decide(engine, meter, ana)
        _judge(engine, meter, second)
    _scrub(engine, meter, second)
    _duplicates(engine, meter, lead)


def _press(
    engine: Engine, meter: Meter, name: str, verb: Callable[..., object], *args: object
) -> None:
    with meter.measured("press", name), writing(engine) as session:
        verb(session, *args)


def _decide(engine: Engine, meter: Meter, ana: User) -> None:
    with writing(engine) as session:
        card = claims.lease(session, ana, 1)[0]
    op = Op(str(uuid4()), card.pair.id, card.pair.version, card.fence, Action.APPROVE)
    _press(engine, meter, "approve", decisions.decide, ana, op)
    with meter.measured("press", "next card"), writing(engine) as session:
        assert claims.lease(session, ana, 1, loaded=[card.pair.id], limit=20)
    undo = Op(str(uuid4()), op.row, op.version, op.fence, Action.UNDO, target=op.op)
    _press(engine, meter, "undo", decisions.decide, ana, undo)


def _judge(engine: Engine, meter: Meter, second: User) -> None:
    with meter.measured("press", "next pair of the audit"), writing(engine) as session:
        pair = audit.next_row(session, second, 1)
    assert pair is not None
    with meter.measured("press", "audit verdict"), writing(engine) as session:
        audit.judge(session, second, pair.id, pair.version, good=True)


def _scrub(engine: Engine, meter: Meter, second: User) -> None:
    with reading(engine) as session:
        query = select(FindingRow.id).where(FindingRow.state == FindingState.OPEN).limit(_ROUNDS)
        ids = list(session.scalars(query))
    for finding in ids:
        _press(
            engine, meter, "scrub one finding", scrub.decide, second, finding, FindingState.ACCEPTED
        )


def _duplicates(engine: Engine, meter: Meter, lead: User) -> None:
    with reading(engine) as session:
        links = overlaps.current(session, 1, [LinkKind.NEAR, LinkKind.EXACT])[:_ROUNDS]
        shown = [(link.a, pairs.get(session, link.b)) for link in links]
    for best, other in shown:
        if not other.held_out:
            reason = decisions.Reason.DUPLICATE
            others = {other.id: other.version}
            _press(engine, meter, "keep one of two", overlaps.keep, lead, best, others, reason)


def commands(engine: Engine, meter: Meter, data: Path) -> None:
    """What a lead asks for and waits for, besides what the building measured."""
    with meter.measured("command", "import of 10 more"):
        grown.add(engine, 10)
    grown.sweep(engine, meter, "sweep after 10 more")
    with reading(engine) as session:
        with meter.measured("command", "verify the chain"):
            events.verify(session)
        with meter.measured("command", "verify versions"):
            verification.everything(session)
        with meter.measured("command", "export of a version"):
            package = packages.build(session, 1, "chat", (Split.TRAIN,))
            packages.write(package, data, zipped=False)


def worst(costs: Sequence[Cost]) -> list[Cost]:
    """Of several of one name and size the one that took the most processor time."""
    best: dict[tuple[str, str, int], Cost] = {}
    for cost in costs:
        key = (cost.kind, cost.name, cost.size)
        if key not in best or best[key].cpu_s < cost.cpu_s:
            best[key] = cost
    return list(best.values())


def table(costs: Sequence[Cost]) -> Table:
    """A line for each name: seconds, statements and rows at each size, and how they grow."""
    sizes = sorted({cost.size for cost in costs})
    by_name: dict[tuple[str, str], dict[int, Cost]] = {}
    for cost in worst(costs):
        by_name.setdefault((cost.kind, cost.name), {})[cost.size] = cost
    drawn = Table("", "", title="CPU seconds · statements · rows fetched · peak MB")
    for size in sizes:
        drawn.add_column(f"{size:,} pairs", justify="right")
    drawn.add_column("exponent", justify="right")
    for (kind, name), by_size in by_name.items():
        cells = [_cell(by_size.get(size)) for size in sizes]
        drawn.add_row(kind, name, *cells, _exponent(by_size))
    return drawn


def _cell(cost: Cost | None) -> str:
    if cost is None:
        return ""
    return f"{cost.cpu_s:.3f} · {cost.statements} · {cost.rows} · {cost.peak_mb:.0f}"


def _exponent(by_size: dict[int, Cost]) -> str:
    small, large = by_size[min(by_size)], by_size[max(by_size)]
    if small.size == large.size:
        return ""
    cpu = max(large.cpu_s, 0.001) / max(small.cpu_s, 0.001)
    return f"{math.log(cpu) / math.log(large.size / small.size):.2f}"


if __name__ == "__main__":
    main()
