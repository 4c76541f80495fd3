"""A press on each saving page, in a run that ends at any point where Streamlit may end it.

What one press saves (the thing itself, its decision, its line in the log) is there whole or not at
all, and once, however often the press is repeated. Review and Write: test_interrupted.py.
"""

import uuid
from collections.abc import Callable

import pytest
from sqlalchemy import ColumnElement, Engine, func, select
from sqlalchemy.orm import InstrumentedAttribute, Session
from streamlit.testing.v1 import AppTest
from streamlit.testing.v1.element_tree import Button

from curation.gate import audit
from storage.engine import reading, writing
from storage.tables import (
    AuditVerdictRow,
    DecisionRow,
    EventRow,
    FindingRow,
    PairRow,
    ProjectRow,
    RevisionRow,
    SignatureRow,
    VoteRow,
)
from storage.types import Action, Choice, FindingState, PairStatus, Role
from tests.support import curated, stories, streams, tuned
from tests.support.proofs import Proof
from tests.support.ui import OpenPage
from tests.support.yields import Message, Points, presses, tries

pytestmark = pytest.mark.T05


def number(
    session: Session, column: InstrumentedAttribute[int], *conditions: ColumnElement[bool]
) -> int:
    """So many rows there are of a table."""
    return session.scalar(select(func.count(column)).where(*conditions)) or 0


def logged(session: Session, verb: str) -> int:
    """So many lines of the log say this."""
    return number(session, EventRow.id, EventRow.verb == verb)


def beginning(page: AppTest, key: str) -> Callable[[], Button]:
    """The first button whose key begins so."""
    return lambda: next(one for one in page.button if str(one.key).startswith(key))


def test_stand_ins_of_a_pair(
    engine: Engine, open_page: OpenPage, points: Points, proof: Proof
) -> None:
    desk = stories.project(engine)
    words = [(f"I am Ana Roth, ana@example.com, case {n}", stories.CARDS) for n in range(24)]
    places = [("prompt", "Ana Roth", "PERSON"), ("prompt", "ana@example.com", "EMAIL_ADDRESS")]
    rows = curated.approved(engine, desk, words)
    curated.scanned(engine, desk, {row.id: places for row in rows})
    page = open_page("pages/curate/scrub/page.py")

    def figures(session: Session) -> list[float]:
        return [
            number(session, PairRow.id, PairRow.prompt.contains("<PERSON_")),
            number(session, FindingRow.id, FindingRow.state == FindingState.ACCEPTED) / 2,
            logged(session, "finding_accepted") / 2,
        ]

    ended = presses(engine, points, page, beginning(page, "accept-all-"), figures)
    proof(points=ended, partial=0, lost=0)
    assert ended > 10


def test_a_pair_that_is_to_stay(
    engine: Engine, open_page: OpenPage, points: Points, proof: Proof
) -> None:
    desk = stories.project(engine)
    curated.ana(engine)
    page = open_page("pages/curate/duplicates/page.py")
    made = 0

    def ready() -> None:
        nonlocal made
        made += 1
        text = " ".join(f"word{made}of{place}" for place in range(20))
        words = [(text, stories.CARDS), (f"Hello, {text}", stories.CARDS)]
        curated.approved(engine, desk, words)
        curated.compared(engine, desk)
        page.run()

    def figures(session: Session) -> list[float]:
        return [
            number(session, PairRow.id, PairRow.status == PairStatus.REJECTED),
            number(session, DecisionRow.id, DecisionRow.action == Action.REJECT),
            logged(session, "reject"),
        ]

    ended = presses(engine, points, page, beginning(page, "keep-"), figures, ready)
    proof(points=ended, partial=0, lost=0)
    assert ended > 10


def test_a_verdict_of_the_audit(
    engine: Engine, open_page: OpenPage, points: Points, proof: Proof
) -> None:
    desk = stories.project(engine)
    curated.approved(engine, desk, 24)
    ben = stories.person(engine, "ben", Role.REVIEWER)
    with writing(engine) as session:
        audit.draw(session, ben, desk.id, seed=3, share=1)
    page = open_page("pages/curate/audit/page.py", ben)

    def figures(session: Session) -> list[float]:
        return [
            number(session, AuditVerdictRow.id),
            logged(session, "judge"),
            number(session, DecisionRow.id, DecisionRow.action == Action.REOPEN),
            number(session, PairRow.id, PairRow.status == PairStatus.WAITING),
        ]

    ended = presses(engine, points, page, beginning(page, "bad-"), figures)
    proof(points=ended, partial=0, lost=0)
    assert ended > 10


