"""The server refuses unsafe settings and every request that does not hold the key."""

import stat
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import streamlit as st

from pages.frame import startup
from pages.frame.security import HEADERS, host_allowed, origin_allowed
from storage import folder
from storage.settings import ROOT, Settings
from tests.support.live import Answer, Headers, Live, ask, free_port, launch, open_socket, running
from tests.support.patience import PATIENCE

CONFIG = tomllib.loads((ROOT / ".streamlit/config.toml").read_text())


def _shipped(name: str) -> object:
    section, _, option = name.partition(".")
    return CONFIG.get(section, {}).get(option, st.get_option(name))


BAD: list[tuple[str, object]] = [
    ("server.enableCORS", False),
    ("server.enableXsrfProtection", False),
    ("server.enableStaticServing", True),
    ("server.enableAgentApi", True),
    ("server.scriptHealthCheckEnabled", True),
    ("server.fileWatcherType", "auto"),
    ("server.runOnSave", True),
    ("server.baseUrlPath", "assay"),
    ("server.corsAllowedOrigins", ["https://evil.example"]),
    ("server.trustedUserHeaders", {"X-User": "name"}),
    ("server.maxUploadSize", 200),
    ("server.maxMessageSize", 0),
    ("server.maxWidgetStateSize", 25),
    ("server.disconnectedSessionTTL", 86_400),
    ("server.enableWebsocketCompression", True),
    ("server.enableExpensiveMemoryStats", True),
    ("server.allowRunOnSave", True),
    ("server.customComponentBaseUrlPath", "https://evil.example"),
    ("server.unsafeMetricsUserAttributes", ["email"]),
    ("server.xsrfCookieSameSite", "none"),
    ("server.cookieSecret", "secret"),
    ("browser.serverAddress", "evil.example"),
    ("client.allowedOrigins", ["https://*.streamlit.app"]),
    ("server.address", "0.0.0.0"),  # noqa: S104 - the refused setting
    ("server.address", None),
    ("server.address", "192.168.1.5"),
    ("server.allowedHosts", []),
    ("server.allowedHosts", ["*"]),
    ("server.allowedHosts", ["localhost", "evil.example"]),
    ("client.showErrorDetails", "full"),
    ("client.showErrorLinks", True),
    ("client.toolbarMode", "developer"),
    ("browser.gatherUsageStats", True),
    ("runner.magicEnabled", True),
    ("logger.enableRich", True),
    ("logger.level", "debug"),
    ("global.developmentMode", True),
    ("global.e2eTest", True),
    ("global.unitTest", True),
    ("global.appTest", True),
]


def test_the_shipped_settings_are_safe() -> None:
    assert startup.faults(_shipped) == []


@pytest.mark.parametrize(("name", "value"), BAD)
def test_an_unsafe_setting_is_named(name: str, value: object) -> None:
    faults = startup.faults(lambda option: value if option == name else _shipped(option))
    assert len(faults) == 1
    assert name in faults[0]


def _luminance(colour: str) -> float:
    parts = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    linear = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(first: str, second: str) -> float:
    """The contrast of two colours as WCAG 2 defines it, 1 to 21."""
    low, high = sorted((_luminance(first), _luminance(second)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_theme_can_be_read(scheme: str) -> None:
    theme = CONFIG["theme"][scheme]
    papers = (theme["backgroundColor"], theme["secondaryBackgroundColor"])
    for paper in papers:
        assert contrast(theme["textColor"], paper) >= 12
        assert contrast(theme["primaryColor"], paper) >= 3
        assert contrast(theme["borderColor"], paper) >= 2.6
        for name in ("link", "redText", "orangeText", "greenText", "blueText", "grayText"):
            assert contrast(theme[f"{name}Color"], paper) >= 6, name
    assert contrast("#ffffff", theme["primaryColor"]) >= 4.5  # words on a primary button


def test_no_font_or_picture_is_named_by_address() -> None:
    assert "://" not in str(CONFIG["theme"])


def test_a_key_is_new_each_time_and_for_its_owner_alone(tmp_path: Path) -> None:
    keys = {startup.new_key(Settings(tmp_path)) for _ in range(3)}
    assert len(keys) == 3
    assert stat.S_IMODE((tmp_path / "token").stat().st_mode) == 0o600


def test_one_server_per_data_folder(tmp_path: Path) -> None:
    config = Settings(tmp_path)
    with folder.hold(config), pytest.raises(folder.Occupied, match="Another Assay server"):
        folder.hold(config)
    folder.hold(config).close()


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "127.0.0.1.evil.example",
        "x@127.0.0.1",
        "127.0.0.1:x",
        "",
        "localhost/a",
        None,
    ],
)
def test_foreign_hosts(host: str | None) -> None:
    assert not host_allowed(host, {"localhost", "127.0.0.1"})
    assert host_allowed("LOCALHOST:8501", {"localhost", "127.0.0.1"})


