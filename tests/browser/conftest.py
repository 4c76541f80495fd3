"""Chromium and the people in front of it: nothing may fail in the console or leave the machine."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, expect

from tests.support.browser_fixture import pick, still, window
from tests.support.live import Live

_NOISE = ("ERR_CONNECTION", "WebSocket", "net::ERR_", "disconnected")
"""What a browser says when a test has killed the server."""


@dataclass
class Person:
    """Someone at a browser of their own."""

    name: str
    live: Live
    context: BrowserContext
    page: Page
    wrong: list[str] = field(default_factory=list)
    outside: list[str] = field(default_factory=list)

    def go(self, place: str) -> Page:
        """Open a page by its address and wait until it stands still."""
        self.page.goto(f"{self.live.url}/{place}")
        return self.still()

    def still(self) -> Page:
        """Wait until Streamlit has drawn."""
        still(self.page)
        self.page.wait_for_timeout(150)
        return self.page

    def press(self, label: str) -> None:
        """Press a button of the page by its words, from the keyboard."""
        button = self.page.get_by_role("button", name=label).first
        button.scroll_into_view_if_needed()
        button.focus()
        self.page.keyboard.press("Enter")
        self.still()

    def sees(self, words: str) -> None:
        """Wait for words on the page."""
        expect(self.page.get_by_text(words).first).to_be_visible()

    def picture(self, folder: Path | None, name: str) -> None:
        """Keep a screenshot, and hold the page to its width."""
        expect(self.page.get_by_test_id("stSkeleton")).to_have_count(0)
        self.page.wait_for_timeout(400)
        wide = self.page.evaluate("document.documentElement.scrollWidth")
        assert wide <= 1280, f"{name} scrolls sideways ({wide} px)"
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            self.page.screenshot(path=folder / f"{name}.png")


Arrive = Callable[..., Person]


@pytest.fixture
def arrive(browser: Browser) -> Iterator[Arrive]:
    """Let a person open the printed link and pick their profile; afterwards nothing went wrong."""
    people: list[Person] = []

    def arrive(live: Live, name: str, scheme: str = "light") -> Person:
        context = window(browser, color_scheme="dark" if scheme == "dark" else "light")
        person = Person(name, live, context, context.new_page())
        people.append(person)
        _watch(person)
        person.page.goto(live.link)
        pick(person.page, name)
        person.still()
        return person

    yield arrive
    for person in people:
        person.context.close()
    assert [w for person in people for w in person.wrong] == []
    assert [w for person in people for w in person.outside] == []


def _watch(person: Person) -> None:
    def said(message: ConsoleMessage) -> None:
        if message.type == "error" and not any(word in message.text for word in _NOISE):
            person.wrong.append(message.text)

    def asked(url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme in {"http", "https", "ws", "wss"} and parts.hostname != "127.0.0.1":
            person.outside.append(url)

    person.page.on("pageerror", lambda error: person.wrong.append(str(error)))
    person.page.on("console", said)
    person.page.on("request", lambda request: asked(request.url))
    person.page.on("websocket", lambda socket: asked(socket.url))
