"""How long the gate and its slowest parts take on a large project.

`python -m benchmarks.readiness [--rows 10000]` fills a project with approved rows of three origins,
scanned and compared, with a schema, a retired era, an audit and a frozen version, and prints the
median, the slowest and the processor time of five rounds, interleaved, in milliseconds.
"""

import json
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path

import typer
from sqlalchemy import insert
from sqlalchemy.orm import Session

from curation.gate import audit, readiness
from curation.overlap import overlaps
from curation.personal import findings
from curation.policy import eras
from curation.versions import archive
from storage import migrate, pairs, people
from storage.engine import open_engine, reading, writing
from storage.tables import DecisionRow, PairRow, RevisionRow, ScanRow
from storage.types import Action, Origin, Outcome, PairStatus, Project, User
from tests.support import stories

ROUNDS = 5


def main(rows: int = 10_000) -> None:
    """Fill, measure, print."""
    with tempfile.TemporaryDirectory() as folder:
        engine = open_engine(Path(folder) / "assay.db")
        migrate.upgrade(engine)
        lena, ben = stories.person(engine, "lena"), stories.person(engine, "ben")
        desk = stories.project(engine)
        with writing(engine) as session:
            eras.add(
                session, lena, desk.id, "old", date(2019, 1, 1), retired=True, phrases=("passbook",)
            )
            _fill(session, desk, lena, rows)
            audit.draw(session, ben, desk.id, seed=3)
        took: dict[str, list[float]] = {}
        used: dict[str, list[float]] = {}
        with reading(engine) as session:
            for _ in range(ROUNDS):
                for name, verb in _verbs(session, desk).items():
                    begun, busy = time.perf_counter(), time.process_time()
                    verb()
                    took.setdefault(name, []).append(1_000 * (time.perf_counter() - begun))
                    used.setdefault(name, []).append(1_000 * (time.process_time() - busy))
                    session.expire_all()
        print(f"{rows:,} approved rows; n = {ROUNDS}; milliseconds")
        for name, times in took.items():
            middle, busy = statistics.median(times), statistics.median(used[name])
            print(f"{name:20} median {middle:7.0f}  most {max(times):7.0f}  processor {busy:7.0f}")
        engine.dispose()


def _verbs(session: Session, desk: Project) -> dict[str, Callable[[], object]]:
    return {
        "readiness.report": lambda: readiness.report(session, desk.id),
        "pairs.listing": lambda: pairs.listing(session, desk.id, status=PairStatus.APPROVED),
        "overlaps.current": lambda: overlaps.current(session, desk.id),
        "overlaps.due": lambda: overlaps.due(session, desk.id),
        "scrub.coverage": lambda: findings.coverage(
            session, desk.id, {p.id for p in pairs.listing(session, desk.id)}
        ),
        "audit.latest": lambda: audit.latest(session, desk.id),
        "versions.listing": lambda: archive.listing(session, desk.id),
        "people.names": lambda: people.names(session),
    }


def _fill(session: Session, desk: Project, who: User, rows: int) -> None:
    """Rows written straight into the tables: what a person's presses would leave behind."""
    origins = (Origin.GOLD, Origin.IMPORT, Origin.DRAFT)
    texts = [
        (n, prompt, json.dumps({"team": stories.TEAMS[n % 4]}))
        for n, (prompt, _) in enumerate(stories.messages(rows), 1)
    ]
    hashes = {n: pairs.content_sha256(prompt, response) for n, prompt, response in texts}
    session.execute(
        insert(PairRow),
        [
            {
                "id": n,
                "project_id": desk.id,
                "prompt": prompt,
                "response": response,
                "status": PairStatus.APPROVED,
                "origin": origins[n % 3],
                "version": 1,
                "content_sha256": hashes[n],
                "source": {},
                "approval_id": n,
                "swept_sha256": hashes[n],
                "author_id": who.id if n % 3 == 0 else None,
            }
            for n, prompt, response in texts
        ],
    )
    session.execute(
        insert(RevisionRow),
        [
            {
                "pair_id": n,
                "number": 1,
                "prompt": prompt,
                "response": response,
                "content_sha256": hashes[n],
            }
            for n, prompt, response in texts
        ],
    )
    session.execute(
        insert(DecisionRow),
        [
            {
                "id": n,
                "op": f"op-{n}",
                "pair_id": n,
                "user_id": who.id,
                "action": Action.APPROVE,
                "outcome": Outcome.APPLIED,
                "seen_version": 1,
                "fence": 0,
                "before_sha256": hashes[n],
                "after_sha256": hashes[n],
            }
            for n, _, _ in texts
        ],
    )
    session.execute(
        insert(ScanRow),
        [{"pair_id": n, "content_sha256": hashes[n], "config_sha256": "x"} for n, _, _ in texts],
    )


if __name__ == "__main__":
    typer.run(main)
