"""Which method tunes the model: one sentence each, and what it usually costs and asks for."""

from dataclasses import dataclass

import streamlit as st

from pages.frame import shell
from training.settings import METHODS, Method

KEY = "method"


@dataclass(frozen=True, slots=True)
class Note:
    """A method in plain words; the cost is what practitioners report for a model of 7B."""

    title: str
    summary: str
    cost: str


NOTES = {
    Method.LORA: Note(
        "LoRA",
        "A small addition beside the base model learns. The usual choice.",
        "Reaches 90 to 95 % of full tuning. A 7B model asks for one A100 and 50 to 1,000 USD a "
        "run; a small one trains on this computer.",
    ),
    Method.QLORA: Note(
        "QLoRA",
        "LoRA on a base held in 4 bits: a quarter of the memory, slower steps.",
        "Reaches 85 to 90 % of full tuning. A 7B model fits a consumer GPU with 24 GB; 10 to 500 "
        "USD a run.",
    ),
    Method.FULL: Note(
        "Full",
        "Every weight of the base model learns. For 5,000 pairs and more.",
        "The highest ceiling. A 7B model asks for four A100 and 500 to 5,000 USD and more a run; "
        "the result is as large as the base.",
    ),
    Method.PREFERENCE: Note(
        "Preference",
        "An adapter learns further which of two answers people prefer.",
        "Costs as LoRA does. For after a first run, where good is a matter of taste.",
    ),
    Method.PROVIDER: Note(
        "Provider",
        "A company tunes its own model on your pairs, which leave the house.",
        "0.80 to 25 USD per million tokens, no hardware. Only where data may leave.",
    ),
}


def show() -> Method:
    """The choice; methods that are not installed are not offered."""
    chosen = st.radio(
        "Method",
        list(METHODS),
        format_func=lambda method: NOTES[method].title,
        captions=[NOTES[method].summary for method in METHODS],
        key=KEY,
    )
    method = Method(chosen or Method.LORA)
    shell.note(NOTES[method].cost)
    return method
