"""The audit by origin, author and era: which of them fails, and the way back to review."""

import streamlit as st

from curation import statistics
from curation.gate import audit
from curation.gate.audit import AuditResult, Part
from curation.gate.sampling import Stratum
from pages.frame import shell
from pages.frame.wiring import act, looking
from pages.parts import pair_view, table
from storage import people, projects
from storage.types import Origin, Project, Role, User
from training import asks

_WIDTHS = [4, 1.2, 1.4, 1, 2.4, 2]


def show(user: User, project: Project, result: AuditResult) -> None:
    """Each stratum with its figures; those with bad pairs can be sent back by a lead."""
    if not result.parts:
        return
    with looking() as session:
        names = people.names(session)
        eras = {era.id: era.name for era in projects.eras(session, project.id)}
        reopenable = {
            part.stratum: len(audit.reopening(session, project.id, part.stratum))
            for part in result.parts
            if part.bad
        }
    st.subheader("By origin, author and era", anchor=False)
    with st.container(border=True, gap="small"):
        titles = ("Pairs that came about alike", "Pairs", "Judged", "Bad", "Good, 95 %", "")
        table.heads(_WIDTHS, titles)
        for part in result.parts:
            _line(user, project, part, named(part, names, eras), reopenable.get(part.stratum, 0))
    shell.note(
        "A group fails where so many bad pairs would be rarer than 1 in 20 if only 5 % of it were "
        "bad; two at least. Small samples miss much: of 10 pairs judged, a group with 20 % bad "
        "pairs fails one time in three. The interval is exact (Clopper-Pearson)."
    )


def named(part: Part, names: dict[int, str], eras: dict[int, str]) -> str:
    """A stratum in words."""
    stratum = part.stratum
    parts = [pair_view.ORIGINS[Origin(stratum.origin)]]
    if stratum.author_id is not None:
        parts.append(f"by {names.get(stratum.author_id, 'someone')}")
    if stratum.era_id is not None:
        parts.append(f"era {eras.get(stratum.era_id, stratum.era_id)}")
    return " · ".join(parts)


def _line(user: User, project: Project, part: Part, name: str, reopenable: int) -> None:
    title, size, judged, bad, good, state = st.columns(_WIDTHS, gap="small")
    title.text(name)
    size.text(f"{part.rows}")
    judged.text(f"{part.judged}")
    bad.text(f"{part.bad}")
    good.text(statistics.percent((part.low, part.high)) if part.judged else "nothing judged")
    with state:
        if part.failed:
            st.badge("Fails", icon=":material/close:", color="red")
        elif part.bad:
            st.badge("Bad pairs", icon=":material/warning:", color="orange")
        elif part.judged:
            st.badge("No bad pair", icon=":material/check:", color="green")
    if reopenable:
        _reopen(user, project, part, name, reopenable)
    elif part.failed:
        shell.note("All its pairs are back in review. Draw a new audit once they are repaired.")


def _reopen(user: User, project: Project, part: Part, name: str, reopenable: int) -> None:
    remaining = statistics.count(reopenable, "pair")
    if Role.LEAD not in user.roles:
        if part.failed:
            shell.note(f"A lead can send the other {remaining} of this group back to review.")
        return
    with st.expander(f"Send this group back to review ({remaining})", expanded=part.failed):
        st.text(
            f"{name}: {part.bad} of {statistics.count(part.judged, 'pair')} judged are bad; at "
            f"most {part.high * 100:.0f} % of the group are good with 97.5 % confidence. All its "
            f"approved pairs but those judged good go back: {remaining}, each by a decision in "
            "your name."
        )
        stratum = part.stratum
        st.button(
            f"Send {remaining} back",
            key=f"reopen-{stratum.origin}-{stratum.author_id}-{stratum.era_id}-{part.bad}-{part.judged}-{reopenable}",
            type="primary" if part.failed else "secondary",
            on_click=_send_back,
            args=(user, project.id, stratum, (part.bad, part.judged, reopenable)),
        )


def _send_back(
    user: User, project_id: int, stratum: Stratum, figures: tuple[int, int, int]
) -> None:
    """At once, or by a job of the project where the pairs are many."""
    if figures[-1] > audit.LARGE:
        message = "They go back now; see above."
        act(message, asks.reopen_stratum, user, project_id, stratum, figures)
        return
    message = f"{statistics.count(figures[-1], 'pair')} back in review."
    act(message, audit.reopen_stratum, user, project_id, stratum, figures)
