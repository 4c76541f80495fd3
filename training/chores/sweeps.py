"""The comparison of all pairs of a large project as a job."""

from pathlib import Path

from sqlalchemy.orm import Session

from curation import statistics
from curation.overlap import sweeping
from curation.overlap.sweeping import Sweep
from training.chores import chore
from training.records.results import SweepResult
from training.work.evidence import Evidence


def main(directory: Path, hold: Evidence) -> None:
    """Compare the pairs of the job's project."""
    with chore.opened(directory, hold) as going:
        hold.say("Comparing the pairs.")

        def settle(session: Session, sweep: Sweep) -> None:
            going.settle(session, _message(sweep), _result(sweep))

        sweep = sweeping.sweep_in_chunks(
            going.engine, going.actor, going.job.project_id, step=going.step, settle=settle
        )
        going.finish(_message(sweep), _result(sweep))


def _message(sweep: Sweep) -> str:
    new = statistics.count(len(sweep.links), "new match", "new matches")
    return f"{statistics.count(sweep.rows, 'pair was', 'pairs were')} compared: {new}."


def _result(sweep: Sweep) -> SweepResult:
    return SweepResult(rows=sweep.rows, new=len(sweep.links))
