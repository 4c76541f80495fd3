"""The one browser of a test process: Playwright cannot be started twice in it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests.support import chromium
from tests.support.patience import PATIENCE

expect.set_options(timeout=PATIENCE * 1000)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """The Chromium that is installed."""
    with launched() as made:
        yield made


@contextmanager
def launched() -> Iterator[Browser]:
    """The same, for whoever is no test."""
    path = chromium.find()
    assert path, "Run make test: it finds or installs a Chromium."
    with sync_playwright() as playwright:
        made = playwright.chromium.launch(executable_path=path, args=list(chromium.ARGUMENTS))
        yield made
        made.close()


def window(browser: Browser, **options: Any) -> BrowserContext:  # noqa: ANN401 - Playwright's own
    """A person's own window, at the size that pages are made for, that waits out a busy machine."""
    made = browser.new_context(viewport={"width": 1280, "height": 800}, **options)
    made.set_default_timeout(PATIENCE * 1000)
    return made


def pick(page: Page, name: str) -> None:
    """Pick a profile and wait for the page that is loaded then, with the new cookie."""
    with page.expect_event("load"):
        page.get_by_role("button", name=name).first.click()
    expect(page.get_by_role("link", name="Home").first).to_be_visible()  # only for who is known
    expect(page.get_by_text(name).first).to_be_visible()


def still(page: Page) -> None:
    """Wait until Streamlit has drawn."""
    app = page.get_by_test_id("stApp")
    expect(app).to_have_attribute("data-test-script-state", "notRunning")
