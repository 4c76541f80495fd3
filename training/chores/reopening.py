"""The sending back of a large stratum of the audit as a job: pair by pair, each whole."""

from pathlib import Path

from sqlalchemy.orm import Session

from curation import statistics
from curation.gate import audit
from curation.gate.sampling import Stratum
from training.chores import chore
from training.records import specs
from training.records.results import ReopenResult
from training.work.evidence import Cancelled, Evidence


def main(directory: Path, hold: Evidence) -> None:
    """Send back; a cancel ends between two pairs, and those sent back so far stay so."""
    with chore.opened(directory, hold) as going:
        spec = specs.reopening(going.job)
        back = 0

        def note(_session: Session, so_far: int) -> None:
            nonlocal back
            back = so_far

        try:
            audit.reopen_in_chunks(
                going.engine,
                going.actor,
                going.job.project_id,
                Stratum(spec.origin, spec.author, spec.era),
                (spec.bad, spec.judged, spec.back),
                step=going.step,
                settle=note,
            )
        except Cancelled:
            hold.finish(
                "cancelled",
                f"Cancelled. {_message(back)} The others are still approved; send the group back "
                "again to go on with them.",
            )
        else:
            going.finish(_message(back), ReopenResult(pairs=back))


def _message(back: int) -> str:
    return f"Back in review: {statistics.count(back, 'pair')}."
