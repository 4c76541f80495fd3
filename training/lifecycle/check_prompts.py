"""A project's own red-team prompts: what an answer must say, and must not say."""

from collections.abc import Iterable
from datetime import UTC, datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from storage import events
from storage.access import allowed
from storage.blank import trim
from storage.errors import BadInput, NotFound
from storage.tables import CheckPromptRow
from storage.types import CheckPrompt, Role, User
from storage.values import value_of

_MOST, _LONGEST, _MOST_PHRASES, _LONGEST_PHRASE = 100, 4_000, 10, 80


def listing(session: Session, project_id: int) -> list[CheckPrompt]:
    """The project's own red-team prompts in use, oldest first."""
    query = (
        select(CheckPromptRow)
        .where(CheckPromptRow.project_id == project_id, CheckPromptRow.dropped_at.is_(None))
        .order_by(CheckPromptRow.id)
    )
    return [
        value_of(CheckPrompt, row, must=tuple(row.must), must_not=tuple(row.must_not))
        for row in session.scalars(query)
    ]


@allowed(Role.LEAD)
def add(
    session: Session,
    actor: User,
    project_id: int,
    prompt: str,
    must: Iterable[str],
    must_not: Iterable[str],
) -> int:
    """Add a prompt to the checks to come; returns its id.

    Raises:
        BadInput: no prompt, no words to judge by, or too much of either.
    """
    must, must_not = _phrases(must), _phrases(must_not)
    prompt = trim(prompt)
    if not 1 <= len(prompt) <= _LONGEST:
        raise BadInput(f"Give a prompt of 1 to {_LONGEST:,} characters.")
    if not must and not must_not:
        raise BadInput("Say at least one word that the answer must have, or must not have.")
    if len(listing(session, project_id)) >= _MOST:
        raise BadInput(f"A project has at most {_MOST} prompts of its own. Take one out first.")
    row = CheckPromptRow(
        project_id=project_id,
        prompt=prompt,
        must=must,
        must_not=must_not,
        user_id=actor.id,
    )
    session.add(row)
    session.flush()
    events.record(session, actor, "add", "check_prompt", row.id, project_id=project_id)
    return row.id


def _phrases(lines: Iterable[str]) -> list[str]:
    phrases = list(dict.fromkeys(word for line in lines if (word := trim(" ".join(line.split())))))
    if len(phrases) > _MOST_PHRASES or any(len(word) > _LONGEST_PHRASE for word in phrases):
        raise BadInput(
            f"Give at most {_MOST_PHRASES} words or phrases of at most {_LONGEST_PHRASE} "
            "characters."
        )
    return phrases


@allowed(Role.LEAD)
def drop(session: Session, actor: User, prompt_id: int) -> None:
    """Take a prompt out of the checks to come; what was checked with it stays.

    Raises:
        NotFound: it is not in use.
    """
    row = session.get(CheckPromptRow, prompt_id)
    if row is None or row.dropped_at is not None:
        raise NotFound(f"There is no prompt {prompt_id} in use.")
    row.dropped_at = datetime.now(UTC)
    session.flush()
    events.record(session, actor, "drop", "check_prompt", prompt_id, project_id=row.project_id)
