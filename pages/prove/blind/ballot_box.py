"""Vote in an open blind trial: hands the component opaque items, takes each vote exactly once.

What reaches the browser is one input and two texts an item. Which model wrote which is known only
to `training.proving.blind`, and to everyone once a lead has closed the trial.
"""

import streamlit as st
from sqlalchemy import Engine

from curation import visible
from curation.review import ops
from curation.review.ops import Answer, BallotOp
from pages.frame.wiring import engine, looking
from pages.parts.stream.answers import Answers
from pages.prove.blind.ballot import ItemData, VoteAck, ballot
from storage.engine import PRESS_MILLISECONDS, writing
from storage.errors import AssayError, Unavailable
from storage.types import Ballot, Trial, User
from training.proving import blind

_LOW, _FULL = 12, 20
"""Items the browser holds: fewer than `_LOW` are filled up to `_FULL`."""


@st.fragment
def show(user: User, trial: Trial, project_id: int) -> None:
    """The ballot of one person in one open trial."""
    key = f"ballot-{trial.id}-{user.id}"
    answers: Answers[VoteAck] = st.session_state.setdefault(f"acks-{key}", Answers())
    message = _message(key)
    with looking() as session:
        if blind.get(session, trial.id).closed_at is not None:
            st.rerun()  # the page shows the result instead
        have = ops.loaded_items(message)
        wanted = _FULL - len(have) if len(have) < _LOW else 0
        items = blind.ballots(session, user, trial.id, have, wanted) if wanted else []
        done = blind.voted(session, trial.id, user.id)
    ballot(
        key=key,
        data={
            "items": [_item(item) for item in items],
            "acks": answers.acks,
            "delayed": answers.delayed,
            "done": done,
            "planned": trial.planned,
            "trial": trial.id,
            "user": user.id,
            "project": project_id,
        },
        on_outbox_change=lambda: _take(user, trial.id, key, answers),
    )


def _message(key: str) -> object:
    """The outbox that the browser sent last."""
    state = st.session_state.get(key)
    return state.get("outbox") if state is not None else None


def _item(item: Ballot) -> ItemData:
    return {
        "item": item.item,
        "prompt": visible.reveal(item.prompt),
        "left": visible.reveal(item.left),
        "right": visible.reveal(item.right),
        "position": item.position,
        "planned": item.planned,
    }


def _take(user: User, trial_id: int, key: str, answers: Answers[VoteAck]) -> None:
    """Apply the outbox, each vote in its own transaction; without an answer it is sent again.

    Nothing of `st.*` follows the first commit: each such call may end this run.
    """
    votes, store = ops.ballot_ops(_message(key)), engine()
    answers.take(votes, lambda vote: _cast(store, user, trial_id, vote))


def _cast(store: Engine, user: User, trial_id: int, op: BallotOp) -> VoteAck:
    try:
        with writing(store, PRESS_MILLISECONDS) as session:
            receipt = blind.vote(session, user, trial_id, op)
    except Unavailable:
        raise  # says nothing of the vote: it is taken as soon as it can be
    except AssayError as error:
        return {"status": Answer.REFUSED.value, "message": str(error)}
    return {"status": receipt.status.value, "message": receipt.message}