def test_a_page_of_another_port_cannot_fetch() -> None:
    host = {"host": "127.0.0.1:8501"}
    assert not origin_allowed(
        {**host, "sec-fetch-site": "same-site", "sec-fetch-mode": "cors"}, "http"
    )
    assert origin_allowed({**host, "sec-fetch-site": "same-origin"}, "http")
    assert origin_allowed(
        {**host, "sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}, "http"
    )


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with running(tmp_path_factory.mktemp("live")) as live:
        yield live


@pytest.fixture(scope="module")
def cookie(live: Live) -> tuple[str, str]:
    answer = ask(live, "GET", f"/?token={live.key}")
    assert answer.status == 200
    parts = answer.headers["set-cookie"].split("; ")
    assert {"HttpOnly", "SameSite=strict", "Path=/"} <= set(parts)
    return "Cookie", parts[0]


def _has_headers(answer: Answer) -> bool:
    return all(answer.headers.get(name.lower()) == value for name, value in HEADERS.items())


REQUESTS = [
    ("GET", "/", 200),
    ("GET", "/review", 200),
    ("GET", "/home", 307),
    ("GET", "/_stcore/health", 200),
    ("GET", "/_stcore/host-config", 200),
    ("GET", "/favicon.png", 200),
    ("GET", "/media/none.txt", 404),
    ("GET", "/_stcore/agent/openapi.json", 200),
    ("DELETE", "/assay/profile", 405),
    ("POST", "/assay/profile", 415),
    ("PUT", "/_stcore/upload_file/session/file", 403),
    ("GET", "/%2e%2e/etc/passwd", 400),
]


@pytest.mark.parametrize(("method", "path", "status"), REQUESTS)
def test_every_answer_has_the_headers_and_the_key_decides(
    live: Live, cookie: tuple[str, str], method: str, path: str, status: int
) -> None:
    inside, outside = ask(live, method, path, [cookie]), ask(live, method, path)
    assert inside.status == status
    assert outside.status == (200 if path == "/_stcore/health" else 403)
    assert _has_headers(inside)
    assert _has_headers(outside)


def test_a_wrong_key_opens_nothing(live: Live) -> None:
    answer = ask(live, "GET", "/?token=guessed")
    assert answer.status == 403
    assert "set-cookie" not in answer.headers
    assert b"newest one" in answer.body


def _hostile(live: Live, cookie: tuple[str, str]) -> dict[str, Headers]:
    ours, host = ("Origin", live.url), ("Host", live.host)
    evil = "http://evil.example"
    return {
        "rebinding": [("Host", "evil.example"), ("Origin", evil), cookie],
        "foreign host": [("Host", "evil.example"), ours, cookie],
        "foreign host, no origin": [("Host", "evil.example"), cookie],
        "host with a tail": [("Host", "127.0.0.1.evil.example"), ours, cookie],
        "user in host": [("Host", f"evil@{live.host}"), ours, cookie],
        "foreign origin": [host, ("Origin", evil), cookie],
        "other local port": [host, ("Origin", "http://127.0.0.1:1"), cookie],
        "other local name": [host, ("Origin", f"http://localhost:{live.port}"), cookie],
        "no origin": [host, cookie],
        "null origin": [host, ("Origin", "null"), cookie],
        "no key": [host, ours],
        "wrong key": [host, ours, (cookie[0], cookie[1] + "x")],
        "forged identity": [host, ours, ("X-Streamlit-User", "ana"), ("X-Forwarded-User", "ana")],
        "stolen session": [host, ours, ("Sec-WebSocket-Protocol", "streamlit, x, 0123")],
    }


def test_sockets_open_for_our_own_page_alone(live: Live, cookie: tuple[str, str]) -> None:
    for name, headers in _hostile(live, cookie).items():
        answer = open_socket(live, headers)
        assert answer.status == 403, name
        assert _has_headers(answer), name
    accepted = open_socket(live, [("Origin", live.url), cookie])
    assert accepted.status == 101
    assert _has_headers(accepted)


def _choose(live: Live, body: bytes, *headers: tuple[str, str]) -> Answer:
    return ask(live, "POST", "/assay/profile", list(headers), body)


def test_the_profile_route(live: Live, cookie: tuple[str, str]) -> None:
    json = ("Content-Type", "application/json")
    chosen = _choose(live, b'{"id": 7}', cookie, json, ("Origin", live.url))
    assert chosen.status == 200
    assert {"HttpOnly", "SameSite=strict"} <= set(chosen.headers["set-cookie"].split("; "))
    assert _choose(live, b'{"id": 7}', json).status == 403
    assert _choose(live, b'{"id": 7}', cookie, json, ("Origin", "http://127.0.0.1:1")).status == 403
    for bad in (
        b"{",
        b"[]",
        b'{"id": "7"}',
        b'{"id": -1}',
        b'{"id": true}',
        b"\xff",
        b'{"id":1e99}',
    ):
        assert _choose(live, bad, cookie, json).status == 400, bad
    assert _choose(live, b" " * 101, cookie, json).status == 413


def _refusal(process: subprocess.Popen[bytes], data: Path) -> str:
    assert process.wait(timeout=PATIENCE) == 2
    return (data / "server.log").read_text()


def test_a_second_server_on_the_same_data_is_refused(live: Live) -> None:
    text = _refusal(launch(live.data, free_port()), live.data)
    assert text.count("Assay did not start. Another Assay server already runs on") == 1
    assert ask(live, "GET", "/_stcore/health").status == 200


def test_a_taken_port_is_said_in_one_sentence(live: Live, tmp_path: Path) -> None:
    text = _refusal(launch(tmp_path, live.port), tmp_path)
    assert text.startswith(f"Assay did not start. Port {live.port} is in use.")
    assert text.count("\n") == 1


def test_a_setting_from_the_environment_is_refused(tmp_path: Path) -> None:
    process = launch(tmp_path, free_port(), STREAMLIT_SERVER_ENABLE_AGENT_API="true")
    text = _refusal(process, tmp_path)
    assert "Assay did not start. Unsafe settings" in text
    assert "Traceback" not in text
