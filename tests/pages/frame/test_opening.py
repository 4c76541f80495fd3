"""What others on the same computer can see of a server: no key in any process's arguments, and
nothing of the data folder.
"""

import stat
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from storage.private import OTHERS
from tests.support.live import Live, ask, running
from tests.support.patience import until

BROWSER = """#!/bin/sh
echo "$@" > "$0.arguments"
sleep 600
"""
"""Stands for the browser: notes what it was started with, and stays."""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Path:
    script = tmp_path_factory.mktemp("browser") / "browser"
    script.write_text(BROWSER)
    script.chmod(0o700)
    return script


@pytest.fixture(scope="module")
def live(browser: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """A server on a folder that was open to all, and the browser that it opened."""
    data = tmp_path_factory.mktemp("open") / "data"
    (data / "jobs" / "1").mkdir(parents=True)
    (data / "jobs" / "1" / "train.log").write_text("from before")
    (data / "elsewhere").symlink_to(browser)
    for place in (data, *data.rglob("*")):
        place.chmod(0o777 if place.is_dir() else 0o666) if not place.is_symlink() else None
    with running(data, BROWSER=f"{browser} %s &") as live:
        yield live
        for process in psutil.process_iter():
            if str(browser) in _arguments(process):
                process.kill()


def _arguments(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def test_the_key_stands_in_no_arguments_and_the_page_that_leads_on_goes(
    live: Live, browser: Path
) -> None:
    noted, page = browser.with_name("browser.arguments"), live.data / "open.html"
    until(lambda: noted.exists() and noted.read_text())
    arguments = [_arguments(process) for process in psutil.process_iter()]
    assert any(str(browser) in line for line in arguments), "the browser still runs"
    assert not any(live.key in line for line in arguments)
    assert noted.read_text().strip() == page.as_uri()
    assert stat.S_IMODE(page.stat().st_mode) == 0o600
    assert f"url={live.link}" in page.read_text()
    assert ask(live, "GET", f"/?token={live.key}").status == 200
    until(lambda: not page.exists())


def test_a_folder_that_was_open_is_closed_with_a_word(live: Live, browser: Path) -> None:
    places = list(live.data.rglob("*"))
    assert {place.name for place in places} >= {"assay.db", "token", "train.log", "server.log"}
    open_to_others = [
        str(place)
        for place in (live.data, *places)
        if not place.is_symlink() and place.stat().st_mode & OTHERS
    ]
    assert open_to_others == []
    log = (live.data / "server.log").read_text()
    assert f"Others on this computer could read {live.data}." in log
    assert log.count("Others on this computer") == 1
    assert stat.S_IMODE(browser.stat().st_mode) == 0o700, "what a link leads to stays"
