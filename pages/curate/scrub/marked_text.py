"""Text with findings marked in place: each in a box with its number and kind, not by colour alone.

The browser puts the words in as text, never as markup.
"""

from collections.abc import Mapping, Sequence
from typing import TypedDict

import streamlit as st

from curation import visible
from pages.frame.theme import COMPONENT_CSS
from storage.types import Finding, FindingState

_STATES = {FindingState.ACCEPTED: "accepted", FindingState.DISMISSED: "not personal"}

_JS = """
export default function ({data, parentElement}) {
  const box = parentElement.querySelector('.text');
  box.replaceChildren(...data.parts.map(part => {
    if (!part.mark) return document.createTextNode(part.text);
    const mark = document.createElement('mark');
    const label = document.createElement('span');
    mark.dataset.state = part.state;
    mark.textContent = part.text;
    label.className = 'kind';
    label.textContent = part.mark;
    mark.append(label);
    return mark;
  }));
}
"""
_CSS = (
    COMPONENT_CSS
    + """
.text { line-height: 2.1; max-width: 80ch; }
mark {
  color: var(--assay-warn); background: var(--assay-warn-paper);
  border: 2px solid var(--assay-warn);
  border-radius: .35em; padding: .1em .15em .1em .35em; font-weight: 600;
  box-decoration-break: clone; -webkit-box-decoration-break: clone;
}
mark[data-state=accepted] { text-decoration: line-through; border-style: dashed; }
mark[data-state=dismissed] {
  color: var(--assay-quiet); background: none; border: 1px dotted var(--assay-line);
  font-weight: 400;
}
.kind {
  display: inline-block; text-decoration: none; font-size: .72em; font-weight: 600;
  line-height: 1.5; margin-left: .5em; padding: 0 .45em; border-radius: .3em;
  color: var(--assay-paper); background: var(--assay-warn);
}
mark[data-state=dismissed] .kind { color: var(--assay-quiet); background: none; }
"""
)
_HTML = '<div class="text" role="group"></div>'


class MarkedPart(TypedDict):
    """A stretch of the text; `mark` is empty where nothing was found."""

    text: str
    mark: str
    state: str


def parts(text: str, findings: Sequence[Finding], numbers: Mapping[int, int]) -> list[MarkedPart]:
    """The text cut at its findings, in order; invisible characters are shown."""
    cut: list[MarkedPart] = []
    at = 0
    for finding in sorted(findings, key=lambda finding: finding.start):
        cut.append(_part(text[at : finding.start]))
        verdict = _STATES.get(finding.state)
        mark = f"{numbers[finding.id]} {finding.type}" + (f", {verdict}" if verdict else "")
        cut.append(_part(text[finding.start : finding.end], mark, finding.state))
        at = finding.end
    cut.append(_part(text[at:]))
    return [part for part in cut if part["text"]]


def _part(text: str, mark: str = "", state: str = "") -> MarkedPart:
    return {"text": visible.reveal(text), "mark": mark, "state": state}


def show(text: str, findings: Sequence[Finding], numbers: Mapping[int, int], *, key: str) -> None:
    """Draw a text with its findings, numbered as in `numbers` (by finding)."""
    # Registered at each draw: a registry belongs to one server runtime, or to one test run.
    component = st.components.v2.component("assay_marked_text", html=_HTML, css=_CSS, js=_JS)
    component(key=key, data={"parts": parts(text, findings, numbers)})
