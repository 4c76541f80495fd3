"""Ask an endpoint of the configuration over HTTP: where it may lead, how often, what is repeated.

An address comes from the server's configuration only and redirects are not followed. A host name
is looked up once for each connection, and those addresses are what is connected to, so that a name
cannot lead elsewhere after it was checked. What an endpoint says is never passed on as it is: it
may quote a pair, and a key stands in no message.
"""

import ipaddress
import json
import os
import re
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import quote, urlsplit

import httpcore
import httpx
import msgspec

from storage.errors import BadInput, Unavailable
from training.records.parts import Endpoint
from training.work.evidence import Cancelled

AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Answers after which the same question may be answered a little later."""
SECONDS = httpx.Timeout(120.0, connect=10.0)
_MAX_BYTES = 1 << 20
_LONGEST_WAIT = 30.0
_CODE = re.compile(r"[a-z_]{1,40}")
T = TypeVar("T")
_SLICE = 0.2
"""Seconds between two looks whether the work is still wanted."""


@dataclass(frozen=True, slots=True)
class EndpointError:
    """The `error` object by which an endpoint publishes what went wrong; empty where it did not."""

    code: str = ""
    """A plain word."""
    message: str = ""
    """The endpoint's own, which may quote pairs."""


def error_of(value: object) -> EndpointError:
    """An `error` object, as far as it has the published shape."""
    error = value if isinstance(value, dict) else {}
    code = error.get("code")
    code = code if isinstance(code, str) and _CODE.fullmatch(code) else ""
    return EndpointError(code, str(error.get("message") or ""))


class NoAnswer(Unavailable):
    """An endpoint could not be reached, or did not answer as it should."""

    def __init__(
        self, message: str, status: int = 0, published: EndpointError = EndpointError()
    ) -> None:
        super().__init__(message)
        self.status = status
        """The HTTP status; 0 where there was none."""
        self.published = published
        """The `error` object of the answer, for those who know how much of it may be repeated."""


def addresses(host: str, port: int, *, private: bool, plain: bool) -> list[str]:
    """The addresses that may be connected to for a host of the configuration; all that its name
    leads to, or none.

    Args:
        private: whether a name may lead to an address inside the house. An address that is itself
            written in the configuration, or `localhost`, may be anyway.
        plain: whether the connection is not encrypted, which is for inside the house only.

    Raises:
        NoAnswer: the name is unknown, or leads where nothing may be asked.
    """
    try:
        entries = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise NoAnswer(
            f"The host {host} of an endpoint is not known. Check its address."
        ) from error
    inside = private or _written(host)
    reached = list(dict.fromkeys(str(place[0]) for *_, place in entries))
    for address in reached:
        _refuse(host, address.partition("%")[0], inside=inside, plain=plain)
    return reached


def _written(host: str) -> bool:
    """Whether a host is an address written out, which nobody can make lead elsewhere."""
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return host == "localhost"
    return True


def _refuse(host: str, address: str, *, inside: bool, plain: bool) -> None:
    ip = ipaddress.ip_address(address)
    ip = getattr(ip, "ipv4_mapped", None) or ip
    if ip.is_link_local or ip.is_multicast or ip.is_unspecified:
        raise NoAnswer(f"The host {host} of an endpoint leads to {ip}, which is never asked.")
    if ip.is_global and plain:
        raise NoAnswer(
            f"The address of an endpoint at {host} must begin with https://: it is outside the "
            "house."
        )
    if not ip.is_global and not inside:
        raise NoAnswer(
            f"The host {host} of an endpoint leads inside the house. If that is meant, set "
            "private = true for it in the server's configuration."
        )


class _Checked(httpcore.SyncBackend):
    """Connects to addresses that `addresses` allows, in their order."""

    def __init__(self, *, private: bool, plain: bool) -> None:
        self._private, self._plain = private, plain

    def connect_tcp(self, host: str, port: int, **options: Any) -> httpcore.NetworkStream:  # type: ignore[override]  # noqa: ANN401 - passed on as it is
        *earlier, last = addresses(host, port, private=self._private, plain=self._plain)
        for address in earlier:
            with suppress(httpcore.ConnectError, httpcore.ConnectTimeout):
                return super().connect_tcp(address, port, **options)
        return super().connect_tcp(last, port, **options)


