"""Who writes drafts: the local base model, or an OpenAI-compatible endpoint of the configuration.

An endpoint's address comes from the server's configuration only, never from a page, and redirects
are not followed; what an endpoint keeps of the rows it is sent is its operator's promise, not ours.
"""

import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

import httpx

from storage.errors import BadInput, Unavailable
from training import base_models
from training.evidence import Evidence
from training.render import Message

Chat = Sequence[Message]

_SECONDS = httpx.Timeout(120.0, connect=10.0)
_MOST_BYTES = 1 << 20
_TRIES = 3
_LONGEST_WAIT = 30.0
_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class Wanted:
    """How a text is to be written."""

    tokens: int
    """The most tokens it may have."""
    temperature: float
    """0 for the likeliest text; else how freely it is drawn."""
    seed: int


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


def writer(spec: Mapping[str, Any], held: Evidence) -> Writer:
    """The writer that a job's spec names.

    Raises:
        AssayError: the base model or the endpoint cannot be used.
    """
    if spec.get("endpoint") is not None:
        known = spec["endpoint"]
        return Endpoint(known["name"], known["url"], known["model"], known.get("api_key_env"))
    base = base_models.Base.from_dict(spec["base"])
    folder = base_models.prepare(base, Path(spec["data_dir"]), held.say)
    held.say("Loading the base model.")
    return Local(folder, *base_models.load(folder.path), held)


@dataclass(frozen=True, slots=True)
class Local:
    """A base model in this process."""

    folder: base_models.ModelFolder
    model: Any
    tokenizer: Any
    held: Evidence
    at_once: int = 8

    @property
    def name(self) -> str:
        """The base model's name."""
        return self.folder.name

    def write(self, chats: Sequence[Chat], wanted: Wanted) -> list[str]:
        """Draw with the seed; the same chats and seed give the same texts on one machine."""
        from training import generate, render

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
            should_stop=self.held.cancel_requested,
        )
        return [one.text for one in written]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An endpoint with the published shape of `POST /chat/completions`."""

    known_as: str
    url: str
    model: str
    api_key_env: str | None = None
    at_once: int = 1
    pause: float = field(default=1.0)
    """Seconds before the second try; doubled for the third."""

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise BadInput(f"The address of endpoint {self.known_as} must begin with https://.")

    @property
    def name(self) -> str:
        """Endpoint and model."""
        return f"{self.known_as}/{self.model}"

    def write(self, chats: Sequence[Chat], wanted: Wanted) -> list[str]:
        """Ask for each chat in turn."""
        headers = {"Accept": "application/json", **self._key()}
        with httpx.Client(
            timeout=_SECONDS, follow_redirects=False, trust_env=False, headers=headers
        ) as client:
            return [self._one(client, chat, wanted) for chat in chats]

    def _key(self) -> dict[str, str]:
        if self.api_key_env is None:
            return {}
        key = os.environ.get(self.api_key_env)
        if not key:
            raise Unavailable(
                f"Endpoint {self.known_as} needs a key, but {self.api_key_env} is not set on the "
                "server. Set it and start the server again."
            )
        return {"Authorization": f"Bearer {key}"}

    def _one(self, client: httpx.Client, chat: Chat, wanted: Wanted) -> str:
        body = {
            "model": self.model,
            "messages": list(chat),
            "temperature": wanted.temperature,
            "max_tokens": wanted.tokens,
            "seed": wanted.seed,
        }
        for attempt in range(_TRIES):
            status, content, wait = self._post(client, body)
            if status not in _AGAIN:
                break
            if attempt + 1 < _TRIES:
                time.sleep(min(_LONGEST_WAIT, max(wait, self.pause * 2**attempt)))
        self._check(status)
        return self._text(content)

    def _post(self, client: httpx.Client, body: Mapping[str, Any]) -> tuple[int, bytes, float]:
        """Status, content and the seconds the endpoint asks to wait."""
        content = b""
        try:
            with client.stream("POST", self._address(), json=body) as response:
                for chunk in response.iter_bytes():
                    content += chunk
                    if len(content) > _MOST_BYTES:
                        raise Unavailable(f"Endpoint {self.known_as} sent more than 1 MB.")
                asked = response.headers.get("retry-after", "")
                return response.status_code, content, float(asked) if asked.isdigit() else 0.0
        except httpx.HTTPError as error:
            raise Unavailable(
                f"Endpoint {self.known_as} could not be reached ({type(error).__name__}). Check "
                "that it runs and that the server may connect to it."
            ) from error

    def _address(self) -> str:
        return self.url.rstrip("/") + "/chat/completions"

    def _check(self, status: int) -> None:
        if status in (401, 403):
            raise Unavailable(
                f"Endpoint {self.known_as} refused the key. Check {self.api_key_env}."
            )
        if status in _AGAIN:
            raise Unavailable(
                f"Endpoint {self.known_as} is overloaded or failing (status {status}, asked "
                f"{_TRIES} times). Try again later."
            )
        if status != 200:
            raise Unavailable(
                f"Endpoint {self.known_as} answered with status {status}. Check its address and "
                "model in the server's configuration; redirects are not followed."
            )

    def _text(self, content: bytes) -> str:
        try:
            text = json.loads(content)["choices"][0]["message"]["content"]
        except (ValueError, LookupError, TypeError, RecursionError):
            text = None
        if not isinstance(text, str):
            raise Unavailable(
                f"Endpoint {self.known_as} did not answer in the form of /chat/completions. Check "
                "its address in the server's configuration."
            )
        return text
