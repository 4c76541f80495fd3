"""One assistant's message from an endpoint with the published shape of `POST /chat/completions`."""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

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


class _Request(msgspec.Struct):
    model: str
    messages: Chat
    temperature: float
    max_tokens: int
    seed: int


class _Message(msgspec.Struct):
    content: str


class _Choice(msgspec.Struct):
    message: _Message
    finish_reason: object = None


class _Answer(msgspec.Struct):
    choices: list[_Choice]


def complete(calls: Calls, model: str, chat: Chat, wanted: Wanted) -> Completion:
    """The assistant's next message of one chat.

    Raises:
        Unavailable: the endpoint gives none.
    """
    body = _Request(model, list(chat), wanted.temperature, wanted.tokens, wanted.seed)
    answer = calls.post(_PATH, body, _Answer)
    if not answer.choices:
        raise calls.malformed(_PATH)
    choice = answer.choices[0]
    return Completion(choice.message.content, choice.finish_reason != "length")
