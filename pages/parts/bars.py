"""Bar charts of counts: each bar bears its name and its number, so colour says nothing alone."""

from collections.abc import Mapping

import streamlit as st

from curation.health.measured import Bars

Bar = dict[str, str | int]
LIMIT = 14
"""Bars of one picture; the page says how many more there are."""
_LINE = 24
"""Pixels of a bar that lies."""


def lying(bars: Bars, key: str) -> None:
    """Names with counts, one below the other."""
    # The chart cuts long names on its axis by itself; cut here, two could become one bar.
    boxes: list[Bar] = [{"name": " ".join(n.split()), "pairs": count} for n, count in bars[:LIMIT]]
    names = {
        "field": "name",
        "type": "nominal",
        "sort": None,
        "title": None,
        "axis": {"labelLimit": 220},
    }
    encoding = {"y": names, "x": _counts(boxes)}
    _draw(boxes, encoding, {"align": "left", "dx": 4}, _LINE * len(boxes) + 50, key)


def standing(bars: Bars, title: str, key: str) -> None:
    """Neighbouring bins with counts."""
    boxes: list[Bar] = [{"name": name, "pairs": count} for name, count in bars]
    bins = {
        "field": "name",
        "type": "nominal",
        "sort": None,
        "title": title,
        "axis": {"labelAngle": -40 if len(bars) > 6 else 0},
    }
    _draw(boxes, {"x": bins, "y": _counts(boxes)}, {"dy": -8}, 220, key)


def _counts(boxes: list[Bar]) -> dict[str, object]:
    """The axis of counts, with room for the longest bar's number."""
    longest = max(int(bar["pairs"]) for bar in boxes)
    return {
        "field": "pairs",
        "type": "quantitative",
        "title": "pairs",
        "scale": {"domain": [0, max(1, longest * 1.12)], "nice": False},
        "axis": {"tickMinStep": 1, "tickCount": 5},
    }


def _draw(
    values: list[Bar],
    encoding: Mapping[str, object],
    offset: Mapping[str, object],
    height: int,
    key: str,
) -> None:
    # Grey at half lightness is read on both backgrounds; a chart cannot ask for the theme's ink.
    number = {"type": "text", "fontSize": 12, "color": "#808495", **offset}
    layers = [
        {"mark": {"type": "bar", "tooltip": True}, "encoding": encoding},
        {"mark": number, "encoding": {**encoding, "text": {"field": "pairs"}}},
    ]
    st.vega_lite_chart(
        {"data": {"values": values}, "layer": layers, "height": height}, width="stretch", key=key
    )
