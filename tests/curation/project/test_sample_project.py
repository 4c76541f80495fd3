"""Opening the sample project: real rows, real decisions, once."""

import json
import time

import pytest
from sqlalchemy import Engine

from curation.gate import audit, readiness
from curation.overlap import overlaps
from curation.personal import findings
from curation.project import sample
from curation.review import claims, decisions
from storage import events, pairs, people, projects
from storage.engine import reading, writing
from storage.errors import BadInput, NotAllowed
from storage.types import Action, LinkKind, Origin, PairStatus, Project, Role, User
from tests.support.ui import join


def opened(engine: Engine, lead: User, *, reviewed: bool) -> Project:
    """The sample project in one transaction."""
    with writing(engine) as session:
        return sample.begin(session, lead, reviewed=reviewed)


@pytest.fixture
def lead(engine: Engine) -> User:
    """The person who opens the sample."""
    return join(engine, "lea", Role.LEAD)


def test_fresh_it_holds_approved_gold_and_test_rows_and_nothing_else(
    engine: Engine, lead: User
) -> None:
    project = opened(engine, lead, reviewed=False)
    with reading(engine) as session:
        rows = pairs.listing(session, project.id)
        names = people.names(session)
        approvers = set(pairs.approvers(session, [row.id for row in rows]).values())
    assert [row.status for row in rows] == [PairStatus.APPROVED] * 104
    gold = [row for row in rows if row.origin is Origin.GOLD]
    assert len(gold) == 64
    assert not any(row.held_out for row in gold)
    assert {names[row.author_id or 0] for row in gold} == {sample.AUTHOR}
    assert all(row.era_id is not None for row in gold)
    assert sum(row.held_out for row in rows) == 40
    assert [names[one] for one in approvers] == [sample.APPROVER]


def test_part_way_it_also_holds_both_imports_with_their_faults(engine: Engine, lead: User) -> None:
    begun = time.perf_counter()
    project = opened(engine, lead, reviewed=True)
    print(f"opened part-way in {time.perf_counter() - begun:.1f} s")
    planted = json.loads((sample.FOLDER / "planted.json").read_text(encoding="utf-8"))
    with reading(engine) as session:
        stands = pairs.counts(session, project.id)
        waiting = pairs.listing(session, project.id, status=PairStatus.WAITING)
        unscanned = findings.unscanned(session, project.id)
        fine, broken = events.verify(session)
    assert stands[PairStatus.WAITING] == len(planted["schema_violations"]) == 8
    assert sum(stands.values()) == 64 + 40 + 260
    assert all(decisions.problems(project, row.response) for row in waiting)
    assert len(unscanned) == 364
    assert fine > 364
    assert broken is None
    with writing(engine) as session:
        overlaps.sweep(session, lead, project.id)
        kinds = {link.kind for link in overlaps.current(session, project.id)}
        assert kinds == set(LinkKind)
        lines = {line.key: line for line in readiness.report(session, project.id)}
        assert lines["gold"].met
        assert lines["reviewed"].met
        assert not lines["retired_era"].met
        assert audit.draw(session, lead, project.id, 1).drawn == 36


def test_rows_that_the_schema_refuses_are_free_for_the_next_reviewer(
    engine: Engine, lead: User
) -> None:
    project = opened(engine, lead, reviewed=True)
    with writing(engine) as session:
        cards = claims.lease(session, lead, project.id)
        history = pairs.history(session, cards[0].pair.id)
    assert len(cards) == 8
    assert [decision.action for decision in history] == [Action.SKIP]


def test_opening_it_again_gives_the_same_project(engine: Engine, lead: User) -> None:
    first = opened(engine, lead, reviewed=False)
    assert opened(engine, lead, reviewed=True) == first
    with reading(engine) as session:
        assert len(pairs.listing(session, first.id)) == 104
        assert len(people.everyone(session)) == 3


def test_an_expert_may_not_open_it_and_another_project_keeps_its_name(engine: Engine) -> None:
    expert, lead = join(engine, "eva", Role.EXPERT), join(engine, "lea", Role.LEAD)
    with pytest.raises(NotAllowed):
        opened(engine, expert, reviewed=False)
    with writing(engine) as session:
        projects.create(session, lead, sample.about().name, "a task", "a system message")
    with pytest.raises(BadInput, match="already a project named"):
        opened(engine, lead, reviewed=False)
    with reading(engine) as session:
        assert len(people.everyone(session)) == 2
