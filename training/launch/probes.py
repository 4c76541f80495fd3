"""Probes: a few real steps of chosen settings on a version's rows, thrown away, to know what a run
will take and what the model will see.

A probe asks nothing of the readiness gate, since nothing it learns is kept; test rows stay away
from it as they do from a run.
"""

import hashlib
import json
from pathlib import Path

from sqlalchemy.orm import Session

from storage.types import Job, JobKind, JobState, User, Version
from training.launch import estimates
from training.records import specs
from training.records.parts import BaseModel, Estimate
from training.records.record import read
from training.records.rendered import RenderedPairs
from training.records.results import ProbeResult
from training.settings import Local, Tuning
from training.tuning import checkpoints
from training.work import evidence, jobs, machine

ROWS_FILE = "seen.json"
"""In the folder of a probe: how rows look to the model, how long they are."""
_NO_MATTER = (
    "epochs",
    "seed",
    "learning_rate",
    "warmup",
    "patience",
    "checkpoint_steps",
    "max_steps",
    "alpha",
    "beta",
    "weight_decay",
)
"""Settings on which the time of a step and the memory do not depend."""


def key(version: Version, base: BaseModel, settings: Tuning) -> str:
    """What makes two probes the same: rows, base model, the settings that matter, the libraries and
    the kind of machine.
    """
    chosen = {k: v for k, v in settings.to_dict().items() if k not in _NO_MATTER}
    place = [accelerator.name for accelerator in machine.accelerators()]
    identity = [version.sha256, base.to_dict(), chosen, checkpoints.libraries(), place]
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()


def newest(session: Session, version: Version, base: BaseModel, settings: Tuning) -> Job | None:
    """The last probe of this very choice; None where there was none."""
    wanted = key(version, base, settings)
    probes = jobs.listing(session, version.project_id, JobKind.PROBE)
    return next((probe for probe in probes if probe.spec.get("key") == wanted), None)


def estimate(
    session: Session, version: Version, base: BaseModel, settings: Tuning
) -> Estimate | None:
    """What a run will take; None where no probe of this choice has finished."""
    probe = newest(session, version, base, settings)
    if probe is None or probe.state is not JobState.FINISHED or not isinstance(settings, Local):
        return None
    return estimates.of(read(ProbeResult, probe.result), settings)


def rendered_pairs(directory: Path) -> RenderedPairs | None:
    """What a probe wrote of the pairs; None where it did not come so far."""
    content = evidence.read_json(directory / ROWS_FILE)
    return read(RenderedPairs, content) if content is not None else None


def ingest(session: Session, actor: User, job: Job, directory: Path, result: ProbeResult) -> None:
    """Nothing to take in: a probe's result is its job's.

    Raises:
        TypeError: the method trains elsewhere, so that the result must not be believed.
    """
    del session, actor, directory
    estimates.of(result, _local(job))


def _local(job: Job) -> Local:
    chosen = specs.train(job).settings
    if not isinstance(chosen, Local):
        raise TypeError("a probe of a method that trains elsewhere")
    return chosen
