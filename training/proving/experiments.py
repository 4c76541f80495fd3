"""Experiments: several runs that answer one question, queued together and measured by themselves.

A sweep varies settings; a learning curve varies the share of the train rows. Each run is asked for
its held-out answers when it ends. A setting chosen by the held-out rows is a little flattered by
them: judge the one you keep blind, or on a newer version.
"""

import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import product
from typing import Any

from msgspec import structs
from sqlalchemy.orm import Session

from curation.versions import archive
from storage.errors import BadInput, NotFound, RuleBroken
from storage.types import Adapter, Arm, Comparison, Job, JobKind, Split, Version
from training.launch import runs
from training.models import adapters
from training.proving import blind, comparisons, learning_curve
from training.proving.learning_curve import Curve, Measured
from training.records.parts import BaseModel, ExperimentPlace
from training.records.specs import TrainSpec
from training.settings import read
from training.work import jobs

MOST = 9
"""Runs that one sweep may queue."""
SHARES = (0.25, 0.5, 0.75, 1.0)
"""Parts of the train rows that a learning curve compares, each within the next."""


class ExperimentKind(StrEnum):
    """What an experiment varies."""

    SWEEP = "sweep"
    CURVE = "curve"


@dataclass(frozen=True, slots=True)
class ExperimentRun:
    """One run of an experiment and what it came to."""

    job: Job
    varies: Mapping[str, Any]
    """What sets it apart from the others: settings by name, or the share of the rows."""
    adapter: Adapter | None
    comparison: Comparison | None
    sealed: bool
    """Whether its answers are kept back while a blind trial is open."""


@dataclass(frozen=True, slots=True)
class Experiment:
    """Runs that were queued together."""

    id: str
    kind: ExperimentKind
    name: str
    version_id: int
    entries: tuple[ExperimentRun, ...]
    """In the order in which they were planned."""

    @property
    def going(self) -> int:
        """Runs that have not ended."""
        return sum(not entry.job.state.final for entry in self.entries)


