"""A small table of words, line by line; and one page at a time of a long list."""

from collections.abc import Sequence
from typing import TypeVar

import streamlit as st

from pages.frame import shell

T = TypeVar("T")


def heads(widths: Sequence[float], titles: Sequence[str]) -> None:
    """The quiet heads of columns of these widths; the last ones may have none."""
    for column, title in zip(st.columns(widths, gap="small"), titles, strict=False):
        with column:
            shell.note(title)


def line(head: str, cells: Sequence[str]) -> None:
    """A head and the words beside it, in columns of equal width."""
    columns = st.columns([1, *[2] * len(cells)])
    for column, cell in zip(columns, [head, *cells], strict=True):
        column.text(cell)


def page(entries: Sequence[T], size: int, key: str) -> Sequence[T]:
    """The chosen page of so many entries; no choice where one page holds them all."""
    pages = max(1, -(-len(entries) // size))
    number = 1
    if pages > 1:
        number = int(st.number_input(f"Page of {pages}", 1, pages, key=key, width=160))
    return entries[(number - 1) * size : number * size]
