"""The blind ballot in Chromium: each vote on the pair that was shown, none lost, no score."""

import time

from playwright.sync_api import BrowserContext, Page, expect

from tests.browser_components import desk
from tests.browser_components.conftest import Serve, Server
from tests.support.browser_fixture import still

CHOICES = {"1": "left", "2": "right", "3": "tie", "0": "both_bad"}


def opened(window: BrowserContext, server: Server) -> Page:
    """The ballot with its first pair on the screen."""
    page = window.new_page()
    page.goto(server.url)
    expect(page.locator("#card")).to_have_attribute("data-item", "i1")
    still(page)
    return page


def press(page: Page, keys: str) -> list[tuple[str, str]]:
    """Press keys 50 ms apart; which pair each one met."""
    met: list[tuple[str, str]] = []
    for key in keys:
        met.append((page.locator("#card").get_attribute("data-item") or "", CHOICES[key]))
        page.keyboard.press(key)
        time.sleep(0.05)
    return met


def test_votes_land_on_the_pairs_that_were_shown(serve: Serve, window: BrowserContext) -> None:
    page = opened(window, serve("harness_ballot.py"))
    met = press(page, "12301230123012301230")
    expect(page.locator("#saved")).to_have_text("all saved")
    assert desk.standing_votes() == dict(met)
    assert len(met) == len(dict(met)) == 20
    expect(page.locator("#count")).to_have_text("20 of 40")


def test_backspace_takes_the_last_vote_back(serve: Serve, window: BrowserContext) -> None:
    page = opened(window, serve("harness_ballot.py"))
    press(page, "12")
    page.keyboard.press("Backspace")
    expect(page.locator("#card")).to_have_attribute("data-item", "i2")
    press(page, "3")
    expect(page.locator("#saved")).to_have_text("all saved")
    assert desk.standing_votes() == {"i1": "left", "i2": "tie"}


def test_votes_on_a_killed_server_are_saved_once(serve: Serve, window: BrowserContext) -> None:
    server = serve("harness_ballot.py")
    page = opened(window, server)
    server.kill()
    met = press(page, "12301")
    server.start()
    expect(page.locator("#saved")).to_have_text("all saved")
    assert desk.standing_votes() == dict(met)


def test_the_last_vote_ends_the_sitting(serve: Serve, window: BrowserContext) -> None:
    page = opened(window, serve("harness_ballot.py"))
    for _ in range(40):
        expect(page.locator("#empty")).to_be_hidden()
        press(page, "1")
    expect(page.locator("#empty")).to_contain_text("that was the last one")
    expect(page.locator("#saved")).to_have_text("all saved")
    assert len(desk.standing_votes()) == 40


def test_both_panes_are_equal(serve: Serve, window: BrowserContext) -> None:
    page = opened(window, serve("harness_ballot.py"))
    left = page.locator("#left-pane").bounding_box()
    right = page.locator("#right-pane").bounding_box()
    assert left is not None
    assert right is not None
    assert abs(left["width"] - right["width"]) <= 1
    assert left["height"] == right["height"]
    classes = "id => document.querySelector('[data-testid=stBidiComponentIsolated]').shadowRoot"
    shown = [page.evaluate(f"{classes}.getElementById(id).className", i) for i in ("left", "right")]
    assert shown[0] == shown[1]