def combinations(grid: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    """Every combination of the values of a grid.

    Raises:
        BadInput: there are fewer than two or more than nine, or a value comes twice.
    """
    for name, values in grid.items():
        if not values or len({repr(value) for value in values}) < len(values):
            raise BadInput(f"Give each value of {name} once, and at least one.")
    grid_points = [dict(zip(grid, values, strict=True)) for values in product(*grid.values())]
    if not 2 <= len(grid_points) <= MOST:
        raise BadInput(f"This grid makes {len(grid_points)} runs; a sweep has 2 to {MOST}.")
    return grid_points


def numbers(text: str, like: float) -> list[Any]:
    """Numbers of the kind that the setting has.

    Raises:
        BadInput: one of them is no such number.
    """
    kind = int if isinstance(like, int) else float
    numbers = []
    for word in text.replace(",", " ").split():
        try:
            numbers.append(kind(word))
        except ValueError as error:
            wanted = "whole number" if kind is int else "number"
            raise BadInput(f"{word!r} is no {wanted}. Give numbers with spaces between.") from error
    return numbers


def again(run: Job) -> runs.RunPlan:
    """The wish of a run once more."""
    spec = run.spec
    base = BaseModel.from_dict(spec["base"])
    return runs.RunPlan(spec["version_id"], spec["name"], base, read(spec["settings"]))


@dataclass(frozen=True, slots=True)
class Plan:
    """The runs of an experiment that is to be queued."""

    id: str
    kind: ExperimentKind
    name: str
    runs: tuple[tuple[runs.RunPlan, Mapping[str, Any]], ...]
    """Each with what sets it apart."""


def plan_sweep(wish: runs.RunPlan, grid: Mapping[str, Sequence[Any]]) -> Plan:
    """A run for each combination of these settings.

    Raises:
        BadInput: the grid is too small or too large, or a value cannot be used.
    """
    varied = [
        (replace(wish, settings=read(wish.settings.to_dict() | values)), values)
        for values in combinations(grid)
    ]
    return Plan(str(uuid.uuid4()), ExperimentKind.SWEEP, wish.name, tuple(varied))


def plan_curve(session: Session, wish: runs.RunPlan) -> Plan:
    """Runs on a quarter, half, three quarters and all of the train rows.

    Raises:
        RuleBroken: the version has too few rows.
    """
    train = archive.get(session, wish.version_id).counts[Split.TRAIN]
    if train < 2 * len(SHARES):
        raise RuleBroken(
            f"{train} train pairs are too few for a learning curve. Approve more pairs."
        )
    varied = tuple((replace(wish, share=share), {"share": share}) for share in SHARES)
    return Plan(str(uuid.uuid4()), ExperimentKind.CURVE, wish.name, varied)


def measurable(session: Session, plan: Plan) -> Version:
    """The version of a plan, which holds rows out to measure its runs by.

    Raises:
        RuleBroken: it holds none.
    """
    version = archive.get(session, plan.runs[0][0].version_id)
    if not version.counts[Split.TEST]:
        raise RuleBroken(
            f"Version {version.number} holds no test pairs out, so nothing would be measured. "
            "Freeze a new one."
        )
    return version


def specs(session: Session, plan: Plan) -> Iterator[TrainSpec]:
    """The spec of each run, in the order in which they are planned.

    Raises:
        RuleBroken: a readiness line blocks.
    """
    for place, (wish, varies) in enumerate(plan.runs):
        named = replace(wish, name=f"{plan.name[:50]} · {variation(varies)}")
        _, spec = runs.request(session, named)
        place_in = ExperimentPlace(
            id=plan.id, kind=plan.kind.value, name=plan.name, place=place, varies=dict(varies)
        )
        yield structs.replace(spec, experiment=place_in)


def variation(varies: Mapping[str, Any]) -> str:
    """What sets a run apart, as "25 % of the rows" or "r 8, learning rate 0.001"."""
    if set(varies) == {"share"}:
        return f"{varies['share']:.0%} of the pairs".replace("%", " %")
    return ", ".join(f"{name.replace('_', ' ')} {value(v)}" for name, v in varies.items())


def value(value: object) -> str:
    """A setting's value in words."""
    if isinstance(value, list | tuple):
        return "+".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def listing(session: Session, project_id: int) -> list[Experiment]:
    """The experiments of a project, newest first."""
    grouped: dict[str, dict[int, Job]] = {}
    for job in jobs.listing(session, project_id, JobKind.TRAIN):
        planned = job.spec.get("experiment")
        if planned is not None:  # newest first: a run that goes on stands for the one it took over
            grouped.setdefault(planned["id"], {}).setdefault(planned["place"], job)
    adapters_by_job = {adapter.job_id: adapter for adapter in adapters.listing(session, project_id)}
    measured = newest(session, project_id)
    return [
        _experiment(
            session, [by_place[place] for place in sorted(by_place)], adapters_by_job, measured
        )
        for by_place in grouped.values()
    ]


def get(session: Session, project_id: int, experiment_id: str) -> Experiment:
    """One experiment.

    Raises:
        NotFound: there is no such experiment in this project.
    """
    for experiment in listing(session, project_id):
        if experiment.id == experiment_id:
            return experiment
    raise NotFound(f"There is no experiment {experiment_id} in this project.")


def newest(session: Session, project_id: int) -> dict[tuple[int, int], Comparison]:
    """The newest comparison of each adapter on each version, by (adapter, version)."""
    newest_comparisons: dict[tuple[int, int], Comparison] = {}
    for comparison in comparisons.listing(session, project_id):
        if comparison.adapter_id is not None:
            newest_comparisons.setdefault(
                (comparison.adapter_id, comparison.version_id), comparison
            )
    return newest_comparisons


def _experiment(
    session: Session,
    members: Sequence[Job],
    adapters_by_job: Mapping[str, Adapter],
    measured: Mapping[tuple[int, int], Comparison],
) -> Experiment:
    planned = members[0].spec["experiment"]
    version_id = members[0].spec["version_id"]
    entries = []
    for job in members:
        adapter = adapters_by_job.get(job.id)
        comparison = measured.get((adapter.id, version_id)) if adapter else None
        closed = comparison is not None and blind.sealed(session, comparison.id)
        entries.append(
            ExperimentRun(job, job.spec["experiment"]["varies"], adapter, comparison, closed)
        )
    return Experiment(
        planned["id"], ExperimentKind(planned["kind"]), planned["name"], version_id, tuple(entries)
    )


def points(session: Session, experiment: Experiment) -> Iterator[Measured]:
    """What the measured runs of an experiment answered right, by the rows they learnt from.

    Raises:
        RuleBroken: a blind trial on these answers is open.
    """
    for entry in experiment.entries:
        if entry.comparison is None:
            continue
        answered = blind.opened(session, entry.comparison.id)
        right = tuple(answered[i][Arm.TUNED].correct for i in sorted(answered))
        yield Measured(int((entry.job.result or {})["rows"]["train"]), right)


def fitted(session: Session, experiment: Experiment) -> Curve:
    """The learning curve of an experiment.

    Raises:
        RuleBroken: fewer than three of its runs are measured, or their answers are sealed.
    """
    return learning_curve.fit(list(points(session, experiment)))
