"""The gold-pair editor in Chromium: words survive a reload and a crash, a pair is saved once."""

import re
import unicodedata

from playwright.sync_api import BrowserContext, Page, expect

from storage.blank import trim
from storage.settings import ROOT
from tests.browser_components import desk
from tests.browser_components.conftest import Serve, Server
from tests.support.browser_fixture import still

GOOD = '{"team":"cards"}'


def opened(window: BrowserContext, server: Server) -> Page:
    """The editor, ready to type."""
    page = window.new_page()
    page.goto(server.url)
    expect(page.locator("#prompt")).to_be_visible(timeout=30_000)
    still(page)
    return page


def test_a_pair_is_saved_once_and_the_form_is_empty_again(
    serve: Serve, window: BrowserContext
) -> None:
    page = opened(window, serve("harness_editor.py"))
    page.locator("#prompt").press_sequentially("Can I rc travel?", delay=10)
    page.locator("#response").fill(GOOD)
    page.keyboard.press("Control+Enter")
    page.keyboard.press("Control+Enter")
    expect(page.locator("#banner-text")).to_have_text("Saved as pair 1.")
    expect(page.locator("#prompt")).to_have_value("")
    pairs = desk.rows("select prompt, response from pair")
    assert pairs == [{"prompt": "Can I rc travel?", "response": GOOD}]
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_words_come_back_after_a_reload(serve: Serve, window: BrowserContext) -> None:
    page = opened(window, serve("harness_editor.py"))
    page.locator("#prompt").press_sequentially("half a sent")
    page.reload()
    expect(page.locator("#prompt")).to_have_value("half a sent")
    expect(page.locator("#saved")).to_contain_text("words kept")


def test_words_come_back_from_the_server_in_another_browser(
    serve: Serve, window: BrowserContext
) -> None:
    server = serve("harness_editor.py")
    page = opened(window, server)
    page.locator("#prompt").press_sequentially("on two machines")
    expect(page.locator("#saved")).to_contain_text("words kept")
    page.evaluate("localStorage.clear()")
    page.close()
    later = opened(window, server)
    expect(later.locator("#prompt")).to_have_value("on two machines")


def test_problems_and_near_duplicates_show_as_typed(serve: Serve, window: BrowserContext) -> None:
    page = opened(window, serve("harness_editor.py"))
    page.locator("#prompt").fill("The machine swallowed my card")
    page.locator("#response").fill("{")
    expect(page.locator("#check")).to_contain_text('"team" is missing')
    expect(page.locator("#hint")).to_contain_text("Pair 12")
    page.keyboard.press("Control+Enter")
    expect(page.locator("#banner-text")).to_contain_text("Not saved")
    assert desk.rows("select * from pair") == []


def test_words_that_nobody_sees_are_no_words_in_the_browser_either(
    serve: Serve, window: BrowserContext
) -> None:
    page = opened(window, serve("harness_editor.py"))
    page.locator("#prompt").fill("Is it there?")
    page.locator("#response").fill("\u200b\u2800\ufe0f")
    page.keyboard.press("Control+Enter")
    expect(page.locator("#banner-text")).to_contain_text("both need words")
    source = (ROOT / "pages/parts/stream/common.js").read_text()
    (blank,) = re.findall(r"^const BLANK = (.*);$", source, re.MULTILINE)
    codes = [
        code
        for code in range(0x110000)
        if unicodedata.category(chr(code)) not in ("Cs", "Cn")  # Unicode's newest differ by version
    ]
    unseen = page.evaluate(
        f"codes => codes.filter(code => {blank}.test(String.fromCodePoint(code)))", codes
    )
    differ = {code for code in codes if not trim(chr(code))} ^ set(unseen)
    assert [hex(code) for code in sorted(differ)] == []


def test_choices_write_the_output_in_the_order_of_the_schema(
    serve: Serve, window: BrowserContext
) -> None:
    page = opened(window, serve("harness_editor.py"))
    page.locator("#pick-urgency").select_option(label="low")
    page.locator("#pick-team").select_option(label="loans")
    expect(page.locator("#response")).to_have_value('{"team":"loans","urgency":"low"}')
    page.locator("#response").fill('{"team":"fraud"}')
    assert page.locator("#pick-team option:checked").inner_text() == "fraud"
    assert page.locator("#pick-urgency option:checked").inner_text() == "choose…"


def test_a_refusal_keeps_the_words(serve: Serve, window: BrowserContext) -> None:
    page = opened(window, serve("harness_editor.py"))
    page.locator("#prompt").fill("A question")
    page.locator("#response").fill('{"team":"refuse me"}')
    page.keyboard.press("Control+Enter")
    expect(page.locator("#banner-text")).to_have_text("The output does not fit the rules.")
    expect(page.locator("#prompt")).to_have_value("A question")


def test_a_pair_saved_on_a_killed_server_is_saved_once(
    serve: Serve, window: BrowserContext
) -> None:
    server = serve("harness_editor.py")
    page = opened(window, server)
    server.kill()
    page.locator("#prompt").fill("A question")
    page.locator("#response").fill(GOOD)
    page.keyboard.press("Control+Enter")
    expect(page.locator("#saved")).to_contain_text("saving 1")
    server.start()
    expect(page.locator("#banner-text")).to_have_text("Saved as pair 1.")
    assert len(desk.rows("select * from pair")) == 1
