"""One assistant's message from an endpoint with the published shape of `POST /chat/completions`."""

from collections.abc import Sequence
from dataclasses import dataclass

from training.hosted.calls import Calls
from training.models.render import Message

Chat = Sequence[Message]

_PATH = "/chat/completions"


@dataclass(frozen=True, slots=True)
class Wanted:
    """How a text is to be written."""

    tokens: int
    """The most tokens it may have."""
    temperature: float
    """0 for the likeliest text; else how freely it is drawn."""
    seed: int


@dataclass(frozen=True, slots=True)
class Completion:
    """What an endpoint wrote."""

    text: str
    ended: bool
    """Whether the model ended its turn itself; False where it ran into the limit."""


def complete(calls: Calls, model: str, chat: Chat, wanted: Wanted) -> Completion:
    """The assistant's next message of one chat.

    Raises:
        Unavailable: the endpoint gives none.
    """
    body = {
        "model": model,
        "messages": list(chat),
        "temperature": wanted.temperature,
        "max_tokens": wanted.tokens,
        "seed": wanted.seed,
    }
    said = calls.post(_PATH, body)
    try:
        choice = said["choices"][0]
        text = choice["message"]["content"]
    except (LookupError, TypeError):
        text = None
    if not isinstance(text, str):
        raise calls.malformed(_PATH)
    return Completion(text, choice.get("finish_reason") != "length")