class Calls:
    """Questions to one endpoint.

    Raises:
        BadInput: its address is none.
        Unavailable: on entering, the key it needs is not set.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        tries: int = 3,
        pause: float = 1.0,
        seconds: httpx.Timeout = SECONDS,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> None:
        parts = urlsplit(endpoint.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise BadInput(f"The address of endpoint {endpoint.name} must begin with https://.")
        self._endpoint = endpoint
        self._plain = parts.scheme == "http"
        self._tries, self._pause, self._seconds = tries, pause, seconds
        self._should_stop = should_stop

    def __enter__(self) -> Self:
        headers = {"Accept": "application/json", **self._key()}
        transport = httpx.HTTPTransport(trust_env=False)
        # httpx has no way to say how to connect; its pool has.
        transport._pool._network_backend = _Checked(
            private=self._endpoint.private, plain=self._plain
        )
        self._client = httpx.Client(
            transport=transport,
            timeout=self._seconds,
            follow_redirects=False,
            trust_env=False,
            headers=headers,
        )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._client.close()

    def get(self, path: str, shape: type[T], **query: str | int) -> T:
        """The JSON object at a path."""
        return self.ask("GET", path, shape, params=query)

    def post(self, path: str, body: object, shape: type[T], again: frozenset[int] = AGAIN) -> T:
        """What a path answers to a JSON object."""
        return self.ask("POST", path, shape, again, json=msgspec.to_builtins(body))

    def ask(
        self,
        method: str,
        path: str,
        shape: type[T],
        again: frozenset[int] = AGAIN,
        **request: Any,  # noqa: ANN401 - passed on as it is
    ) -> T:
        """The JSON object that is answered; asked again while the answer is one of `again`.

        Raises:
            NoAnswer: there is none, whatever the reason.
            Cancelled: the work is no longer wanted.
        """
        content = b""
        for attempt in range(self._tries):
            status, content, wait = self._once(method, path, **request)
            if status not in again:
                break
            if attempt + 1 < self._tries:
                longer = max(wait, self._pause * 2**attempt)
                pause(min(_LONGEST_WAIT, longer), self._should_stop)
        self._check(status, content)
        with suppress(ValueError, RecursionError):  # json, as an endpoint may send NaN
            return msgspec.convert(json.loads(content), shape)
        raise self.malformed(path)

    def _once(self, method: str, path: str, **request: Any) -> tuple[int, bytes, float]:  # noqa: ANN401 - passed on as it is
        """Status, content and the seconds the endpoint asks to wait."""
        name, content = self._endpoint.name, b""
        try:
            with self._client.stream(method, self._address(path), **request) as response:
                for chunk in response.iter_bytes():
                    content += chunk
                    if len(content) > _MAX_BYTES:
                        raise NoAnswer(f"Endpoint {name} sent more than 1 MB.")
                wait = response.headers.get("retry-after", "")
                return response.status_code, content, float(wait) if wait.isdigit() else 0.0
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            raise NoAnswer(
                f"Endpoint {name} could not be reached ({type(error).__name__}). Check that it "
                "runs and that the server may connect to it."
            ) from error

    def _address(self, path: str) -> str:
        return self._endpoint.url.rstrip("/") + "/" + quote(path.lstrip("/"))

    def _key(self) -> dict[str, str]:
        variable = self._endpoint.api_key_env
        if variable is None:
            return {}
        key = os.environ.get(variable)
        if not key:
            raise NoAnswer(
                f"Endpoint {self._endpoint.name} needs a key, but {variable} is not set on the "
                "server. Set it and start the server again."
            )
        return {"Authorization": f"Bearer {key}"}

    def _check(self, status: int, content: bytes) -> None:
        name, published = self._endpoint.name, _error_in(content)
        if status in (401, 403):
            message = f"Endpoint {name} refused the key. Check {self._endpoint.api_key_env}."
            raise NoAnswer(message, status, published)
        if status in AGAIN:
            raise NoAnswer(
                f"Endpoint {name} is overloaded or failing (status {status}, asked {self._tries} "
                "times). Try again later.",
                status,
                published,
            )
        if status not in (200, 201):
            raise NoAnswer(
                f"Endpoint {name} answered with status {status}. Check its address and model in "
                "the server's configuration; redirects are not followed.",
                status,
                published,
            )

    def malformed(self, path: str) -> NoAnswer:
        """The sentence for an answer of another shape than the published one."""
        shape = "/".join(part for part in path.split("/") if not any(map(str.isdigit, part)))
        return NoAnswer(
            f"Endpoint {self._endpoint.name} did not answer in the form of {shape}. Check its "
            "address in the server's configuration.",
            200,
        )


def pause(seconds: float, should_stop: Callable[[], bool]) -> None:
    """Wait, unless the work is no longer wanted.

    Raises:
        Cancelled: it is not.
    """
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        if should_stop():
            raise Cancelled
        time.sleep(min(_SLICE, left))


def _error_in(content: bytes) -> EndpointError:
    """The published `{"error": {"message", "code"}}` of an answer."""
    try:
        answer = json.loads(content)
    except (ValueError, RecursionError):
        return EndpointError()
    return error_of(answer.get("error") if isinstance(answer, dict) else None)
