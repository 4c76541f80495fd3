"""The gold-pair editor alone."""

import dataclasses

import streamlit as st

from curation.review import ops
from pages.label.write.editor import ScratchData, pair_editor
from tests.browser_components import desk
from tests.browser_components.harness_text import GUIDELINES, SCHEMA


def _typed() -> None:
    words = ops.scratch(st.session_state["editor"].get("draft"))
    if words is not None:
        desk.keep_scratch(dataclasses.asdict(words))


def _submitted() -> None:
    asked = ops.submissions(st.session_state["editor"].get("submit"))
    st.session_state["acks"] = {
        pair.op: {"status": (receipt := desk.write_pair(pair)).status, "message": receipt.message}
        for pair in asked
    }


def _problems(words: ScratchData | None) -> list[str]:
    wrong = words is not None and words["response"] and '"team"' not in words["response"]
    return ['"team" is missing: choose one of cards, fraud, loans.'] if wrong else []


def _page() -> None:
    kept = desk.kept_scratch()
    words: ScratchData | None = None
    if kept is not None:
        words = {
            "prompt": kept["prompt"],
            "response": kept["response"],
            "topic": kept["topic"],
            "at": kept["at"],
        }
    near = words is not None and "swallowed" in words["prompt"]
    pair_editor(
        key="editor",
        data={
            "scratch": words,
            "problems": _problems(words),
            "hint": "Pair 12 asks nearly the same." if near else "",
            "acks": st.session_state.get("acks", {}),
            "guidelines": GUIDELINES,
            "schema": SCHEMA,
            "user": 1,
            "project": 1,
            "topics": ["cards", "loans"],
        },
        on_draft_change=_typed,
        on_submit_change=_submitted,
    )


st.set_page_config(page_title="Write", layout="wide")
st.title("Write a gold pair")
_page()
