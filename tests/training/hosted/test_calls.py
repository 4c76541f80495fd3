"""Where an endpoint of the configuration may lead: nothing inside the house unless it was meant."""

import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from storage.errors import BadInput
from training.hosted import calls
from training.hosted.calls import Calls, NoAnswer
from training.records.parts import Endpoint

INSIDE = "leads inside the house"
NEVER = "is never asked"


class Canary:
    """A listener on this machine that nothing may reach."""

    def __init__(self) -> None:
        self.reached = 0
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self.reached += 1
            connection.close()

    def close(self) -> None:
        """End it."""
        self._socket.close()


@pytest.fixture
def canary() -> Iterator[Canary]:
    """A listener that runs for one test."""
    listener = Canary()
    yield listener
    listener.close()


def _ask(url: str, *, private: bool = False) -> None:
    with Calls(Endpoint("house", url, "m", private=private), tries=1, pause=0.01) as connection:
        connection.get("/models", object)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("http://2130706433:{port}/v1", INSIDE),
        ("http://0x7f000001:{port}/v1", INSIDE),
        ("http://0177.0.0.1:{port}/v1", "could not be reached"),
        ("http://127.1:{port}/v1", INSIDE),
        ("http://0:{port}/v1", NEVER),
        ("http://0.0.0.0:{port}/v1", NEVER),
        ("http://[::]:{port}/v1", NEVER),
        ("http://169.254.169.254/latest", NEVER),
        ("http://[fe80::1]/v1", NEVER),
        ("http://[::ffff:169.254.169.254]/v1", NEVER),
        ("http://224.0.0.1/v1", NEVER),
        ("http://8.8.8.8/v1", "must begin with https://"),
        ("http://no-such-host.invalid/v1", "is not known"),
    ],
)
def test_addresses_that_are_never_asked(canary: Canary, url: str, message: str) -> None:
    with pytest.raises(NoAnswer, match=message):
        _ask(url.format(port=canary.port))
    assert canary.reached == 0


@pytest.mark.parametrize("url", ["file:///etc/passwd", "gopher://127.0.0.1/", "//127.0.0.1", ""])
def test_addresses_of_another_kind(url: str) -> None:
    with pytest.raises(BadInput, match="must begin with https://"):
        _ask(url)


def test_a_name_that_leads_inside_needs_to_be_meant(
    canary: Canary, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The resolver is the one part that stands in: a public name for an address of this machine."""
    monkeypatch.setattr(socket, "getaddrinfo", _resolver({"api.example": ["127.0.0.1"]}))
    url = f"http://api.example:{canary.port}/v1"
    with pytest.raises(NoAnswer, match=INSIDE):
        _ask(url)
    assert canary.reached == 0
    with pytest.raises(NoAnswer, match="could not be reached"):
        _ask(url, private=True)
    assert canary.reached == 1


def test_one_bad_address_of_a_name_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    resolver = _resolver({"api.example": ["8.8.8.8", "10.0.0.7"]})
    monkeypatch.setattr(socket, "getaddrinfo", resolver)
    with pytest.raises(NoAnswer, match=INSIDE):
        calls.addresses("api.example", 443, private=False, plain=False)


def test_each_address_of_a_name_is_tried(canary: Canary, monkeypatch: pytest.MonkeyPatch) -> None:
    resolver = _resolver({"api.example": ["127.0.0.2", "127.0.0.1"]})
    monkeypatch.setattr(socket, "getaddrinfo", resolver)
    with pytest.raises(NoAnswer, match="could not be reached"):
        _ask(f"http://api.example:{canary.port}/v1", private=True)
    assert canary.reached == 1


def test_a_name_that_changes_after_it_was_checked_leads_nowhere_else(
    canary: Canary, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name is looked up once; the second answer of a rebinding resolver is never asked for."""
    answers = iter([["192.0.2.1"], ["127.0.0.1"]])
    hosts: list[str] = []

    def once(host: str, port: int, **_rest: Any) -> list[Any]:  # noqa: ANN401
        hosts.append(host)
        return list(_resolver({host: next(answers)})(host, port))

    monkeypatch.setattr(socket, "getaddrinfo", once)
    with pytest.raises(NoAnswer):
        _ask(f"http://rebind.example:{canary.port}/v1")
    assert hosts == ["rebind.example"]
    assert canary.reached == 0


def _resolver(names: dict[str, list[str]]) -> Any:  # noqa: ANN401 - stands for getaddrinfo
    plain = socket.getaddrinfo

    def look(host: str, port: int, *rest: Any, **more: Any) -> list[Any]:  # noqa: ANN401
        if host not in names:
            return list(plain(host, port, *rest, **more))
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (ip, port)) for ip in names[host]]

    return look
