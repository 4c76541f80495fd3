"""The personal-data scan as a job: rows in, offsets out; the text stays in the job's own folder."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from curation.personal import pii, scan_settings, scanning, scrub
from storage.errors import RuleBroken
from storage.settings import Settings
from storage.types import Job, User
from training.work import evidence
from training.work.evidence import Evidence


def request(session: Session, project_id: int) -> dict[str, Any]:
    """The spec of a scan of all rows whose text has none with the project's present settings.

    Raises:
        RuleBroken: every row has been scanned.
    """
    if not scrub.to_scan(session, project_id):
        raise RuleBroken("Every row has been scanned. There is nothing to do.")
    return {}


def prepare(session: Session, job: Job, directory: Path, settings: Settings) -> dict[str, Any]:  # noqa: ARG001 - one shape for all kinds
    """Write the rows to scan; the settings are those in force when the job begins."""
    lines = scrub.to_scan(session, job.project_id)
    config = scan_settings.current(session, job.project_id).config
    text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    evidence.write_bytes(directory / "rows.jsonl", text.encode())
    return {"config": pii.to_json(config)}


def ingest(
    session: Session, actor: User, job: Job, directory: Path, result: Mapping[str, Any]
) -> None:
    """Store what the scan found."""
    del result
    scrub.store(session, actor, job.project_id, _lines(directory / "findings.jsonl"))


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)


def main(directory: Path, held: Evidence) -> None:
    """Scan the rows of a job directory; nothing counts unless all of them were looked at."""
    spec = evidence.read_json(directory / "spec.json") or {}
    rows = list(_lines(directory / "rows.jsonl"))
    held.say("Loading the language model.")
    found: list[dict[str, Any]] = []
    config = pii.from_json(spec["config"])
    for batch in scanning.results(rows, config, lambda: held.progress(0, len(rows))):
        found += batch
        held.progress(len(found), len(rows))
        if held.cancel_requested():
            held.finish("cancelled", "Cancelled; no row of this scan counts.")
            return
    text = "".join(json.dumps(line) + "\n" for line in found)
    evidence.write_bytes(directory / "findings.jsonl", text.encode())
    quarantined = sum("quarantined" in line for line in found)
    pairs = sum(row["pair_id"] != 0 for row in rows)  # 0 is the system message
    held.finish(
        "finished",
        f"Scanned {pairs} rows; {quarantined} could not be scanned whole.",
        {"rows": pairs, "quarantined": quarantined},
    )
