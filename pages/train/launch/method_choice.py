"""Which method tunes the model: one sentence each, and what it usually costs and asks for."""

import streamlit as st

from pages.frame import shell
from pages.parts.methods import TEXTS
from training.settings import METHODS, Method

KEY = "method"


def show() -> Method:
    """The choice; methods that are not installed are not offered."""
    chosen = st.radio(
        "Method",
        list(METHODS),
        format_func=lambda method: TEXTS[method].title,
        captions=[TEXTS[method].summary for method in METHODS],
        key=KEY,
    )
    method = Method(chosen or Method.LORA)
    shell.note(TEXTS[method].cost)
    return method
