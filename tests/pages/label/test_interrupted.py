"""A run of a saving page that ends at any point where Streamlit may end it: nothing is half.

Streamlit ends a run where it touches `st.*` or the session state: a newer message came, or the tab
was closed. The browser then sends its outbox again.
"""

import uuid
from typing import Any

import pytest
from sqlalchemy import Engine, func, select

from storage.engine import reading
from storage.tables import DecisionRow, PairRow
from tests.support import stories, streams
from tests.support.proofs import Proof
from tests.support.ui import OpenPage
from tests.support.yields import Points, tries

Message = dict[str, Any]


def statuses(data: Message) -> list[str]:
    """What became of what was sent."""
    return [ack["status"] for ack in data["acks"].values()]


def count(engine: Engine, row: type[DecisionRow | PairRow]) -> int:
    """So many there are."""
    with reading(engine) as session:
        return session.scalar(select(func.count(row.id))) or 0


@pytest.mark.T05
def test_decisions_are_whole_wherever_the_run_of_their_page_ends(
    engine: Engine, open_page: OpenPage, points: Points, proof: Proof
) -> None:
    desk, ben = stories.project(engine), stories.person(engine, "ben")
    stories.waiting(engine, desk, stories.messages(300))
    page = open_page("pages/label/review/page.py", ben)
    cards = streams.shown(page, "review")["cards"]
    tried = 0

    def outbox() -> Message:
        ops = [
            {
                **{"op": str(uuid.uuid4()), "row": card["id"], "version": card["version"]},
                **{"fence": card["fence"], "action": action, "reason": "Other"},
            }
            for card, action in zip(cards[:2], ("approve", "reject"), strict=True)
        ]
        return {"ops": ops, "have": [], "n": tried}

    for sent, data in tries(points, page, "review", "outbox", outbox):
        tried += 1
        assert statuses(data) == ["saved", "saved"]
        assert count(engine, DecisionRow) == 2 * tried
        cards = [
            card for card in data["cards"] if card["id"] not in {op["row"] for op in sent["ops"]}
        ]
    proof(points=tried - 1, partial=0, lost=0)
    assert tried > 10


@pytest.mark.T05
def test_a_gold_pair_is_whole_wherever_the_run_of_its_page_ends(
    engine: Engine, open_page: OpenPage, points: Points, proof: Proof
) -> None:
    stories.project(engine)
    page = open_page("pages/label/write/page.py", "ana")
    words, tried = stories.messages(300), 0

    def submission() -> Message:
        prompt, response = words[tried]
        op = {"op": str(uuid.uuid4()), "prompt": prompt, "response": response, "topic": None}
        return {"ops": [op], "n": tried}

    for _, data in tries(points, page, "editor", "submit", submission):
        tried += 1
        assert statuses(data) == ["saved"]
        assert count(engine, PairRow) == tried
    proof(points=tried - 1, partial=0, lost=0)
    assert tried > 10
