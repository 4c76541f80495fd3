"""Memory by part as one stacked bar: each part bears its number in the list below, so that colour
says nothing alone.
"""

from collections.abc import Mapping

import streamlit as st

from pages.frame import shell
from pages.frame.theme import COMPONENT_CSS
from training.launch.estimates import PARTS

_NARROWEST = 0.004
"""A part narrower than this share of the bar is only in the list."""

_JS = """
export default function ({data, parentElement}) {
  const bar = parentElement.querySelector('.bar');
  bar.setAttribute('aria-label', data.words);
  bar.replaceChildren(...data.parts.map(part => {
    const box = document.createElement('div');
    box.className = 'part ' + part.kind;
    box.style.flexGrow = part.share;
    box.textContent = part.share > 0.04 ? part.number : '';
    return box;
  }));
}
"""
_CSS = (
    COMPONENT_CSS
    + """
.bar { display: flex; height: 1.9rem; border: 1px solid var(--assay-quiet);
  border-radius: .35rem; overflow: hidden; }
.part { flex: 0 1 0; min-width: 0; display: flex; align-items: center; justify-content: center;
  font-size: .8rem; font-weight: 600; color: var(--assay-ink);
  background: color-mix(in srgb, var(--assay-accent) var(--tone), var(--assay-paper));
  border-right: 1px solid var(--assay-quiet); }
.part:last-child { border-right: 0; }
.program { --tone: 14%; } .weights { --tone: 46%; } .adapter { --tone: 26%; }
.optimizer { --tone: 46%; } .activations { --tone: 26%; }
.spare { background: repeating-linear-gradient(45deg, transparent 0 5px,
  color-mix(in srgb, var(--assay-quiet) 26%, transparent) 5px 6px); }
.over { background: var(--assay-bad-paper); color: var(--assay-bad); }
"""
)
_HTML = '<div class="bar" role="img"></div>'


def show(parts: Mapping[str, float], room: float, *, key: str) -> None:
    """Draw the parts in MB against the memory there is (`room`), and list them in words."""
    lines = listed(parts, room)
    spare = room - sum(parts.values())
    total = max(room, sum(parts.values()))
    drawn = [(kind, size) for kind, size in parts.items() if size > 0]
    drawn.append(("spare", spare) if spare > 0 else ("over", 0.0))
    boxes = [
        {"kind": kind, "share": size / total, "number": str(number)}
        for number, (kind, size) in enumerate(drawn, 1)
        if size / total > _NARROWEST
    ]
    # Registered at each draw: a registry belongs to one server runtime, or to one test run.
    component = st.components.v2.component("assay_memory_bar", html=_HTML, css=_CSS, js=_JS)
    component(key=key, data={"parts": boxes, "words": "Memory: " + "; ".join(lines)})
    with st.container(gap=None):
        for line in lines:
            shell.note(line)


def listed(parts: Mapping[str, float], room: float) -> list[str]:
    """The bar in words: each part with its size, then what is left over or missing."""
    used = [(kind, size) for kind, size in parts.items() if size > 0]
    lines = [f"{i}: {PARTS[kind]}, {amount(size)}" for i, (kind, size) in enumerate(used, 1)]
    spare = room - sum(parts.values())
    if spare >= 0:
        return [*lines, f"{len(used) + 1}: spare, {amount(spare)} of {amount(room)}"]
    return [*lines, f"Missing: {amount(-spare)}; there are {amount(room)}"]


def amount(mb: float) -> str:
    """MB in words: "7.4 MB", "538 MB" or "1.6 GB"."""
    if mb >= 1000:
        return f"{mb / 1000:.1f} GB"
    return f"{mb:.0f} MB" if mb >= 10 else f"{mb:.1f} MB"
