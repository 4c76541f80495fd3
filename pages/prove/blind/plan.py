"""Plan a blind trial, and see it through while it is open: turnout by name, never a score."""

import streamlit as st

from curation import statistics
from pages.frame import shell
from pages.frame.wiring import FormValue, act, looking
from storage import people
from storage.types import Arm, Comparison, Role, Trial, User
from training.proving import best_prompt, blind, comparisons
from training.records import cards

_PREFERENCES = (60, 65, 70, 80)
"""Shares in per cent for which the votes needed are shown."""
_LIKELY = 70


def form(user: User, by_id: dict[int, Comparison], names: dict[int, str]) -> None:
    """Choose what is judged and how often; everything is fixed before the first vote."""
    chosen = st.selectbox(
        "Answers to judge",
        list(by_id),
        format_func=lambda i: names[i],
        key="plan-evaluation",
    )
    prompting = cards.summary(by_id[chosen]).method.prompting
    shell.note(f"The base model got {best_prompt.prompt_used(prompting)}.")
    rows = by_id[chosen].summary["n"]
    left, right = st.columns(2)
    number, who, what = f"plan-n-{chosen}", f"plan-who-{chosen}", f"plan-question-{chosen}"
    planned = left.number_input("Inputs each reviewer judges", 1, rows, value=rows, key=number)
    with looking() as session:
        voters = [person.name for person in people.everyone(session) if person.roles - {Role.ADMIN}]
    invited = right.multiselect("Who is asked to vote", voters, key=who)
    question = st.text_input("Question", value=blind.QUESTION, max_chars=200, key=what)
    _power(int(planned), len(invited))
    _personal(by_id[chosen])
    _rules(int(planned), rows, question)
    st.button(
        "Start the trial",
        type="primary",
        key=f"plan-{chosen}",
        on_click=act,
        args=(
            *("The trial is open.", blind.plan, user, chosen),
            *(FormValue(number), FormValue(what), FormValue(who)),
        ),
    )


def _power(planned: int, reviewers: int) -> None:
    """What so many votes can show, and how many a preference takes."""
    votes = planned * max(1, reviewers)
    chance = round(statistics.power(votes, _LIKELY / 100) * 100)
    needed = ", ".join(
        f"{statistics.needed_decisive(share / 100)} for {share} %" for share in _PREFERENCES
    )
    st.text(
        f"{reviewers or 'One'} reviewer{'' if reviewers < 2 else 's'} times {planned} inputs "
        f"give at most {votes} decisive votes (neither a tie nor both bad).\n"
        f"If people truly prefer one model {_LIKELY} % of the time, so many votes show it with a "
        f"chance of {chance} %."
    )
    shell.note(
        f"Decisive votes needed for a chance of 80 %, by true preference: {needed}. "
        "Several votes on one input are not independent, so inputs count for more than people."
    )


def _personal(comparison: Comparison) -> None:
    """For the lead who plans: how many inputs show voters personal data; never whose answer."""
    by_arm = [comparisons.personal(comparison, arm) for arm in (Arm.BASE, Arm.TUNED)]
    if any(pairs is None for pairs in by_arm):
        shell.note("Nobody has looked for personal data in these answers: voters may see some.")
        return
    all_pairs = {pair_id for pairs in by_arm for pair_id in pairs or ()}
    share = statistics.rate(len(all_pairs), comparison.summary["n"])
    st.text(
        f"Personal data was found in answers to {share} inputs, or an answer could not be read "
        "whole. Voters will see it."
    )


def _rules(planned: int, rows: int, question: str) -> None:
    with st.container(border=True):
        st.subheader("What is fixed and hashed before the first vote", anchor=False)
        st.text(
            f"Question: {question}\n"
            f"Inputs: {planned} of {rows}, drawn by a secret; its sha256 is published at once, "
            "the secret when the trial is closed, so that anyone can recompute every side.\n"
            "Sides: the tuned answer stands left in half of each reviewer's inputs.\n"
            "Measure: the tuned model's share of decisive votes, exact two-sided sign test, 5 %.\n"
            "Ties and both bad: left out of the test, always reported.\n"
            "End: a lead closes it once at least one reviewer has judged every input. "
            "Nobody sees a score before that."
        )


def watch(user: User, trial: Trial) -> None:
    """For leads, while it is open: who has voted how often, what was registered, and closing."""
    with looking() as session:
        cast = blind.turnout(session, trial.id)
    with st.expander("Turnout, registration, closing"):
        lines = [f"{name}: {n} of {trial.planned} judged" for name, n in sorted(cast.items())]
        st.text("\n".join(lines) or "Nobody has voted yet.")
        shell.note(f"Registered as sha256 {trial.registration['sha256']}.")
        shell.note(f"Secret committed to as sha256 {trial.commitment}.")
        st.button(
            "Close the trial for good",
            key=f"close-{trial.id}",
            on_click=act,
            args=("Closed. The sides are revealed.", blind.close, user, trial.id),
        )
        shell.note("Closing reveals the sides and cannot be undone; no vote counts after it.")


def judgeable(by_id: list[Comparison]) -> dict[int, Comparison]:
    """The comparisons that have answers of both models."""
    return {
        comparison.id: comparison for comparison in by_id if Arm.TUNED.value in comparison.summary
    }
