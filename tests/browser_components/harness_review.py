"""The review card alone: a page of the size a real page has, on the desk."""

from typing import Any

import streamlit as st

from curation.review import ops
from curation.review.decisions import Reason
from pages.label.review.review_card import CardData, RecentData, review_card
from tests.browser_components import desk
from tests.browser_components.harness_text import GUIDELINES

REASONS = [*Reason, "A seventh reason", "An eighth", "A ninth", "A tenth, without a key"]


def _problems(text: str) -> list[str]:
    return ['"team" must be one of: cards, fraud, loans.'] if '"wrong"' in text else []


def _card(row: dict[str, Any]) -> CardData:
    return {
        "id": row["id"],
        "version": row["version"],
        "fence": row["fence"],
        "prompt": row["prompt"],
        "response": row["response"],
        "draft_prompt": row["prompt"],
        "draft_response": row["draft"],
        "origin": "draft",
        "labels": ["2025 rules", "cards"],
        "hidden": ["U+200B"] if "\u200b" in row["prompt"] else [],
        "prompt_visible": row["prompt"].replace("\u200b", "⟦U+200B⟧"),
        "response_visible": row["response"],
        "problems": _problems(row["response"]),
    }


def _recent(row: dict[str, Any]) -> RecentData:
    return {
        "op": row["op"],
        "id": row["id"],
        "action": row["action"],
        "title": row["title"],
        "undoable": True,
        "version": row["version"],
        "fence": row["fence"],
    }


def _decided() -> None:
    outbox = st.session_state["review"].get("outbox")
    st.session_state["delayed"] = desk.BUSY if desk.is_busy() else ""
    receipts = desk.decide([] if desk.is_busy() else ops.ops(outbox))
    st.session_state["acks"] = {
        op: {"status": r.status, "message": r.message, "version": r.version, "fence": r.fence}
        for op, r in receipts.items()
    }


def _probed() -> None:
    probe = st.session_state["review"].get("probe") or {}
    st.session_state["answer"] = {"n": probe.get("n"), "problems": _problems(probe["response"])}


def _page() -> None:
    state = st.session_state.get("review")
    outbox = state.get("outbox") if state else None
    have = ops.loaded(outbox)
    cards = desk.hand_out(have, ops.wanted(outbox), 20 - len(have) if len(have) < 12 else 0)
    approved = len(desk.rows("select 1 from row where status = 'approved'"))
    review_card(
        key="review",
        data={
            "cards": [_card(row) for row in cards],
            "acks": st.session_state.get("acks", {}),
            "delayed": st.session_state.get("delayed", ""),
            "recent": [_recent(r) for r in desk.recent()],
            "reasons": REASONS,
            "counts": {"waiting": 60, "approved": approved, "decided_today": 0, "target": 200},
            "median_s": 41.2,
            "user": 1,
            "project": 1,
            "guidelines": GUIDELINES,
            "probe": st.session_state.get("answer"),
        },
        on_outbox_change=_decided,
        on_probe_change=_probed,
    )


st.set_page_config(page_title="Review", layout="wide")
with st.sidebar:
    st.write("Assay")
st.title("Review drafts")
_page()
