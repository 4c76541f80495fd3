"""The answers to the presses of one message; a press that could not be saved now gets none."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from storage.errors import Unavailable

A = TypeVar("A")


class Press(Protocol):
    """Anything with an identity that the browser gave it."""

    @property
    def op(self) -> str:
        """The identity."""


P = TypeVar("P", bound=Press)


@dataclass(slots=True)
class Answers(Generic[A]):
    """What the browser is told. It keeps every press that is not among `acks`, and sends it again
    after a second, for as long as it takes.
    """

    acks: dict[str, A] = field(default_factory=dict)
    delayed: str = ""
    """Why the others could not be saved, and that nothing is lost; "" where all were answered."""

    def take(self, presses: Iterable[P], answer: Callable[[P], A]) -> None:
        """Answer each press in turn, up to the first for which the database has no room or time.

        Nothing of Streamlit is touched: after a commit a newer message could interrupt there.
        """
        self.acks.clear()
        self.delayed = ""
        for press in presses:
            try:
                self.acks[press.op] = answer(press)
            except Unavailable as trouble:
                self.delayed = (
                    f"Not saved yet. {trouble} Nothing is lost: your work is kept in this browser "
                    "and sent again by itself."
                )
                return
