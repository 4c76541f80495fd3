"""The review card on its page: pairs handed out, decisions taken, each answered for good."""

import streamlit as st
from sqlalchemy import Engine

from curation import visible
from curation.gate import signals
from curation.review import claims, decisions, ops, pace
from curation.review.ops import Op, Receipt
from curation.review.pace import Progress, Recent
from pages.frame.plain import plain
from pages.frame.wiring import engine, looking
from pages.label.review.review_card import (
    Ack,
    CardData,
    CountsData,
    ProbeData,
    RecentData,
    review_card,
)
from pages.parts.stream.answers import Answers
from storage.engine import PRESS_MILLISECONDS, reading, writing
from storage.errors import AssayError, Unavailable
from storage.types import Card, Project, User

_KEY = "review"
_ANSWERS = "review-answers"
_ENOUGH = 12
"""Cards in the browser's memory above which no more are handed out."""
_LIMIT = 20


def show(user: User, project: Project) -> Progress:
    """The card with its queue; gives back the figures above it.

    It stands outside any `st.fragment`: see `review_card`.
    """
    answers = st.session_state.setdefault(_ANSWERS, Answers())
    cards = _hand_out(user, project)
    with looking() as session:
        figures = pace.progress(session, user, project.id)
        recent = pace.recent(session, user, project.id)
    review_card(
        key=_KEY,
        data={
            "cards": [_card(user, project, entry) for entry in cards],
            "acks": answers.acks,
            "delayed": answers.delayed,
            "recent": [_recent(entry) for entry in recent],
            "reasons": list(decisions.Reason),
            "counts": _counts(figures),
            "median_s": figures.median_s,
            "user": user.id,
            "project": project.id,
            "guidelines": project.guidelines,
            "probe": _probe(project),
        },
        on_outbox_change=lambda: _decide(user),
        on_probe_change=lambda: None,
    )
    return figures


def _message(name: str) -> object:
    state = st.session_state.get(_KEY)
    return state.get(name) if state is not None else None


def _hand_out(user: User, project: Project) -> list[Card]:
    """Pairs that the browser lacks. On a fresh visit all that the person holds, so that cards the
    browser still has from before are replaced by what they are now."""
    message = _message("outbox")
    wanted = set(ops.wanted(message))
    loaded = [row for row in ops.loaded(message) if row not in wanted]
    deciding = bool(ops.ops(message))
    if deciding and len(loaded) >= _ENOUGH and not wanted:
        return []
    try:
        with writing(engine(), PRESS_MILLISECONDS) as session:
            return claims.lease(session, user, project.id, loaded, limit=_LIMIT)
    except Unavailable:
        return []  # the browser asks again
    except AssayError as error:
        st.error(plain(str(error)))
        return []


def _card(user: User, project: Project, card: Card) -> CardData:
    pair = card.pair
    drawn: CardData = {
        "id": pair.id,
        "version": pair.version,
        "fence": card.fence,
        "prompt": pair.prompt,
        "response": pair.response,
        "draft_prompt": card.draft_prompt,
        "draft_response": card.draft_response,
        "origin": f"{pair.origin}{', test pair' * pair.held_out}{', flagged' * pair.flagged}",
        "labels": [label for label in (card.era, pair.topic) if label],
        "hidden": [char.code for char in visible.hidden(f"{pair.prompt}\n{pair.response}")],
        "problems": list(decisions.problems(project, pair.response)),
        "mine": pair.author_id == user.id,
    }
    if drawn["hidden"]:
        drawn["prompt_visible"] = visible.reveal(pair.prompt)
        drawn["response_visible"] = visible.reveal(pair.response)
    return drawn


def _recent(recent: Recent) -> RecentData:
    return {
        "op": recent.op,
        "id": recent.pair_id,
        "action": recent.action.value,
        "title": visible.reveal(recent.title),
        "undoable": recent.undoable,
        "version": recent.version,
        "fence": recent.fence,
    }


def _counts(figures: Progress) -> CountsData:
    return {
        "waiting": figures.waiting,
        "approved": figures.approved,
        "decided_today": figures.decided_today,
        "target": max(signals.REVIEWED, figures.approved + figures.waiting),
    }


def _probe(project: Project) -> ProbeData | None:
    """What the schema says to the words being typed into the card."""
    message = _message("probe")
    if not isinstance(message, dict):
        return None
    number, response = ops.number(message.get("n")), message.get("response")
    if number is None or not isinstance(response, str) or len(response) > ops.LONGEST_TEXT:
        return None
    return {"n": number, "problems": list(decisions.problems(project, response))}


def _decide(user: User) -> None:
    """Take each decision in a transaction of its own.

    Nothing of Streamlit is touched after the first one: there a newer message could interrupt
    this run, and the answers would be lost.
    """
    pending, database = ops.ops(_message("outbox")), engine()
    answers: Answers[Ack] = Answers()
    st.session_state[_ANSWERS] = answers
    answers.take(pending, lambda op: _ack(_receipt(database, user, op)))


def _receipt(database: Engine, user: User, op: Op) -> Receipt:
    try:
        with writing(database, PRESS_MILLISECONDS) as session:
            return decisions.decide(session, user, op)
    except Unavailable:
        raise  # says nothing of the decision: it is taken as soon as it can be
    except AssayError as error:
        with reading(database) as session:
            return decisions.refused(session, op, str(error))


def _ack(receipt: Receipt) -> Ack:
    return {
        "status": receipt.status.value,
        "message": receipt.message,
        "version": receipt.version,
        "fence": receipt.fence,
    }
