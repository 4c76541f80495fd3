"""The health of a set in pieces: where to look first, the checks, the pictures, the limits."""

import streamlit as st

from curation import statistics
from curation.health.report import Measure, Report
from pages.frame import shell
from pages.parts import bars, pair_view

_STANDING = frozenset({"prompt_tokens", "response_tokens"})
_PICTURES = (
    ("labels", "topics"),
    ("prompt_tokens", "response_tokens"),
    ("difficulty", "edge"),
)
_NOUNS = {
    "labels": ("row with a thin label", "rows with thin labels"),
    "topics": ("row of a thin topic", "rows of thin topics"),
    "prompt_tokens": ("long row"),
    "response_tokens": ("long row"),
    "edge": ("edge case"),
}


def figures(report: Report) -> None:
    """The set in four numbers."""
    wrong = {row for one in report.to_look_at() if one.group != "review" for row in one.rows}
    by_key = {one.key: one for one in report.measures}
    shell.stats(
        {
            "Rows": f"{report.n}",
            "Rows to look at": f"{len(wrong)}",
            "Topics": f"{len(by_key['topics'].bars)}",
            "Labels": f"{len(by_key['labels'].bars)}",
        }
    )


def checks(report: Report) -> None:
    """What was found, first things first, and in one line what was not."""
    found = report.to_look_at()
    st.subheader("Rows to look at", anchor=False)
    if not found:
        st.success("No check found a row that looks wrong.")
    for number, one in enumerate(found):
        with st.container(border=True):
            words, way = st.columns([5, 2], vertical_alignment="center")
            with words.container(gap="xxsmall"):
                st.text(f"Look here first: {one.name}" if number == 0 else one.name)
                shell.note(f"{one.told}{_share(one)}")
                if one.bars:
                    shell.note(", ".join(f"{name} {count}" for name, count in one.bars[:8]))
            with way:
                pair_view.link(_ids(one), f"Show {statistics.count(len(one.rows), 'row')}")
    clean = [one for one in report.measures if one.look and not one.rows]
    if clean:
        with st.expander(f"{statistics.count(len(clean), 'check')} that found nothing"):
            st.text("\n".join(f"• {one.name}: {one.told}" for one in clean))


def _share(one: Measure) -> str:
    share = len(one.rows) / one.n
    return f" {share * 100:.1f} %, 95 % interval {statistics.percent(one.share, digits=1)}."


def _ids(one: Measure) -> list[int]:
    return [row for row in one.rows if isinstance(row, int)]


def pictures(report: Report, key: str) -> None:
    """What the set holds: labels, topics, lengths, and what somebody tagged."""
    st.subheader("What the set holds", anchor=False)
    by_key = {one.key: one for one in report.measures}
    for pair in _PICTURES:
        for column, name in zip(st.columns(2, gap="large"), pair, strict=True):
            with column:
                _picture(by_key[name], f"{key}-{name}")


def _picture(one: Measure, key: str) -> None:
    with st.container(gap="xxsmall"):
        st.text(one.name)
        shell.note(one.told)
    if one.bars and one.key in _STANDING:
        bars.standing(one.bars, "tokens (estimated)", key)
    elif one.bars:
        bars.lying(one.bars, key)
        if len(one.bars) > bars.MOST:
            shell.note(f"The {bars.MOST} largest of {len(one.bars)} are drawn.")
    if one.rows:
        pair_view.link(_ids(one), f"Show {statistics.count(len(one.rows), *_NOUNS[one.key])}")


def limits(report: Report) -> None:
    """What the measures do not catch."""
    with st.expander("What these measures do not catch"):
        st.text("\n".join(f"• {one.name}: {one.limits}" for one in report.measures))
