"""The personal-data scan as a job: rows in, offsets out; the text stays in the job's own folder."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from curation import detect, scrub
from storage import projects
from storage.errors import RuleBroken
from storage.settings import Settings
from storage.types import Job, User
from training import evidence
from training.evidence import Evidence

BATCH = 32


def request(session: Session, project_id: int) -> dict[str, Any]:
    """The spec of a scan of all rows whose text has none.

    Raises:
        RuleBroken: every row has been scanned.
    """
    if not scrub.unscanned(session, project_id):
        raise RuleBroken("Every row has been scanned. There is nothing to do.")
    schema = projects.get(session, project_id).output_schema
    return {"allow": sorted(detect.vocabulary(schema)) if schema else []}


def prepare(session: Session, job: Job, directory: Path, settings: Settings) -> dict[str, Any]:  # noqa: ARG001 - one shape for all kinds
    """Write the rows to scan."""
    lines = [
        {
            "pair_id": pair.id,
            "content_sha256": pair.content_sha256,
            "prompt": pair.prompt,
            "response": pair.response,
        }
        for pair in scrub.unscanned(session, job.project_id)
    ]
    text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    evidence.write_bytes(directory / "rows.jsonl", text.encode())
    return {"allow": job.spec["allow"]}


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
    """Scan the rows of a job directory; every row ends with findings or quarantined."""
    from curation import analyzer

    spec = evidence.read_json(directory / "spec.json") or {}
    config = analyzer.Config(allow=tuple(spec["allow"]))
    rows = list(_lines(directory / "rows.jsonl"))
    held.say("Loading the language model.")
    scanner = analyzer.Scanner(config)
    found = []
    for start in range(0, len(rows), BATCH):
        if held.cancel_requested():
            held.finish("cancelled", "Cancelled; no row of this scan counts.")
            return
        batch = rows[start : start + BATCH]
        found += _scanned(scanner, config.sha256, batch)
        held.progress(min(start + BATCH, len(rows)), len(rows))
    text = "".join(json.dumps(line) + "\n" for line in found)
    evidence.write_bytes(directory / "findings.jsonl", text.encode())
    quarantined = sum("quarantined" in line for line in found)
    held.finish(
        "finished",
        f"Scanned {len(rows)} rows; {quarantined} could not be scanned whole.",
        {"rows": len(rows), "quarantined": quarantined, "config_sha256": config.sha256},
    )


def _scanned(scanner: Any, config_sha256: str, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:  # noqa: ANN401 - the analyzer is only imported in the job
    prompts = scanner.scan([row["prompt"] for row in rows])
    responses = scanner.scan([row["response"] for row in rows], output=True)
    return [
        {
            "pair_id": row["pair_id"],
            "content_sha256": row["content_sha256"],
            "config_sha256": config_sha256,
            **_line({"prompt": prompt, "response": response}),
        }
        for row, prompt, response in zip(rows, prompts, responses, strict=True)
    ]


def _line(fields: Mapping[str, Any]) -> dict[str, Any]:
    for spans in fields.values():
        if isinstance(spans, detect.Quarantine):
            return {"quarantined": spans.reason}
    return {
        "findings": [
            {"field": field, "start": s.start, "end": s.end, "type": s.type, "score": s.score}
            for field, spans in fields.items()
            for s in spans
        ]
    }
