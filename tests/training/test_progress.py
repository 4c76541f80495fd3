"""The way from first example to proven adapter: one next step, whatever the standing."""

from dataclasses import replace

import pytest
from sqlalchemy import Engine

from curation.project import sample
from storage import projects
from storage.engine import reading, writing
from storage.types import JobKind, Role, Signal
from tests.support.ui import join
from training import progress
from training.progress import Standing, State

KEYS = (
    "reviewed",
    "gold",
    "unapproved",
    "audit",
    "test_share",
    "leakage",
    "personal_data",
    "unscanned",
    "near_duplicates",
    "contradictions",
    "schema",
    "baseline",
    "decision_record",
)


def signals(*unmet: str, waived: tuple[str, ...] = ()) -> tuple[Signal, ...]:
    """A report whose lines are met but for some."""
    return tuple(
        Signal(
            key,
            key,
            key not in unmet,
            "measured",
            "asked",
            "fix",
            waiver="lea: small set" if key in waived else None,
        )
        for key in KEYS
    )


EMPTY = Standing(
    approved=0,
    waiting=0,
    gold=0,
    imported=0,
    sample=False,
    links=0,
    uncompared=0,
    signals=signals(*KEYS),
    versions=0,
    running=frozenset(),
    adapters=0,
    compared=0,
    trials_open=0,
    trials_closed=0,
)
PROVEN = Standing(
    approved=260,
    waiting=0,
    gold=64,
    imported=200,
    sample=False,
    links=0,
    uncompared=0,
    signals=signals(),
    versions=1,
    running=frozenset(),
    adapters=1,
    compared=40,
    trials_open=0,
    trials_closed=1,
)


@pytest.mark.parametrize(
    ("at", "key", "page"),
    [
        (EMPTY, "gather", "write"),
        (replace(EMPTY, approved=64, gold=64), "gather", "import"),
        (replace(EMPTY, waiting=260, gold=64), "review", "review"),
        (replace(PROVEN, waiting=1), "review", "review"),
        (replace(PROVEN, signals=signals("unscanned")), "scrub", "scrub"),
        (replace(PROVEN, signals=signals("leakage")), "duplicates", "duplicates"),
        (replace(PROVEN, signals=signals("audit")), "audit", "audit"),
        (replace(PROVEN, signals=signals("decision_record")), "ready", "ready"),
        (replace(PROVEN, signals=signals("baseline")), "version", "versions"),
        (replace(PROVEN, versions=0), "version", "versions"),
        (replace(PROVEN, adapters=0), "run", "launch"),
        (
            replace(PROVEN, adapters=0, running=frozenset({JobKind.TRAIN})),
            "run",
            "runs",
        ),
        (replace(PROVEN, compared=0), "compare", "compare"),
        (replace(PROVEN, trials_closed=0), "blind", "blind"),
        (PROVEN, "adapter", "adapters"),
    ],
)
def test_there_is_one_next_step(at: Standing, key: str, page: str) -> None:
    listed = progress.steps(at)
    step = progress.next_step(listed)
    assert (step.key, step.page) == (key, page)
    assert [one.state for one in listed].count(State.NOW) == 1
    states = [one.state for one in listed]
    assert State.LATER not in states[: states.index(State.NOW)]


def test_a_waived_line_blocks_no_step() -> None:
    waived = signals("audit", "reviewed", waived=("audit", "reviewed"))
    listed = progress.steps(replace(PROVEN, approved=90, signals=waived))
    assert progress.next_step(listed).key == "adapter"


def test_a_line_that_is_never_waived_still_blocks() -> None:
    leaking = signals("leakage", waived=("leakage",))
    assert progress.next_step(progress.steps(replace(PROVEN, signals=leaking))).key == "duplicates"


def test_an_empty_project_has_nothing_done() -> None:
    assert {one.state for one in progress.steps(EMPTY)} == {State.NOW, State.LATER}


def test_the_sample_leads_to_its_import_files_then_to_review(engine: Engine) -> None:
    lead = join(engine, "lea", Role.LEAD)
    with writing(engine) as session:
        project = sample.begin(session, lead, reviewed=False)
    with reading(engine) as session:
        found = progress.standing(session, project.id)
    step = progress.next_step(progress.steps(found))
    assert (found.approved, found.gold, found.imported) == (104, 64, 0)
    assert step.page == "import"
    assert "import.jsonl" in step.hint


def test_an_empty_project_can_be_looked_at(engine: Engine) -> None:
    lead = join(engine, "lea", Role.LEAD)
    with writing(engine) as session:
        project = projects.create(session, lead, "Desk", "Answer", "You answer.")
    with reading(engine) as session:
        listed = progress.steps(progress.standing(session, project.id))
    assert progress.next_step(listed).page == "write"
