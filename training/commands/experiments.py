"""Plan experiments from a run, see what they came to, and set runs beside each other."""

from collections.abc import Mapping
from typing import Annotated, Any

import typer
from sqlalchemy.orm import Session

from storage import console
from storage.errors import BadInput, NotFound, RuleBroken
from storage.types import Arm, Job, JobKind
from training import asks
from training.proving import experiments, learning_curve, side_by_side
from training.records import specs
from training.work import jobs

app = console.app("Plan experiments from a run, and set runs beside each other.")
Run = Annotated[str, typer.Argument(help="Id of a run, or its first letters.")]


def _run(session: Session, project_id: int, prefix: str) -> Job:
    runs = [
        job for job in jobs.listing(session, project_id, JobKind.TRAIN) if job.id.startswith(prefix)
    ]
    if len(runs) != 1:
        raise NotFound(f"{len(runs)} runs of this project begin with {prefix!r}; name one.")
    return runs[0]


def _grid(vary: list[str], settings: Mapping[str, Any]) -> dict[str, list[Any]]:
    grid: dict[str, list[Any]] = {}
    for text in vary:
        name, _, values = text.partition("=")
        if name not in settings or not values:
            raise BadInput(f"{text!r} varies no setting of this run. Write it as name=1,2,3.")
        grid[name] = experiments.numbers(values, settings[name])
    return grid


@app.command()
@console.plain
def sweep(
    run: Run,
    as_: console.As,
    vary: Annotated[list[str], typer.Option(help="A setting and its values: r=8,16")],
    project: console.In = "",
    as_json: console.AsJson = False,
) -> None:
    """Queue a run for each combination of settings, at most nine, starting from a run's own."""
    with console.acting() as session:
        start = _run(session, console.project(session, project).id, run)
        grid = _grid(vary, specs.train(start).settings.to_dict())
        actor = console.actor(session, as_)
        queued = asks.sweep(session, actor, experiments.again(start), grid)
    console.show(queued, as_json=as_json, message=_summary(queued))


@app.command()
@console.plain
def curve(
    run: Run, as_: console.As, project: console.In = "", as_json: console.AsJson = False
) -> None:
    """Queue runs on a quarter, half, three quarters and all of the train pairs of a run."""
    with console.acting() as session:
        start = _run(session, console.project(session, project).id, run)
        queued = asks.curve(session, console.actor(session, as_), experiments.again(start))
    console.show(queued, as_json=as_json, message=_summary(queued))


def _summary(queued: list[Job]) -> str:
    group = (queued[0].spec["experiment"])["id"]
    return f"Queued {len(queued)} runs as experiment {group}. They start while the app runs."


@app.command("experiments")
@console.plain
def list_experiments(
    more: Annotated[int, typer.Option(help="Pairs whose worth a curve is asked for.")] = 100,
    project: console.In = "",
    as_json: console.AsJson = False,
) -> None:
    """List the experiments with what they came to, newest first."""
    with console.looking() as session:
        inside = console.project(session, project).id
        listed = [
            _line(session, experiment, more) for experiment in experiments.listing(session, inside)
        ]
        console.show(listed, as_json=as_json)


def _line(session: Session, experiment: experiments.Experiment, more: int) -> dict[str, object]:
    right = {
        experiments.variation(entry.varies): "sealed"
        if entry.sealed
        else f"{entry.comparison.summary[Arm.TUNED]['correct']} of {entry.comparison.summary['n']}"
        if entry.comparison
        else str(entry.job.state)
        for entry in experiment.entries
    }
    line: dict[str, object] = {
        "id": experiment.id,
        "kind": experiment.kind.value,
        "name": experiment.name,
        "right": right,
    }
    if experiment.kind is experiments.ExperimentKind.CURVE:
        try:
            line["worth"] = _worth(experiments.fitted(session, experiment), more)
        except RuleBroken as refusal:
            line["worth"] = str(refusal)
    return line


def _worth(curve: learning_curve.Curve, more: int) -> str:
    worth = curve.worth(min(more, curve.largest))
    return (
        f"the next {worth.rows} pairs: {worth.gain:+.1%} right answers (95 % interval "
        f"{worth.low:+.1%} to {worth.high:+.1%})"
    )


@app.command("compare-runs")
@console.plain
def compare_runs(
    run: Annotated[list[str], typer.Argument(help="Ids of two to four runs.")],
    project: console.In = "",
    as_json: console.AsJson = False,
) -> None:
    """Set runs beside each other: what was set differently, and what they scored."""
    with console.looking() as session:
        inside = console.project(session, project).id
        runs = [_run(session, inside, prefix) for prefix in run]
        if not 2 <= len(runs) <= side_by_side.MOST:
            raise BadInput(f"Name two to {side_by_side.MOST} runs.")
        measured = side_by_side.scored(session, inside, runs)
        comparison = {
            "set_differently": side_by_side.settings(runs),
            "runs": [
                {
                    "id": scored.job.id,
                    "n": len(scored.answers),
                    "right": scored.hits,
                    "valid": scored.valid,
                    "sealed": scored.sealed,
                    "against_first": side_by_side.paired(measured[0], scored),
                }
                for scored in measured
            ],
        }
        console.show(comparison, as_json=as_json)
