"""Tell the browser which of its messages an answer belongs to."""

import streamlit as st

from curation.review.ops import number


def echo(key: str, name: str) -> int:
    """The `n` of the last `name` message of the component `key`; 0 before the first."""
    state = st.session_state.get(key)
    message = state.get(name) if state is not None else None
    return (number(message.get("n")) or 0) if isinstance(message, dict) else 0
