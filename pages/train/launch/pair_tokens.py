"""How pairs look to the model: the chat template's marks, the tokens that are learnt, the lengths.

Read from what a probe wrote; the browser puts the words in as text, never as markup.
"""

from collections.abc import Sequence

import streamlit as st

from curation import statistics, visible
from curation.health.measured import Bars
from pages.frame import shell
from pages.frame.theme import COMPONENT_CSS
from pages.parts import bars, pair_view, progress
from storage.types import Job
from training.launch import probes
from training.records.rendered import RenderedPair, RenderedPairs

_BINS = 6

_JS = """
export default function ({data, parentElement}) {
  const box = parentElement.querySelector('.text');
  box.replaceChildren(...data.stretches.map(part => {
    const span = document.createElement('span');
    span.className = (part.learnt ? 'learnt ' : '') + (part.mark ? 'mark' : '');
    span.textContent = part.text;
    return span;
  }));
}
"""
_CSS = (
    COMPONENT_CSS
    + """
.text { font-family: var(--st-code-font); font-size: .88rem; line-height: 1.9; }
.learnt { color: var(--assay-good); background: var(--assay-good-paper);
  text-decoration: underline; text-decoration-thickness: 2px; text-underline-offset: 3px;
  font-weight: 600; }
.mark { border: 1px solid var(--assay-quiet); border-radius: .3em; padding: 0 .25em;
  margin: 0 .1em; font-size: .85em; }
"""
)
_HTML = '<div class="text" role="group" tabindex="0"></div>'


def show(probe: Job | None) -> None:
    """Example pairs, lengths, and pairs that are too long."""
    rendered = probes.rendered_pairs(progress.folder(probe)) if probe is not None else None
    if rendered is None:
        st.text(
            "Not looked at yet. “Try 4 steps” on the card turns every pair into tokens exactly as "
            "the run will, and shows them here."
        )
        return
    _figures(rendered)
    if rendered.too_long:
        _too_long(rendered)
    _pair(rendered.examples)
    lengths = bins(rendered.lengths)
    shell.note("Pairs by length in tokens, training and validation together:")
    bars.standing(lengths, "tokens", "seen-lengths")


def _figures(pairs: RenderedPairs) -> None:
    lengths = pairs.lengths
    share = pairs.learnt / max(1, sum(lengths))
    shell.stats(
        {
            "Longest pair": f"{max(lengths)} tokens (allowed: {pairs.limit})",
            "Usual pair": f"{pairs.mean:.0f} tokens (average of {len(lengths)})",
            "Learnt": f"{share:.0%} (the answers; the rest is only read)",
        }
    )
    if pairs.shared:
        shell.note(
            f"{pairs.shared} of {pairs.mean:.0f} tokens are the same at the beginning of "
            "every pair; a batch computes them once."
        )


def _too_long(pairs: RenderedPairs) -> None:
    long = pairs.too_long_rows
    count = statistics.count(pairs.too_long, "pair is", "pairs are")
    st.error(f"{count} longer than {pairs.limit} tokens. The run refuses them, it never cuts.")
    st.text("\n".join(f"Pair {pair}: {tokens} tokens" for pair, tokens in long[:20]))
    pair_view.link([pair for pair, _ in long], "Show these pairs")


def _pair(examples: Sequence[RenderedPair]) -> None:
    if not examples:
        return
    place = st.selectbox(
        "Pair",
        range(len(examples)),
        index=len(examples) // 2,
        format_func=lambda i: _name(examples[i]),
        key="seen-row",
        help="From the shortest to the longest training pair.",
    )
    stretches = [
        {"text": visible.reveal(part.text), "learnt": part.learnt, "mark": part.mark}
        for part in examples[place].stretches
    ]
    with st.container(border=True):
        component = st.components.v2.component("assay_rows_seen", html=_HTML, css=_CSS, js=_JS)
        component(key=f"seen-{place}", data={"stretches": stretches})
    shell.note(
        "Boxes are the marks of the chat template. Underlined in green is what is learnt: the "
        "answer and the mark that ends it. Everything else is read and not learnt."
    )


def _name(example: RenderedPair) -> str:
    which = f", {example.answer} answer" if example.answer else ""
    return f"Pair {example.pair_id}{which}, {example.tokens} tokens"


def bins(lengths: Sequence[int]) -> Bars:
    """Lengths in equal bins, as ("from-to", pairs)."""
    low, high = min(lengths), max(lengths)
    width = max(1, -(-(high - low + 1) // _BINS))
    starts = range(low, high + 1, width)
    return tuple(
        (f"{start}-{start + width - 1}", sum(start <= n < start + width for n in lengths))
        for start in starts
    )
