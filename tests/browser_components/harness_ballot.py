"""The blind ballot alone, forty items."""

import streamlit as st

from curation.review import ops
from pages.prove.blind.ballot import ItemData, ballot
from tests.browser_components import desk

PLANNED = 40


def _items(have: list[str], wanted: int) -> list[ItemData]:
    voted = desk.standing_votes()
    items: list[ItemData] = []
    for row in desk.rows(f"select * from row order by id limit {PLANNED}"):  # noqa: S608
        if len(items) < wanted and f"i{row['id']}" not in {*voted, *have}:
            items.append(_item(row["id"], row["prompt"], row["response"]))
    return items


def _item(number: int, prompt: str, answer: str) -> ItemData:
    return {
        "item": f"i{number}",
        "prompt": prompt,
        "left": answer,
        "right": "You should write to the cards team, they will help you."
        if number % 2
        else answer,
        "position": number,
        "planned": PLANNED,
    }


def _voted() -> None:
    receipts = desk.vote(ops.ballot_ops(st.session_state["ballot"].get("outbox")))
    st.session_state["acks"] = {
        op: {"status": r.status, "message": r.message} for op, r in receipts.items()
    }


def _page() -> None:
    state = st.session_state.get("ballot")
    have = ops.loaded_items(state.get("outbox")) if state else []
    ballot(
        key="ballot",
        data={
            "items": _items(have, 20 - len(have)) if len(have) < 12 else [],
            "acks": st.session_state.get("acks", {}),
            "done": len(desk.standing_votes()),
            "planned": PLANNED,
            "trial": 1,
            "user": 1,
            "project": 1,
        },
        on_outbox_change=_voted,
    )


st.set_page_config(page_title="Blind", layout="wide")
st.title("Which answer is better?")
_page()
