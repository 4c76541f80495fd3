"""The health of a set in pieces: where to look first, the checks, the pictures, the limits."""

import streamlit as st

from curation import statistics
from curation.health.measured import Measure
from curation.health.report import HealthReport
from pages.frame import shell
from pages.parts import bars, pair_view

_STANDING = frozenset({"prompt_tokens", "response_tokens"})
_PICTURES = (
    ("labels", "topics"),
    ("prompt_tokens", "response_tokens"),
    ("difficulty", "edge"),
)
_NOUNS = {
    "labels": ("pair with a thin label", "pairs with thin labels"),
    "topics": ("pair of a thin topic", "pairs of thin topics"),
    "prompt_tokens": ("long pair", "long pairs"),
    "response_tokens": ("long pair", "long pairs"),
    "edge": ("edge case", "edge cases"),
}


def figures(report: HealthReport) -> None:
    """The set in four numbers."""
    by_key = {measure.key: measure for measure in report.measures}
    shell.stats(
        {
            "Pairs": f"{report.n}",
            "Pairs to look at": f"{report.suspects}",
            "Topics": f"{len(by_key['topics'].bars)}",
            "Labels": f"{len(by_key['labels'].bars)}",
        }
    )


def checks(report: HealthReport) -> None:
    """What was found, first things first, and in one line what was not."""
    to_check = report.to_look_at()
    st.subheader("Pairs to look at", anchor=False)
    if not to_check:
        st.success("No check found a pair that looks wrong.")
    for number, measure in enumerate(to_check):
        with st.container(border=True):
            left, way = st.columns([5, 2], vertical_alignment="center")
            with left.container(gap="xxsmall"):
                st.text(f"Look here first: {measure.name}" if number == 0 else measure.name)
                shell.note(f"{measure.summary}{_share(measure)}")
                if measure.bars:
                    shell.note(", ".join(f"{name} {count}" for name, count in measure.bars[:8]))
            with way:
                pair_view.link(_ids(measure), _show(measure, "pair", "pairs"))
    clean = [measure for measure in report.measures if measure.look and not measure.rows]
    if clean:
        with st.expander(f"{statistics.count(len(clean), 'check')} that found nothing"):
            st.text("\n".join(f"• {measure.name}: {measure.summary}" for measure in clean))


def _share(measure: Measure) -> str:
    share = measure.count / measure.n
    return f" {share * 100:.1f} %, 95 % interval {statistics.percent(measure.share, digits=1)}."


def _ids(measure: Measure) -> list[int]:
    return [row for row in measure.rows if isinstance(row, int)]


def _show(measure: Measure, noun: str, plural: str) -> str:
    first = f"the first {len(measure.rows)} of " if measure.beyond else ""
    return f"Show {first}{statistics.count(measure.count, noun, plural)}"


def pictures(report: HealthReport, key: str) -> None:
    """What the set holds: labels, topics, lengths, and what somebody tagged."""
    st.subheader("What the set holds", anchor=False)
    by_key = {measure.key: measure for measure in report.measures}
    for pair in _PICTURES:
        for column, name in zip(st.columns(2, gap="large"), pair, strict=True):
            with column:
                _picture(by_key[name], f"{key}-{name}")


def _picture(measure: Measure, key: str) -> None:
    with st.container(gap="xxsmall"):
        st.text(measure.name)
        shell.note(measure.summary)
    if measure.bars and measure.key in _STANDING:
        bars.standing(measure.bars, "tokens (estimated)", key)
    elif measure.bars:
        bars.lying(measure.bars, key)
        if len(measure.bars) > bars.LIMIT:
            shell.note(f"The {bars.LIMIT} largest of {len(measure.bars)} are drawn.")
    if measure.rows:
        pair_view.link(_ids(measure), _show(measure, *_NOUNS[measure.key]))


def limits(report: HealthReport) -> None:
    """What the measures do not catch."""
    with st.expander("What these measures do not catch"):
        st.text("\n".join(f"• {measure.name}: {measure.limits}" for measure in report.measures))
