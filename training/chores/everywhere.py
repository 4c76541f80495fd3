"""A decision about the same words in all pairs as a job: pair by pair, each whole."""

from pathlib import Path

from sqlalchemy.orm import Session

from curation import statistics
from curation.personal import scrub
from curation.personal.scrub import Spread
from training.chores import chore
from training.records import specs
from training.records.results import EverywhereResult
from training.work.evidence import Cancelled, Evidence


def main(directory: Path, hold: Evidence) -> None:
    """Decide; a cancel ends between two pairs, and those decided so far stay decided."""
    with chore.opened(directory, hold) as going:
        spec = specs.everywhere(going.job)
        done = Spread(0, 0, (), ())

        def note(_session: Session, so_far: Spread) -> None:
            nonlocal done
            done = so_far

        try:
            scrub.everywhere_in_chunks(
                going.engine,
                going.actor,
                spec.finding_id,
                spec.state,
                step=going.step,
                settle=note,
            )
        except Cancelled:
            hold.finish(
                "cancelled",
                f"Cancelled. Decided until then: {_message(done)} They can be opened again one by "
                "one; the others are as they were.",
            )
        else:
            going.finish(_message(done), _result(done))


def _message(done: Spread) -> str:
    left = [
        f"{statistics.count(len(ids), 'pair')} left: {why}"
        for ids, why in ((done.in_review, "in review"), (done.refused, "the JSON would break"))
        if ids
    ]
    return f"{'; '.join([statistics.count(done.pairs, 'pair'), *left])}."


def _result(done: Spread) -> EverywhereResult:
    return EverywhereResult(
        pairs=done.pairs,
        findings=done.findings,
        in_review=len(done.in_review),
        refused=len(done.refused),
    )
