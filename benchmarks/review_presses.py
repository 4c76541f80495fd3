"""Press to next card in real Chromium: the review card against a plain Streamlit button.

`python -m benchmarks.review_presses` starts both on free ports, presses a key forty times each in
interleaved rounds of ten, and prints p50 and p95 in milliseconds and the ratio of the medians. The
plain button does what most such tools do: a callback on the server, then the next row is drawn.
"""

import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from playwright.sync_api import Page, expect
from rich.progress import track

from storage import migrate
from storage.engine import open_engine
from storage.types import Role
from tests.browser_components.test_review_card import RECORDER
from tests.support import stories
from tests.support.browser_fixture import launched, window
from tests.support.live import free_port, running

ROUNDS, PRESSES = 4, 10
PLAIN = """
import streamlit as st
st.session_state.setdefault("row", 1)
def approve():
    st.session_state["row"] += 1
st.text(f"Row {st.session_state['row']}: my card was kept by the machine.")
st.button("Approve (A)", on_click=approve, shortcut="a")
"""
WATCH = """() => new Promise(done => {
  const start = performance.now();
  const text = () => document.querySelector('[data-testid=stText]').textContent;
  const before = text();
  const look = () => text() !== before
    ? done(performance.now() - start) : requestAnimationFrame(look);
  const once = {once: true, capture: true};
  window.addEventListener('keydown', () => requestAnimationFrame(look), once);
})"""


def ours(page: Page) -> list[float]:
    """Ten presses on the review card."""
    page.evaluate("window.times = []")
    for _ in range(PRESSES):
        page.keyboard.press("a")
        page.wait_for_timeout(150)
    return [float(ms) for ms in page.evaluate("window.times")]


def plain(page: Page) -> list[float]:
    """Ten presses on the plain button."""
    times = []
    for _ in range(PRESSES):
        seen = page.evaluate_handle(f"({{promise: ({WATCH})()}})")
        page.keyboard.press("a")
        times.append(float(seen.evaluate("held => held.promise")))
        page.wait_for_timeout(150)
    return times


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder, launched() as browser:
        data = Path(folder) / "data"
        engine = open_engine(data / "assay.db")
        migrate.upgrade(engine)
        desk = stories.project(engine)
        stories.person(engine, "Ana", Role.REVIEWER)
        stories.waiting(engine, desk, stories.messages(ROUNDS * PRESSES + 40))
        script, port = Path(folder) / "plain.py", free_port()
        script.write_text(PLAIN)
        peer = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "streamlit",
                "run",
                str(script),
                "--server.port",
                str(port),
                "--server.headless",
                "true",
                "--browser.gatherUsageStats",
                "false",
            ],
            cwd=folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            with running(data) as live:
                mine = window(browser).new_page()
                mine.goto(live.link)
                mine.get_by_role("button", name="Ana").first.click()
                expect(mine.get_by_role("heading").first).to_be_visible()
                mine.goto(f"{live.url}/review")
                expect(mine.locator("#card")).not_to_have_attribute("data-row", "")
                mine.wait_for_timeout(1000)
                mine.evaluate(RECORDER)
                other = window(browser).new_page()
                _wait(port)
                other.goto(f"http://127.0.0.1:{port}")
                expect(other.get_by_test_id("stText")).to_be_visible()
                _compare(mine, other)
        finally:
            peer.terminate()
            engine.dispose()


def _wait(port: int) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/_stcore/health", timeout=1):
                return
        except OSError:
            time.sleep(0.2)


def _compare(mine: Page, other: Page) -> None:
    card: list[float] = []
    button: list[float] = []
    for _ in track(range(ROUNDS), "Pressing"):
        mine.bring_to_front()
        card += ours(mine)
        other.bring_to_front()
        button += plain(other)
    for name, times in (("review card", card), ("plain button", button)):
        ordered = sorted(times)
        p95 = ordered[int(0.95 * len(ordered)) - 1]
        print(f"{name:12} n {len(times)}: p50 {statistics.median(times):.0f} ms, p95 {p95:.0f} ms")
    print(f"ratio of medians: {statistics.median(button) / statistics.median(card):.1f}x")


if __name__ == "__main__":
    main()
