"""Runs that ended early and left checkpoints, made without a worker: only the files matter."""

import hashlib
from pathlib import Path

from msgspec import structs
from sqlalchemy import Engine

from curation.versions import archive
from storage import settings
from storage.engine import reading
from storage.types import Job, Split
from tests.support import tuned
from training import reconcile
from training.settings import Lora
from training.tuning import checkpoints
from training.work import evidence, jobs, rows as work_rows


def save(engine: Engine, job: Job, *steps: int, **changed: object) -> Path:
    """Checkpoints of a run at these steps; `changed` is what was otherwise when they were made."""
    directory = jobs.folder(settings.current(), job.id)
    with reading(engine) as session:
        opened = archive.opened(session, job.spec["version_id"])
    rows = work_rows.written(opened.part(Split.TRAIN, Split.VALIDATION))
    run = checkpoints.RunIdentity(
        rows_sha256=hashlib.sha256(rows).hexdigest(),
        settings=Lora.from_dict(job.spec["settings"]).to_dict(),
        libraries=checkpoints.libraries(),
    )
    for step in steps:
        with checkpoints.writing(directory, step, structs.replace(run, **changed)) as folder:
            (folder / "adapter_model.safetensors").write_bytes(f"weights {step}".encode())
    return directory


def lost(engine: Engine, *steps: int, **changed: object) -> tuple[tuned.Frozen, Job]:
    """A run whose process is gone, with checkpoints at these steps."""
    story = tuned.frozen(engine, 20)
    job = tuned.launched(engine, story, "Long run")
    directory = tuned.running(engine, job)
    save(engine, job, *steps, **changed)
    with (directory / "events.jsonl").open("w") as file:
        file.writelines(
            f'{{"at": "2026-01-01T00:00:{step:02}+00:00", "step": {step}, "total": 40, '
            f'"loss": {3 / step}}}\n'
            for step in range(1, 26)
        )
    evidence.write_json(directory / "launch.json", {"at": evidence.now(), "pid": 1})
    reconcile.tick(engine, settings.current(), wait=False)
    with reading(engine) as session:
        return story, jobs.get(session, job.id)