def test_a_blind_vote(engine: Engine, open_page: OpenPage, points: Points, proof: Proof) -> None:
    """Cast and withdrawn in turn."""
    story, evaluation = tuned.compared(engine, 40)
    trial = tuned.planned(engine, story, evaluation)
    ben = stories.person(engine, "ben", Role.REVIEWER)
    page, key = open_page("pages/prove/blind/page.py", ben), f"ballot-{trial.id}-{ben.id}"
    item = streams.shown(page, key)["items"][0]["item"]
    tried, cast = 0, None

    def outbox() -> Message:
        nonlocal cast
        op, choice = str(uuid.uuid4()), Choice.LEFT if cast is None else Choice.WITHDRAWN
        vote = {"op": op, "item": item, "choice": choice, "target": cast}
        cast = op if cast is None else None
        return {"ops": [vote], "have": [], "n": tried}

    for _, data in tries(points, page, key, "outbox", outbox):
        tried += 1
        assert [ack["status"] for ack in data["acks"].values()] == ["saved"]
        with reading(engine) as session:
            assert (number(session, VoteRow.id), logged(session, "vote")) == (tried, tried)
    proof(points=tried - 1, partial=0, lost=0)
    assert tried > 10


def test_a_signature(engine: Engine, open_page: OpenPage, points: Points, proof: Proof) -> None:
    desk = stories.project(engine)
    curated.recorded(engine, desk)
    page = open_page("pages/train/decide/page.py")

    def ready() -> None:
        curated.recorded(engine, desk)
        page.run()

    def figures(session: Session) -> list[float]:
        return [number(session, SignatureRow.id), logged(session, "sign")]

    ended = presses(engine, points, page, beginning(page, "sign-business-"), figures, ready)
    proof(points=ended, partial=0, lost=0)
    assert ended > 10


def test_an_import(engine: Engine, open_page: OpenPage, points: Points, proof: Proof) -> None:
    stories.project(engine)
    page = open_page("pages/label/imports/page.py")
    made = 0

    def ready() -> None:
        nonlocal made
        made += 1
        lines = "".join(f"Case {made} of {line},Yes\n" for line in range(3))
        page.file_uploader[0].upload(
            f"{made}.csv", f"prompt,response\n{lines}".encode(), "text/csv"
        )
        page.run()

    def button() -> Button:
        return next(one for one in page.button if one.label.startswith("Import "))

    def figures(session: Session) -> list[float]:
        return [number(session, PairRow.id) / 3, number(session, RevisionRow.id) / 3]

    ended = presses(engine, points, page, button, figures, ready)
    proof(points=ended, partial=0, lost=0)
    assert ended > 10


def test_a_reopening(engine: Engine, open_page: OpenPage, points: Points, proof: Proof) -> None:
    desk = stories.project(engine)
    rows = curated.approved(engine, desk, 24)
    page = open_page(None, "lea")
    place = "pages/label/browse/page.py"

    def ready() -> None:
        row = rows.pop()
        page.query_params["row"] = str(row.id)
        page.switch_page(place).run()
        page.text_input(key=f"reason-{row.id}-{row.version}").set_value("The policy changed")

    def figures(session: Session) -> list[float]:
        return [
            logged(session, "reopen"),
            number(session, DecisionRow.id, DecisionRow.action == Action.REOPEN),
            number(session, PairRow.id, PairRow.status == PairStatus.WAITING),
        ]

    ended = presses(engine, points, page, beginning(page, "reopen-"), figures, ready)
    proof(points=ended, partial=0, lost=0)
    assert ended > 10


def test_a_beginning(engine: Engine, open_page: OpenPage, points: Points, proof: Proof) -> None:
    page = open_page("pages/operate/home/page.py")
    made = 0

    def ready() -> None:
        nonlocal made
        made += 1
        page.text_input(key="begin-name").set_value(f"Desk {made}")
        page.text_input(key="begin-task").set_value("Say which team takes it.")
        page.text_area(key="begin-system").set_value("You route messages.")

    def figures(session: Session) -> list[float]:
        return [number(session, ProjectRow.id), logged(session, "create")]

    ended = presses(engine, points, page, lambda: page.button(key="begin"), figures, ready)
    proof(points=ended, partial=0, lost=0)
    assert ended > 10


def test_roles(engine: Engine, open_page: OpenPage, points: Points, proof: Proof) -> None:
    ben = stories.person(engine, "ben", Role.EXPERT)
    page = open_page("pages/operate/people/page.py", stories.person(engine, "ida", Role.ADMIN))

    def ready() -> None:
        page.run()
        boxes = [box for box in page.multiselect if str(box.key).startswith(f"roles-{ben.id}-")]
        boxes[0].set_value(["lead"] if boxes[0].value == ["expert"] else ["expert"]).run()

    def figures(session: Session) -> list[float]:
        return [logged(session, "set_roles")]

    ended = presses(engine, points, page, beginning(page, f"save-roles-{ben.id}-"), figures, ready)
    proof(points=ended, partial=0, lost=0)
    assert ended > 10
