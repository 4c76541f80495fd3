"""Bar charts of counts: each bar bears its name and its number, so colour says nothing alone."""

import streamlit as st

from curation.health_set import Bars

Bar = dict[str, str | int]
_MOST = 14
"""Bars of one picture; the rest is summed in the last one."""
_LINE = 24
"""Pixels of a bar that lies."""


def lying(bars: Bars, key: str) -> None:
    """Names with counts, one below the other."""
    shown: list[Bar] = [{"name": _short(name), "rows": count} for name, count in bars[:_MOST]]
    if rest := bars[_MOST:]:
        shown.append({"name": f"{len(rest)} more", "rows": sum(count for _, count in rest)})
    _draw(
        shown,
        {
            "y": {"field": "name", "type": "nominal", "sort": None, "title": None,
                  "axis": {"labelLimit": 220}},
            "x": {"field": "rows", "type": "quantitative", "title": "rows",
                  "axis": {"tickMinStep": 1, "tickCount": 5}},
        },
        {"align": "left", "dx": 4}, _LINE * len(shown) + 50, key,
    )  # fmt: skip


def standing(bars: Bars, title: str, key: str) -> None:
    """Neighbouring bins with counts."""
    _draw(
        [{"name": name, "rows": count} for name, count in bars],
        {
            "x": {"field": "name", "type": "nominal", "sort": None, "title": title,
                  "axis": {"labelAngle": -40 if len(bars) > 6 else 0}},
            "y": {"field": "rows", "type": "quantitative", "title": "rows",
                  "axis": {"tickMinStep": 1, "tickCount": 5}},
        },
        {"dy": -7}, 220, key,
    )  # fmt: skip


def _draw(
    values: list[Bar],
    encoding: dict[str, object],
    beside: dict[str, object],
    height: int,
    key: str,
) -> None:
    # Grey at half lightness is read on both backgrounds; a chart cannot ask for the theme's ink.
    number = {"type": "text", "fontSize": 12, "color": "#808495", **beside}
    layers = [
        {"mark": {"type": "bar", "tooltip": True}, "encoding": encoding},
        {"mark": number, "encoding": {**encoding, "text": {"field": "rows"}}},
    ]
    st.vega_lite_chart(
        {"data": {"values": values}, "layer": layers, "height": height}, width="stretch", key=key
    )


def _short(name: str) -> str:
    flat = " ".join(name.split())
    return flat if len(flat) <= 32 else flat[:31] + "…"
