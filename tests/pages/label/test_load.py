"""Several reviewers on a real server at once; `python -m benchmarks.reviewers` has twenty."""

import signal
import threading
import time
from pathlib import Path

import pytest
from sqlalchemy import Engine

from storage.types import Role
from tests.support import live as servers, load, stories, traced
from tests.support.proofs import Proof

PEOPLE = 4
HABITS = load.Habits(think_seconds=0.05, double=0.2, drop=0.1)


def _desk(engine: Engine) -> list[int]:
    """Reviewers, and more waiting pairs than they will decide."""
    desk = stories.project(engine)
    stories.waiting(engine, desk, stories.messages(200))
    return [stories.person(engine, f"R{n}", Role.REVIEWER).id for n in range(PEOPLE)]


def _answered(crew: list[load.Reviewer]) -> int:
    presses = [press for reviewer in crew for press in list(reviewer.client.presses.values())]
    return sum(bool(press.status) for press in presses)


@pytest.mark.T01
def test_no_decision_of_several_reviewers_is_lost_doubled_or_shared(
    engine: Engine, tmp_path: Path, proof: Proof
) -> None:
    people = _desk(engine)
    with servers.running(tmp_path / "data") as live:
        crew = load.crew(live, people, HABITS, seed=7)
        load.together(crew, 60, decisions=8)
        result = load.outcome(live, crew)
    assert (result.lost, result.doubled, result.shared, result.unanswered) == (0, 0, 0, 0)
    assert result.decisions >= PEOPLE * 8
    assert [reviewer.client.errors for reviewer in crew] == [[]] * PEOPLE
    proof(people=PEOPLE, decisions=result.decisions, lost=0, doubled=0, shared=0)


@pytest.mark.T04
def test_a_killed_server_has_every_decision_that_it_answered(
    engine: Engine, tmp_path: Path, proof: Proof
) -> None:
    people = _desk(engine)
    with servers.running(tmp_path / "data") as live:
        crew = load.crew(live, people, HABITS, seed=8)
        working = threading.Thread(target=load.together, args=(crew, 60, 12))
        working.start()
        while working.is_alive() and _answered(crew) < 8:
            time.sleep(0.02)
        live.process.send_signal(signal.SIGKILL)
        live.process.wait()
        second = servers.launch(live.data, live.port)
        working.join()
        result = load.outcome(live, crew)
        second.terminate()
        second.wait()
    assert (result.lost, result.doubled, result.shared, result.unanswered) == (0, 0, 0, 0)
    assert any(reviewer.broken for reviewer in crew)
    proof(kills=1, decisions=result.decisions, lost=0, doubled=0)


@pytest.mark.T07
@pytest.mark.skipif(not traced.possible(), reason="strace is missing, or may not look at processes")
def test_an_answer_leaves_after_its_decision_is_on_the_disk(
    engine: Engine, tmp_path: Path, proof: Proof
) -> None:
    reviewer = _desk(engine)[0]
    result = traced.measure(tmp_path / "data", reviewer, 5, tmp_path / "trace")
    assert (result.answers, result.synced) == (5, 5)
    proof(answers=result.answers, synced=result.synced)
