"""Plan experiments from a run, see what they came to, and set runs beside each other."""

from typing import Annotated, Any

import typer
from sqlalchemy.orm import Session

from storage import console
from storage.errors import BadInput, NotFound, RuleBroken
from storage.types import Arm, Job, JobKind
from training import asks
from training.proving import experiments, learning_curve, side_by_side
from training.settings import read
from training.work import jobs

app = console.app("Plan experiments from a run, and set runs beside each other.")
Run = Annotated[str, typer.Argument(help="Id of a run, or its first letters.")]


def _run(session: Session, project_id: int, given: str) -> Job:
    found = [
        job for job in jobs.listing(session, project_id, JobKind.TRAIN) if job.id.startswith(given)
    ]
    if len(found) != 1:
        raise NotFound(f"{len(found)} runs of this project begin with {given!r}; name one.")
    return found[0]


def _grid(vary: list[str], given: dict[str, Any]) -> dict[str, list[Any]]:
    grid: dict[str, list[Any]] = {}
    for one in vary:
        name, _, told = one.partition("=")
        if name not in given or not told:
            raise BadInput(f"{one!r} varies no setting of this run. Write it as name=1,2,3.")
        grid[name] = experiments.numbers(told, given[name])
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
        grid = _grid(vary, read(start.spec["settings"]).to_dict())
        actor = console.actor(session, as_)
        made = asks.sweep(session, actor, experiments.again(start), grid)
    console.show(made, as_json=as_json, message=_told(made))


@app.command()
@console.plain
def curve(
    run: Run, as_: console.As, project: console.In = "", as_json: console.AsJson = False
) -> None:
    """Queue runs on a quarter, half, three quarters and all of the train rows of a run."""
    with console.acting() as session:
        start = _run(session, console.project(session, project).id, run)
        made = asks.curve(session, console.actor(session, as_), experiments.again(start))
    console.show(made, as_json=as_json, message=_told(made))


def _told(made: list[Job]) -> str:
    group = made[0].spec["experiment"]["id"]
    return f"Queued {len(made)} runs as experiment {group}. They start while the app runs."


@app.command("experiments")
@console.plain
def list_experiments(
    more: Annotated[int, typer.Option(help="Rows whose worth a curve is asked for.")] = 100,
    project: console.In = "",
    as_json: console.AsJson = False,
) -> None:
    """List the experiments with what they came to, newest first."""
    with console.looking() as session:
        inside = console.project(session, project).id
        found = [_shown(session, one, more) for one in experiments.listing(session, inside)]
        console.show(found, as_json=as_json)


def _shown(session: Session, one: experiments.Experiment, more: int) -> dict[str, Any]:
    right = {
        experiments.variation(entry.varies): "sealed"
        if entry.sealed
        else f"{entry.evaluation.summary[Arm.TUNED]['correct']} of {entry.evaluation.summary['n']}"
        if entry.evaluation
        else str(entry.job.state)
        for entry in one.entries
    }
    shown: dict[str, Any] = {"id": one.id, "kind": one.kind.value, "name": one.name, "right": right}
    if one.kind is experiments.ExperimentKind.CURVE:
        try:
            shown["worth"] = _worth(experiments.fitted(session, one), more)
        except RuleBroken as refusal:
            shown["worth"] = str(refusal)
    return shown


def _worth(found: learning_curve.Curve, more: int) -> str:
    worth = found.worth(min(more, found.largest))
    return (
        f"the next {worth.rows} rows: {worth.gain:+.1%} right answers (95 % interval "
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
        found = [_run(session, inside, one) for one in run]
        if not 2 <= len(found) <= side_by_side.MOST:
            raise BadInput(f"Name two to {side_by_side.MOST} runs.")
        measured = side_by_side.scored(session, inside, found)
        shown = {
            "set_differently": side_by_side.settings(found),
            "runs": [
                {
                    "id": one.job.id,
                    "n": len(one.answers),
                    "right": one.hits,
                    "valid": one.valid,
                    "sealed": one.sealed,
                    "against_first": side_by_side.paired(measured[0], one),
                }
                for one in measured
            ],
        }
        console.show(shown, as_json=as_json)
