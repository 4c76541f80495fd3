"""A word diff shown as text: what was taken out struck through, what came in underlined.

The words are set with textContent, so nothing in them is ever read as markup.
"""

import re
from difflib import SequenceMatcher

import streamlit as st

from curation import visible
from pages.frame.theme import COMPONENT_CSS

_TOKENS = re.compile(r"\w+|\s+|[^\w\s]")
_LIMIT = 4000
"""Words beyond which comparing them would hold up the page; the texts are shown whole."""

_HTML = '<p class="name"></p><div class="text" tabindex="-1"></div>'
_CSS = (
    COMPONENT_CSS
    + """
.name { margin: 0 0 .2rem; font-size: .875rem; color: var(--assay-quiet); }
.text { padding: .5rem .7rem; border: 1px solid var(--assay-line); border-radius: .4rem;
  font-family: var(--st-code-font); font-size: .875rem; }
ins::before { content: "+"; } del::before { content: "\\2212"; }
ins::before, del::before { font-weight: 700; padding-right: .1em; }
"""
)
_JS = r"""
const TAGS = {same: 'span', gone: 'del', come: 'ins'};
export default function ({data, parentElement}) {
  parentElement.querySelector('.name').textContent = data.name;
  parentElement.querySelector('.text').replaceChildren(...data.parts.map(([kind, words]) => {
    const node = document.createElement(TAGS[kind] || 'span');
    node.textContent = words;
    return node;
  }));
}
"""


def parts(before: str, after: str) -> list[tuple[str, str]]:
    """Runs of words as ("same" | "gone" | "come", words), in reading order."""
    old, new = _TOKENS.findall(visible.reveal(before)), _TOKENS.findall(visible.reveal(after))
    if len(old) + len(new) > _LIMIT:
        replaced = [("gone", "".join(old)), ("come", "".join(new))]
        return [("same", "".join(new))] if old == new else [part for part in replaced if part[1]]
    runs: list[tuple[str, str]] = []
    for tag, a, b, c, d in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if tag == "equal":
            runs.append(("same", "".join(new[c:d])))
            continue
        sides = (("gone", "".join(old[a:b])), ("come", "".join(new[c:d])))
        runs += [side for side in sides if side[1]]
    return runs


def show(name: str, before: str, after: str, *, key: str) -> None:
    """The diff from `before` to `after` in a box under a name; `key` names its widget."""
    # Registered at each draw: a registry belongs to one server runtime, or to one test run.
    component = st.components.v2.component("assay_diff", html=_HTML, css=_CSS, js=_JS)
    component(key=key, data={"name": name, "parts": parts(before, after)})
