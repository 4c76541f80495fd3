"""Runs beside each other: what was set differently, what they scored, which rows they differ in."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from curation.statistics import sign_test
from curation.versions import archive
from storage.errors import RuleBroken
from storage.types import Arm, Comparison, Job, Output, VersionRow
from training.models import adapters
from training.proving import blind, experiments

MOST = 4
"""Runs that fit beside each other on a screen."""


@dataclass(frozen=True, slots=True)
class Paired:
    """One run against the first, on the same held-out rows."""

    gained: int
    """Rows that it answers right and the first wrong."""
    lost: int
    p_value: float
    """Of the two being equally good: exact McNemar test, two-sided (McNemar 1947)."""


@dataclass(frozen=True, slots=True)
class Scored:
    """A run with its answers, where it has some that may be seen."""

    job: Job
    comparison: Comparison | None
    answers: Mapping[int, Output]
    """Its answer to each held-out row; empty where it was not measured or the answers are sealed.
    """
    sealed: bool

    @property
    def hits(self) -> int:
        """Rows answered exactly right."""
        return sum(output.correct for output in self.answers.values())

    @property
    def valid(self) -> int:
        """Answers that fit the schema."""
        return sum(output.valid for output in self.answers.values())


def settings(runs: Sequence[Job]) -> dict[str, list[Any]]:
    """What was set differently, one value for each run; None where a method has no such setting."""
    values_by_run = [_settings(job.spec) for job in runs]
    names = dict.fromkeys(name for values in values_by_run for name in values)
    table = {name: [values.get(name) for values in values_by_run] for name in names}
    return {name: values for name, values in table.items() if any(v != values[0] for v in values)}


def _settings(spec: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "version": spec["version_number"],
        "share": spec.get("share", 1.0),
        "base": spec["base"]["where"],
        **spec["settings"],
    }


def scored(session: Session, project_id: int, jobs: Sequence[Job]) -> list[Scored]:
    """The runs with their newest answers to the held-out rows of the version they trained on."""
    adapter_by_job = {
        adapter.job_id: adapter.id for adapter in adapters.listing(session, project_id)
    }
    newest = experiments.newest(session, project_id)
    return [
        _scored(session, job, newest.get((adapter_by_job.get(job.id, 0), job.spec["version_id"])))
        for job in jobs
    ]


def _scored(session: Session, job: Job, comparison: Comparison | None) -> Scored:
    if comparison is None:
        return Scored(job, None, {}, False)
    try:
        answers = blind.opened(session, comparison.id)
    except RuleBroken:
        return Scored(job, comparison, {}, True)
    return Scored(job, comparison, {i: arms[Arm.TUNED] for i, arms in answers.items()}, False)


def paired(first: Scored, second: Scored) -> Paired | None:
    """How another run does against the first; None where they answered different rows."""
    if not first.answers or set(first.answers) != set(second.answers):
        return None
    gained = sum(
        second.answers[i].correct and not output.correct for i, output in first.answers.items()
    )
    lost = sum(
        output.correct and not second.answers[i].correct for i, output in first.answers.items()
    )
    return Paired(gained, lost, sign_test(gained, lost))


def differing(
    session: Session, version_id: int, scored_runs: Sequence[Scored]
) -> list[tuple[VersionRow, list[Output]]]:
    """The held-out rows that not all runs answer right or wrong alike, with each run's answer."""
    measured = [run for run in scored_runs if run.answers]
    if len(measured) < 2 or len({frozenset(run.answers) for run in measured}) > 1:
        return []
    unlike = [
        i
        for i in sorted(measured[0].answers)
        if len({run.answers[i].correct for run in measured}) > 1
    ]
    rows = archive.texts(session, version_id, unlike)
    return [(rows[i], [run.answers[i] for run in measured]) for i in unlike]
