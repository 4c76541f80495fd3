"""How near the Launch page's estimates come: probe, then run, then compare, on the sample project.

    python -m benchmarks.estimates [--rounds 2] [--steps 24] [--batches 2 8]

Each round tries two settings of the packaged model (rows in twos and in eights): a probe, right
after it the run of so many steps with one validation pass, as from the page. Printed are estimate,
what happened, and how far it was off, for time and for the peak of memory. The machine should do
nothing else: an estimate cannot know what other work will take. Some 4 minutes a round on 2 idle
cores.
"""

import argparse
import os
import statistics
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import Engine

from curation.gate import readiness
from curation.overlap import overlaps
from curation.project import sample
from curation.versions import archive, freezing
from storage import console, people
from storage.engine import reading, writing
from storage.settings import ROOT
from storage.types import Role, User, Version
from training import asks
from training.commands import demo
from training.commands.following import wait
from training.launch import estimates, runs
from training.launch.estimates import Against
from training.settings import SMALL_BASE, Lora
from training.work import machine

_TOLERANCE = 0.25


def _project(engine: Engine) -> tuple[User, Version]:
    """The sample project, cleaned by its list of planted faults and frozen; the gate is waived."""
    with writing(engine) as session:
        lead = people.join(session, "Benchmark", frozenset(Role))
        project = sample.begin(session, lead, reviewed=True)
    with writing(engine) as session:
        demo._reject_bad(session, lead, project, demo._planted())
    with writing(engine) as session:
        overlaps.sweep(session, lead, project.id)
        demo._settle(session, lead, project)
    with writing(engine) as session:
        overlaps.sweep(session, lead, project.id)
        version = freezing.freeze(session, lead, project.id, seed=7)
    until = datetime.now(UTC).date() + timedelta(days=1)
    with writing(engine) as session:
        for one in readiness.unmet(readiness.report(session, project.id)):
            readiness.waive(session, lead, project.id, one.key, "A benchmark.", until)
    return lead, version


def _round(engine: Engine, lead: User, version: Version, settings: Lora, name: str) -> Against:
    wish = runs.RunPlan(version.id, name, settings=settings)
    with writing(engine) as session:
        probe = asks.probe(session, lead, wish)
    wait(probe, quiet=True)
    with writing(engine) as session:
        run = asks.launch(session, lead, wish)
    found = estimates.against(wait(run, quiet=True))
    if found is None:
        raise SystemExit("The run has no estimate; the probe was of something else.")
    return found


def main() -> None:
    """Print a line a run, then how many were within the tolerance."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--steps", type=int, default=24, help="of two rows; fewer of more")
    parser.add_argument("--batches", type=int, nargs="+", default=[2, 8])
    given = parser.parse_args()
    models = os.environ.get("ASSAY_TEST_MODELS")
    with tempfile.TemporaryDirectory(prefix="assay-estimates-") as folder:
        os.environ["ASSAY_DATA"] = folder
        kept = Path(models) / "models" if models else ROOT / "data" / "models"
        if kept.is_dir():
            (Path(folder) / "models").symlink_to(kept)
        engine = console.engine(upgrade=True)
        lead, version = _project(engine)
        with reading(engine) as session:
            print(f"rows {archive.get(session, version.id).counts}")
        names = ", ".join(one.name for one in machine.accelerators()) or "none"
        print(f"cores {os.cpu_count()}, accelerators {names}, steps a run {given.steps}")
        print(
            f"{'run':14} {'estimate s':>10} {'took s':>8} {'off':>7} "
            f"{'estimate MB':>12} {'peak MB':>8} {'off':>7}"
        )
        found: list[Against] = []
        for i in range(given.rounds):
            for batch in given.batches:
                settings = Lora.from_dict(
                    SMALL_BASE.to_dict()
                    | {"batch_size": batch, "seed": i, "max_steps": given.steps * 2 // batch}
                )
                one = _round(engine, lead, version, settings, f"batch {batch}, {i + 1}")
                found.append(one)
                _line(f"batch {batch}, {i + 1}", one)
        _sum(found)


def _line(name: str, one: Against) -> None:
    memory = "" if one.peak_mb is None else f"{one.peak_mb:8.0f} {one.memory_off or 0:+7.1%}"
    print(
        f"{name:14} {one.seconds:10.1f} {one.took:8.1f} {one.off:+7.1%} "
        f"{one.memory_mb:12.0f} {memory}"
    )
    sys.stdout.flush()


def _sum(found: list[Against]) -> None:
    off = [abs(one.off) for one in found]
    memory = [abs(one.memory_off) for one in found if one.memory_off is not None]
    for name, values in (("time", off), ("memory", memory)):
        if values:
            near = sum(value <= _TOLERANCE for value in values)
            print(
                f"{name}: {near} of {len(values)} within {_TOLERANCE:.0%}, "
                f"median {statistics.median(values):.1%}, worst {max(values):.1%}"
            )


if __name__ == "__main__":
    main()
