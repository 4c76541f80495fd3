"""What takes the place of personal data in a whole project: numbered placeholders, or inventions.

The same words of the same type (case and spacing aside) always get the same one. The database keeps
it under a keyed hash, never beside the words. "Ana" and "Ana Roth" count as two: nobody here knows
that they are one person. Inventions are English, and may by chance be the name of a real person.
"""

import hashlib
import hmac
import json
import secrets
from collections.abc import Callable
from functools import cache
from random import Random
from typing import TYPE_CHECKING

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from curation.personal.pii import Replacement
from curation.personal.placeholders import PLACEHOLDER
from storage.tables import PairRow, ProjectRow, StandInRow

if TYPE_CHECKING:
    from faker import Faker

_TRIES = 200
TEXTS = ("prompt", "response")
"""The fields that a model learns from; anything else that came with a pair gets placeholders."""


def _mail(fake: "Faker", dice: Random) -> str:
    return f"{fake.first_name()}.{fake.last_name()}{dice.randint(1, 999)}@example.com".lower()


_INVENTED: dict[str, Callable[["Faker", Random], str]] = {
    "PERSON": lambda fake, _: f"{fake.first_name()} {fake.last_name()}",
    "LOCATION": lambda fake, _: str(fake.city()),
    "ADDRESS": lambda fake, _: str(fake.street_address()),
    "STREET_ADDRESS": lambda fake, _: str(fake.street_address()),
    "ORGANIZATION": lambda fake, _: str(fake.company()),
    "EMAIL_ADDRESS": _mail,
    "PHONE_NUMBER": lambda _, dice: f"+1 {dice.randint(201, 989)} 555 01{dice.randint(0, 99):02d}",
    "IP_ADDRESS": lambda _, dice: f"192.0.2.{dice.randint(1, 254)}",
    "URL": lambda fake, dice: f"https://{fake.domain_word()}.example.com/{dice.randint(1, 9999)}",
    "DATE_TIME": lambda fake, _: str(fake.date(pattern="%d %B %Y")),
    "DATE_OF_BIRTH": lambda fake, _: str(fake.date(pattern="%d %B %Y")),
}
"""Numbers of cards, accounts and papers are not invented: one could be somebody's."""


class StandIns:
    """The stand-ins of one project: those it has, and new ones until `keep`."""

    def __init__(self, session: Session, project_id: int, replacement: Replacement) -> None:
        self._session = session
        self._project_id = project_id
        self._replacement = replacement
        self._project = session.get_one(ProjectRow, project_id)
        self._key = self._project.scrub_key or secrets.token_hex(32)
        self._new: dict[str, StandInRow] = {}
        self._last: dict[str, int] = {}

    def stand_in(self, field: str, kind: str, surface: str) -> str | None:
        """What stands for these words; None where the pair numbers its own placeholders."""
        if field in TEXTS:
            if self._replacement is Replacement.ROW:
                return None
            if self._replacement is Replacement.SURROGATE and kind in _INVENTED:
                return self._stored("surrogate", kind, surface)
        return self._stored("placeholder", kind, surface)

    def keep(self) -> None:
        """Store the new ones, and the secret they are kept under."""
        self._project.scrub_key = self._key
        self._session.add_all(self._new.values())
        self._session.flush()
        self._new.clear()

    def invented(self, label: str) -> bool:
        """Whether this is one of ours that reads like personal data."""
        return PLACEHOLDER.fullmatch(label) is None

    def _stored(self, sort: str, kind: str, surface: str) -> str:
        message = "\0".join((sort, kind, surface)).encode()
        digest = hmac.new(bytes.fromhex(self._key), message, hashlib.sha256).hexdigest()
        if digest in self._new:
            return self._new[digest].words
        existing = self._session.scalar(
            select(StandInRow.words).where(
                StandInRow.project_id == self._project_id, StandInRow.digest == digest
            )
        )
        if existing is not None:
            return existing
        label = (
            self._numbered(kind) if sort == "placeholder" else self._invent(kind, surface, digest)
        )
        self._new[digest] = StandInRow(
            project_id=self._project_id, type=kind, digest=digest, words=label
        )
        return label

    def _numbered(self, kind: str) -> str:
        if kind not in self._last:
            self._last[kind] = _highest(self._session, self._project_id, kind)
        self._last[kind] += 1
        return f"<{kind}_{self._last[kind]}>"

    def _invent(self, kind: str, surface: str, digest: str) -> str:
        """Drawn from the keyed hash: the same words give the same one, and none leads back."""
        fake, dice = _faker(), Random(digest)  # noqa: S311 - the hash is the secret part
        for _ in range(_TRIES):
            fake.seed_instance(dice.getrandbits(64))
            invention = _INVENTED[kind](fake, dice)
            if (
                invention.casefold() != surface
                and json.dumps(invention) == f'"{invention}"'
                and self._free(invention)
            ):
                return invention
        return self._numbered(kind)

    def _free(self, invention: str) -> bool:
        if any(row.words == invention for row in self._new.values()):
            return False
        query = select(StandInRow.id).where(
            StandInRow.project_id == self._project_id, StandInRow.words == invention
        )
        return self._session.scalar(query) is None


def _highest(session: Session, project_id: int, kind: str) -> int:
    """The highest number that a placeholder of this type has anywhere in the project."""
    like = f"%<{kind}\\_%"
    written = select(PairRow.prompt, PairRow.response).where(
        PairRow.project_id == project_id,
        or_(PairRow.prompt.like(like, escape="\\"), PairRow.response.like(like, escape="\\")),
    )
    numbered = select(StandInRow.words).where(
        StandInRow.project_id == project_id, StandInRow.type == kind
    )
    texts = [text for row in session.execute(written) for text in row]
    texts += session.scalars(numbered)
    matches = (match for text in texts for match in PLACEHOLDER.finditer(text))
    return max((int(match[2]) for match in matches if match[1] == kind), default=0)


@cache
def _faker() -> "Faker":
    """Loaded only where a project asks for inventions."""
    from faker import Faker

    return Faker("en_US")
