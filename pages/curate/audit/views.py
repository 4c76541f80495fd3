"""The audit in pieces: drawing it, judging one pair, and what the sample proves."""

import secrets

import streamlit as st

from curation import statistics
from curation.gate import audit, sampling
from pages.curate.audit import strata
from pages.frame import shell
from pages.frame.plain import plain
from pages.frame.wiring import act, looking
from pages.parts import fields, pair_view
from storage.types import Pair, Project, User

_SEEDS = 1_000_000


def draw(user: User, project: Project, ready: int, label: str) -> None:
    """The seed, and the button that draws a sample of the approved pairs."""
    key = f"audit-seed-{project.id}"
    st.session_state.setdefault(key, secrets.randbelow(_SEEDS))
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.number_input(
            "Seed: the same seed draws the same pairs",
            min_value=0,
            max_value=_SEEDS,
            step=1,
            key=key,
            width=320,
        )
        st.button(
            f"{label}: {sampling.size(ready)} of {statistics.count(ready, 'approved pair')}",
            key=f"draw-{project.id}",
            type="primary",
            on_click=_draw,
            args=(user, project.id, key),
        )


def _draw(user: User, project_id: int, key: str) -> None:
    act("The pairs are drawn.", audit.draw, user, project_id, int(st.session_state[key]))


def judge(user: User, project: Project, pair: Pair) -> None:
    """One drawn pair: its words, and nothing about where it comes from or who approved it."""
    form = f"audit-{pair.id}-{pair.version}"
    with st.container(border=True):
        st.badge(f"Pair {pair.id}", color="gray")
        pair_view.texts(pair)
        with st.expander("Guidelines"):
            st.text(project.guidelines or "This project has no guidelines.")
        fields.line(user, form, "note", "Note (where it is bad: what is wrong)")
        with st.container(horizontal=True):
            for good, label in ((True, "Good: fit to learn from"), (False, "Bad: back to review")):
                st.button(
                    label,
                    key=f"{'good' if good else 'bad'}-{pair.id}-{pair.version}",
                    on_click=_judge,
                    args=(user, pair.id, pair.version, form, good),
                )


def _judge(user: User, pair_id: int, version: int, form: str, good: bool) -> None:
    note = fields.value(form, "note").strip() or None
    done = "Judged good." if good else "Judged bad; it goes back to review."
    act(done, audit.judge, user, pair_id, version, good=good, note=note)


def someone_else(user: User, project: Project, waiting: int) -> None:
    """Nothing here is for this person: who can go on."""
    with looking() as session:
        others = [
            auditor.name for auditor in audit.auditors(session, project.id) if auditor.id != user.id
        ]
    who = ", ".join(others) if others else "nobody who has a profile here yet"
    st.info(
        plain(
            f"You wrote or approved the {statistics.count(waiting, 'pair')} still to judge, and "
            f"nobody audits their own work. Who can: {who}."
        )
    )
    if not others:
        shell.link("people", "Ask an admin for one more expert or reviewer")


def outcome(result: audit.AuditResult) -> None:
    """The figures, with what they prove."""
    bad = result.judged - result.good
    shell.stats(
        {
            "Judged": _judged(result),
            "Good": f"{result.good}",
            "Bad": f"{bad}",
            "Proven good": f"{result.proven * 100:.0f} %" if result.judged else "nothing yet",
        }
    )
    if result.judged:
        shell.note(
            f"Good: {statistics.rate(result.good, result.judged)}; exact (Clopper-Pearson) "
            f"{statistics.percent((result.exact_low, result.exact_high))}. With 95 % "
            f"confidence at least {result.proven * 100:.1f} % of what comes from these hands is "
            f"good, and of these {result.population} pairs themselves at least "
            f"{result.proven_finite * 100:.1f} %: there are only so many (finite-population "
            "correction). To prove 95 % the first counts, which asks for more. "
            f"Drawn with seed {result.seed}."
        )


def _judged(result: audit.AuditResult) -> str:
    judged = f"{result.judged} of {result.drawn}"
    if result.beside:
        judged += f" (and {result.beside} beside, of groups that the sample left out)"
    return judged


def after(
    user: User, project: Project, result: audit.AuditResult, ready: int, bad: list[int]
) -> None:
    """What can be done once every drawn pair is judged."""
    if bad:
        st.warning(f"{statistics.count(len(bad), 'bad pair is', 'bad pairs are')} back in review.")
        shell.link("review", "Repair in Review")
    strata.show(user, project, result)
    if result.failed:
        shell.note("With a group that fails, more pairs prove nothing: repair it, then draw anew.")
    elif result.more:
        _more(user, project, result)
    else:
        st.success("At least 95 % of the pairs are good: proven with 95 % confidence.")
    shell.link("ready", "See what is still missing")
    with st.expander("Draw a new audit"):
        draw(user, project, ready, "Draw anew")


def _more(user: User, project: Project, result: audit.AuditResult) -> None:
    st.button(
        f"Audit {result.more} more to prove 95 %",
        key=f"extend-{result.audit_id}",
        on_click=act,
        args=("More pairs are drawn.", audit.extend, user, project.id),
    )
    shell.note(
        f"The verdicts so far count on: {result.drawn + result.more} pairs with no further bad one "
        "prove it. Where fewer pairs are left, all of them are drawn."
    )
