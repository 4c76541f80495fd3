"""The result of a closed blind trial, with everything by which anyone can recompute it."""

import json
from collections.abc import Sequence

import streamlit as st

from curation import statistics
from pages.frame import shell
from pages.frame.plain import plain
from pages.frame.wiring import looking
from storage.types import Trial
from training.proving import blind
from training.proving.verdicts import Tally, TrialResult

_FEW = 6


def show(trial: Trial) -> None:
    """Verdict, rates with n and interval, each reviewer, and the secret."""
    with looking() as session:
        result = blind.result(session, trial.id)
        ledger = blind.ledger(session, trial.id)
    total = result.total
    st.text(trial.question)
    say = {"better": st.success, "worse": st.error}.get(result.verdict, st.info)
    say(plain(f"Verdict: {result.verdict}. {result.why}"))
    shell.stats(
        {
            "Tuned won": statistics.rate(total.tuned, total.decisive),
            "Sign test, two-sided": f"p = {result.p_value:.4f}",
            "Ties": statistics.rate(total.tie, total.n),
            "Both bad": statistics.rate(total.both_bad, total.n),
        }
    )
    _reviewers(result.reviewers)
    _doubts(result)
    _recompute(trial, result, json.dumps(ledger, indent=2))


def _reviewers(tallies: Sequence[Tally]) -> None:
    with st.container(border=True):
        st.subheader("By reviewer", anchor=False)
        lines = [
            f"{tally.name}: tuned {tally.tuned}, base {tally.base}, ties {tally.tie}, "
            f"both bad {tally.both_bad}; won {statistics.rate(tally.tuned, tally.decisive)}"
            for tally in tallies
        ]
        st.text("\n".join(lines))
        if len(tallies) < _FEW:
            shell.note(
                f"With fewer than {_FEW} reviewers this speaks for these reviewers and inputs, "
                "not for people in general."
            )


def _doubts(result: TrialResult) -> None:
    total = result.total
    with st.container(border=True):
        st.subheader("How far to trust it", anchor=False)
        st.text(
            "Of the decisive votes, the left answer got "
            f"{statistics.rate(result.left_presses, total.decisive)}.\n"
            f"The tuned answer stood left in {round(result.left_tuned * 100)} % of the votes.\n"
            f"{result.familiar} of {total.n} votes came from people who had approved or written "
            "that input's expected answer, and may have known it again."
        )
        shell.note(
            "Not measured: whether reviewers could tell the models apart by style, and how far "
            "they agree on the same input."
        )


def _recompute(trial: Trial, result: TrialResult, ledger: str) -> None:
    with st.expander("Recompute it yourself"):
        st.text(
            "The sha256 of the secret was published before the first vote. With the secret, anyone "
            "can order each reviewer's inputs and see that no side was chosen afterwards."
        )
        shell.note("Published when the trial was planned (sha256 of the secret)")
        st.code(trial.commitment, language=None)
        shell.note("The secret")
        st.code(result.secret, language=None)
        st.download_button(
            "Download items, votes and sides",
            ledger,
            file_name=f"trial-{trial.id}-{trial.commitment[:16]}.json",
            mime="application/json",
            key=f"ledger-{trial.id}",
            on_click="ignore",
        )
