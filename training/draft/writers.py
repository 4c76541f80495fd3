"""Who writes drafts: the local base model, or an OpenAI-compatible endpoint of the configuration.

How endpoints are asked stands in `calls`; what an endpoint keeps of the rows it is sent is its
operator's promise, not ours.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from storage.errors import BadInput
from training.hosted.calls import Calls
from training.hosted.completions import Chat, Wanted, complete
from training.models import base_models
from training.records.parts import Endpoint
from training.records.tasks import DraftTask
from training.work.evidence import Evidence


class Writer(Protocol):
    """Continues chats."""

    @property
    def name(self) -> str:
        """The model's name, as drafts carry it."""

    @property
    def at_once(self) -> int:
        """How many chats it is best given at a time."""

    def write(self, chats: Sequence[Chat], wanted: Wanted) -> list[str]:
        """The assistant's next message of each chat, as it came."""


def writer(task: DraftTask, hold: Evidence) -> Writer:
    """The writer that a task names.

    Raises:
        AssayError: the base model or the endpoint cannot be used.
    """
    if task.endpoint is not None:
        return EndpointWriter(task.endpoint)
    if task.base is None:
        raise BadInput("The drafts name neither a base model nor an endpoint. Ask for them again.")
    folder = base_models.prepare(task.base, Path(task.data_dir), hold.say)
    hold.say("Loading the base model.")
    return LocalWriter(folder, *base_models.load(folder.path), hold)


@dataclass(frozen=True, slots=True)
class LocalWriter:
    """A base model in this process."""

    folder: base_models.ModelFolder
    model: Any
    tokenizer: Any
    hold: Evidence
    at_once: int = 8

    @property
    def name(self) -> str:
        """The base model's name."""
        return self.folder.name

    def write(self, chats: Sequence[Chat], wanted: Wanted) -> list[str]:
        """Draw with the seed; the same chats and seed give the same texts on one machine."""
        from training.models import render
        from training.proving import generate

        ids = [render.chat_ids(self.tokenizer, chat) for chat in chats]
        drawn = wanted.temperature > 0
        pick = generate.sampled(wanted.seed, wanted.temperature) if drawn else generate.greedy
        written = generate.complete(
            self.model,
            self.tokenizer,
            ids,
            wanted.tokens,
            pick,
            self.at_once,
            should_stop=self.hold.cancel_requested,
        )
        return [answer.text for answer in written]


@dataclass(frozen=True, slots=True)
class EndpointWriter:
    """An endpoint with the published shape of `POST /chat/completions`."""

    endpoint: Endpoint
    at_once: int = 1
    pause: float = 1.0
    """Seconds before the second try; doubled for the third."""

    @property
    def name(self) -> str:
        """Endpoint and model."""
        return f"{self.endpoint.name}/{self.endpoint.model}"

    def write(self, chats: Sequence[Chat], wanted: Wanted) -> list[str]:
        """Ask for each chat in turn."""
        with Calls(self.endpoint, pause=self.pause) as calls:
            return [complete(calls, self.endpoint.model, chat, wanted).text for chat in chats]
