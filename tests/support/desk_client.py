"""A reviewer without a browser: speaks to a real server as the page's script does.

One WebSocket, Streamlit's protobuf messages, the review card's outbox: what a load run needs twenty
of. Operations stay in the outbox until the server has answered them, as in the browser.
"""

import json
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any
from uuid import uuid4

from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets import Origin, Subprotocol
from websockets.sync.client import ClientConnection, connect

from tests.support.live import Live

LONGEST_MESSAGE = 64 * 2**20
_SILENCE = 60.0
"""Seconds after which a server that says nothing is given up on."""
_GOODBYE = 0.1
"""Seconds to wait for a server's farewell."""
_PATIENCE = 3.0
"""Seconds after which the browser sends its outbox again."""


@dataclass(slots=True)
class Press:
    """A decision that was sent, and the answer that ended it."""

    op: str
    pair_id: int
    action: str
    begun: float
    status: str = ""
    seconds: float = 0.0


@dataclass(slots=True)
class DeskClient:
    """One person on the Review page."""

    live: Live
    user_id: int
    cards: dict[int, dict[str, Any]] = field(default_factory=dict)
    outbox: dict[str, dict[str, Any]] = field(default_factory=dict)
    presses: dict[str, Press] = field(default_factory=dict)
    shown: list[tuple[int, int]] = field(default_factory=list)
    """Pair and fence of each card that arrived."""
    errors: list[str] = field(default_factory=list)
    """What the server said in a red box, and exceptions on the page."""
    _connection: ExitStack = field(default_factory=ExitStack)
    _socket: ClientConnection | None = None
    _component: str = ""
    _page: str = ""
    _number: int = 0

    def open(self) -> None:
        """Open the page in a new session."""
        self.drop()
        connecting = _connecting(self.live, self.user_id)
        self._socket = self._connection.enter_context(connecting)
        self._component = self._page = ""
        self._send({})
        self._hear()

    def drop(self) -> None:
        """Lose the connection without a word, as a laptop that is closed."""
        if self._socket is not None:
            self._socket.socket.close()
            self._connection.close()
            self._socket = None

    def decide(self, action: str = "approve", *, twice: bool = False) -> Press | None:
        """Decide the first card and wait for the answer; None where there is no card."""
        if self._socket is None:
            self.open()
        if not self.cards:
            self.refresh()
            return None
        press = self.begin(action)
        self.deliver(twice=twice)
        return press

    def begin(self, action: str) -> Press:
        """Put a decision about the first card into the outbox; it is not sent yet."""
        card = self.cards.pop(next(iter(self.cards)))
        op = {
            "op": str(uuid4()),
            "row": card["id"],
            "version": card["version"],
            "fence": card["fence"],
            "action": action,
            "reason": "Other" if action == "reject" else None,
        }
        self.outbox[op["op"]] = op
        press = Press(op["op"], card["id"], action, time.monotonic())
        self.presses[press.op] = press
        return press

    def deliver(self, *, twice: bool = False) -> None:
        """Send the outbox until all of it is answered."""
        if self._socket is None:
            self.open()
        until = time.monotonic() + _SILENCE
        while self.outbox and time.monotonic() < until:
            self.say()
            if twice:
                self.say()
                twice = False
            self._hear(lambda: not self.outbox, _PATIENCE)

    def refresh(self) -> None:
        """Ask for cards."""
        self.say()
        self._hear()

    def say(self) -> None:
        """Send the outbox, as it is."""
        self._number += 1
        message = {
            "ops": list(self.outbox.values()),
            "have": list(self.cards),
            "want": [],
            "n": self._number,
        }
        self._send({"outbox": message})

    def _send(self, messages: Mapping[str, object]) -> None:
        assert self._socket is not None
        back = BackMsg()
        back.rerun_script.page_name = "review"
        back.rerun_script.page_script_hash = self._page
        if messages and self._component:
            state = back.rerun_script.widget_states.widgets.add()
            state.id = self._component
            state.json_value = json.dumps(messages)
        self._socket.send(back.SerializeToString())

    def _hear(self, enough: Callable[[], bool] = lambda: False, seconds: float = _SILENCE) -> None:
        """Read until the page is drawn, or holds enough, or the server is silent for so long."""
        assert self._socket is not None
        while not enough():
            message = ForwardMsg()
            try:
                message.ParseFromString(self._socket.recv(timeout=seconds, decode=False))
            except TimeoutError:
                return
            kind = message.WhichOneof("type")
            if kind == "navigation":
                self._page = message.navigation.page_script_hash
            elif kind == "delta":
                self._element(message.delta.new_element)
            elif kind == "script_finished" and self._component:
                return

    def _element(self, element: Any) -> None:  # noqa: ANN401 - protobuf
        kind = element.WhichOneof("type")
        if kind == "alert" and element.alert.format == element.alert.ERROR:
            self.errors.append(element.alert.body)
        elif kind == "exception":
            self.errors.append(element.exception.type)
        elif kind == "bidi_component" and element.bidi_component.id.endswith("-review"):
            self._component = element.bidi_component.id
            self._take(json.loads(element.bidi_component.json))

    def _take(self, data: dict[str, Any]) -> None:
        for op, ack in data["acks"].items():
            press = self.presses.get(op)
            if self.outbox.pop(op, None) is not None and press is not None:
                press.status = ack["status"]
                press.seconds = time.monotonic() - press.begun
        deciding = {op["row"] for op in self.outbox.values()}
        for card in data["cards"]:
            if card["id"] not in deciding:
                self.cards[card["id"]] = card
                self.shown.append((card["id"], card["fence"]))


def visit(live: Live, user_id: int, address: str) -> float:
    """Seconds from opening a page in a new session to its last element."""
    begun = time.monotonic()
    with _connecting(live, user_id) as socket:
        back = BackMsg()
        back.rerun_script.page_name = address
        socket.send(back.SerializeToString())
        message = ForwardMsg()
        while message.WhichOneof("type") != "script_finished":
            message.ParseFromString(socket.recv(timeout=_SILENCE, decode=False))
        return time.monotonic() - begun


def _connecting(live: Live, user_id: int) -> AbstractContextManager[ClientConnection]:
    """The WebSocket of a person's browser."""
    cookies = "; ".join(
        f"assay_{kind}_{_folder(live)}={value}"
        for kind, value in (("key", live.key), ("profile", str(user_id)))
    )
    return connect(
        f"ws://{live.host}/_stcore/stream",
        origin=Origin(live.url),
        additional_headers={"Cookie": cookies},
        subprotocols=[Subprotocol("streamlit")],
        max_size=LONGEST_MESSAGE,
        open_timeout=_SILENCE,
        close_timeout=_GOODBYE,
    )


def _folder(live: Live) -> str:
    """How the server tells its cookies apart; see `pages.frame.security.cookie_name`."""
    return sha256(str(live.data).encode()).hexdigest()[:8]
