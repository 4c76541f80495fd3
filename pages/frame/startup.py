"""What must hold before the server answers: safe settings, one server per folder, a new key."""

import os
import secrets
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

import streamlit as st

from storage.errors import Unavailable
from storage.settings import Settings
from storage.types import Event

_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
_CLOCK_SLACK = timedelta(minutes=10)
"""Computers that ran one after the other on the same folder may differ by so much."""
_MOST: dict[str, int] = {
    "server.maxUploadSize": 50,
    "server.maxMessageSize": 50,
    # A browser sends at most about a million characters of decisions at once, and the fields.
    "server.maxWidgetStateSize": 8,
    # Seconds in which the files and fields of a tab that was closed stay in memory.
    "server.disconnectedSessionTTL": 600,
}
"""Options with a limit, in megabytes where nothing else is said; they are set to it."""
_SECRET_CHARACTERS = 32

_EXACTLY: dict[str, object] = {
    "server.enableCORS": True,
    "server.enableXsrfProtection": True,
    "server.enableStaticServing": False,
    "server.enableWebsocketCompression": False,
    "server.enableExpensiveMemoryStats": False,
    "server.enableAgentApi": False,
    "server.scriptHealthCheckEnabled": False,
    "server.fileWatcherType": "none",
    "server.runOnSave": False,
    "server.allowRunOnSave": False,
    "server.baseUrlPath": "",
    "server.customComponentBaseUrlPath": "",
    "client.showErrorDetails": "none",
    "client.showErrorLinks": False,
    "client.toolbarMode": "viewer",
    "browser.gatherUsageStats": False,
    "runner.magicEnabled": False,
    "logger.enableRich": False,
    "global.developmentMode": False,
    "global.e2eTest": False,
    "global.unitTest": False,
    "global.appTest": False,
}
_NOTHING = (
    "server.corsAllowedOrigins",
    "server.trustedUserHeaders",
    "server.unsafeMetricsUserAttributes",
    "client.allowedOrigins",
)


def faults(option: Callable[[str], object] = st.get_option) -> list[str]:
    """Each setting that would open this server to others or put words into a log, as a sentence."""
    sentences = [
        f"Set {name} to {wanted!r}: it is {option(name)!r}."
        for name, wanted in _EXACTLY.items()
        if option(name) != wanted
    ]
    sentences += [f"Remove {name}." for name in _NOTHING if option(name)]
    sentences += [
        f"Set {name} to {most} or less."
        for name, most in _MOST.items()
        if not 0 < _number(option(name)) <= most
    ]
    if option("browser.serverAddress") not in _LOOPBACK:
        sentences.append("Set browser.serverAddress to localhost.")
    if option("server.xsrfCookieSameSite") == "none":
        sentences.append("Set server.xsrfCookieSameSite to lax: none sends it to other sites.")
    if len(str(option("server.cookieSecret"))) < _SECRET_CHARACTERS:
        sentences.append(
            "Remove server.cookieSecret: a new one is made at each start, and this one is short."
        )
    if option("server.address") not in _LOOPBACK:
        sentences.append("Set server.address to 127.0.0.1: Assay has no sign-in for a network yet.")
    hosts = option("server.allowedHosts")
    if not isinstance(hosts, list) or not hosts or not set(hosts) <= _LOOPBACK:
        sentences.append('Set server.allowedHosts to ["localhost", "127.0.0.1"].')
    if str(option("logger.level")).lower() == "debug":
        sentences.append("Set logger.level to info: debug writes what people type into the log.")
    return sentences


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else 0.0


def refuse_faults() -> None:
    """Refuse to start on an unsafe setting.

    Raises:
        Unavailable: names the settings and what to set them to.
    """
    if sentences := faults():
        raise Unavailable("Unsafe settings in .streamlit/config.toml. " + " ".join(sentences))


def clock(newest: Sequence[Event], now: datetime) -> str:
    """What to say of a clock that was set back behind the newest saved work; "" where it was not.

    Work goes on: what people decide is ordered by its number, not by its time.
    """
    behind = newest[0].at - now if newest else timedelta()
    if behind < _CLOCK_SLACK:
        return ""
    return (
        f"The clock of this computer is {behind.total_seconds() / 3600:,.1f} hours behind the "
        "newest saved work. Look at its date: what is saved now will bear too early a time."
    )


def new_key(config: Settings) -> str:
    """A fresh start-up key, written for its owner alone to the file `token` in the data folder."""
    key = secrets.token_urlsafe(32)
    path = config.data / "token"
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(key)
    return key
