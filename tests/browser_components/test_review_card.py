"""The review card in Chromium: each press lands once, on the row that was shown."""

import time
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.browser_components import desk
from tests.browser_components.conftest import Serve, Server
from tests.support.browser_fixture import still
from tests.support.patience import until

# Notes which row is on the screen at each key press, and the time to the frame that shows another.
RECORDER = """() => {
  const root = document.querySelector('[data-testid=stBidiComponentIsolated]').shadowRoot;
  const card = root.querySelector('#card');
  window.pressed = []; window.times = [];
  window.addEventListener('keydown', event => {
    if (event.repeat) return;
    const start = performance.now(), row = card.dataset.row;
    window.pressed.push([event.key, Number(row)]);
    const look = () => {
      if (card.dataset.row !== row) {
        requestAnimationFrame(() => window.times.push(performance.now() - start));
      } else if (performance.now() - start < 1000) requestAnimationFrame(look);
    };
    requestAnimationFrame(look);
  }, true);
}"""
ACTIONS = {"a": "approve", "f": "flag", " ": "skip"}


def opened(window: BrowserContext, server: Server) -> Page:
    """The card with its first row on the screen."""
    page = window.new_page()
    page.goto(server.url)
    expect(page.locator("#card")).not_to_have_attribute("data-row", "")
    still(page)
    return page


def settled(page: Page) -> None:
    """Wait until the card says that all is saved."""
    expect(page.locator("#saved")).to_have_text("all saved")


def row_shown(page: Page) -> int:
    """The row on the screen."""
    return int(page.locator("#card").get_attribute("data-row") or 0)


def decisions() -> list[dict[str, Any]]:
    """What the desk holds, in order of arrival."""
    return desk.rows("select * from decision order by n")


def drum(page: Page, keys: str, per_second: int) -> None:
    """Press the keys at a fixed pace, late ones at once."""
    start = time.monotonic()
    for n, key in enumerate(keys):
        time.sleep(max(0.0, start + n / per_second - time.monotonic()))
        page.keyboard.press(key)


@pytest.mark.parametrize("per_second", [10, 20])
def test_twenty_presses_land_on_the_rows_that_were_shown(
    serve: Serve, window: BrowserContext, per_second: int
) -> None:
    page = opened(window, serve("harness_review.py"))
    page.evaluate(RECORDER)
    drum(page, "aaf aafa  aaaafaa aa", per_second)
    settled(page)
    pressed = page.evaluate("window.pressed")
    assert [[d["row"], d["action"]] for d in decisions()] == [
        [row, ACTIONS[k]] for k, row in pressed
    ]
    assert len({row for _, row in pressed}) == 20
    times = sorted(page.evaluate("window.times"))
    assert len(times) == 20
    print(f"{per_second}/s: press to next card p50 {times[10]:.0f} ms, p95 {times[18]:.0f} ms")


def test_a_held_key_counts_once(serve: Serve, window: BrowserContext) -> None:
    page = opened(window, serve("harness_review.py"))
    for _ in range(15):
        page.keyboard.down("a")
        page.wait_for_timeout(30)
    page.keyboard.up("a")
    settled(page)
    assert len(decisions()) == 1


def test_keys_are_letters_while_typing_and_shortcuts_do_nothing(
    serve: Serve, window: BrowserContext
) -> None:
    page = opened(window, serve("harness_review.py"))
    for chord in ("Control+a", "Alt+a", "Shift+A", "Meta+x"):
        page.keyboard.press(chord)
    page.keyboard.press("e")
    page.keyboard.type("axf hcr 123")
    expect(page.locator("#edit-response")).to_have_value(f"{desk_response(1)}axf hcr 123")
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.keyboard.press("Escape")
    page.wait_for_timeout(500)
    assert decisions() == []


def desk_response(row: int) -> str:
    """The response of a row on the desk."""
    return str(desk.rows(f"select response from row where id = {row}")[0]["response"])  # noqa: S608


def test_edit_shows_a_word_diff_and_saves_with_ctrl_enter(
    serve: Serve, window: BrowserContext
) -> None:
    page = opened(window, serve("harness_review.py"))
    page.keyboard.press("e")
    words = desk_response(1).replace("cards", "fraud")
    page.locator("#edit-response").fill(words)
    expect(page.locator("#diff-response del")).to_have_text("cards")
    expect(page.locator("#diff-response ins")).to_have_text("fraud")
    page.keyboard.press("Control+Enter")
    settled(page)
    assert row_shown(page) == 2
    saved = decisions()[0]
    assert (saved["action"], saved["prompt"], saved["response"]) == ("approve", None, words)


def test_words_typed_survive_escape_and_a_reload(serve: Serve, window: BrowserContext) -> None:
    page = opened(window, serve("harness_review.py"))
    page.keyboard.press("e")
    page.locator("#edit-prompt").fill("My own words")
    page.keyboard.press("Escape")
    expect(page.locator("#note")).to_contain_text("are kept")
    page.reload()
    expect(page.locator("#card")).to_have_attribute("data-row", "1")
    page.keyboard.press("e")
    expect(page.locator("#edit-prompt")).to_have_value("My own words")


def test_an_output_that_does_not_fit_is_not_approved(serve: Serve, window: BrowserContext) -> None:
    server = serve("harness_review.py")
    desk.rows('update row set response = \'{"team":"wrong"}\' where id = 1')
    page = opened(window, server)
    page.keyboard.press("a")
    expect(page.locator("#banner-text")).to_contain_text("Press E to edit or X to reject")
    assert row_shown(page) == 1
    page.keyboard.press("e")
    page.keyboard.press("Control+Enter")
    expect(page.locator("#banner-text")).to_contain_text("Not saved")
    page.locator("#edit-response").fill('{"team":"cards"}')
    expect(page.locator("#check")).to_contain_text("fits")
    page.keyboard.press("Control+Enter")
    settled(page)
    assert [d["response"] for d in decisions()] == ['{"team":"cards"}']


def test_reject_asks_for_one_of_the_reasons(serve: Serve, window: BrowserContext) -> None:
    page = opened(window, serve("harness_review.py"))
    page.keyboard.press("x")
    page.keyboard.press("Escape")
    page.keyboard.press("3")
    assert row_shown(page) == 1
    page.keyboard.press("x")
    page.keyboard.press("3")
    settled(page)
    assert [(d["row"], d["reason"]) for d in decisions()] == [(1, "Not our policy")]


def test_a_further_reason_has_its_key_and_from_the_tenth_on_a_button(
    serve: Serve, window: BrowserContext
) -> None:
    page = opened(window, serve("harness_review.py"))
    page.keyboard.press("x")
    expect(page.locator("#heard")).to_have_text("Choose a reason, 1 to 9, or Escape to go back.")
    page.keyboard.press("7")
    page.keyboard.press("x")
    expect(page.locator("#actions-reason kbd")).to_have_text([*"123456789", "Esc"])
    page.get_by_role("button", name="A tenth, without a key").click()
    settled(page)
    reasons = [(d["row"], d["reason"]) for d in decisions()]
    assert reasons == [(1, "A seventh reason"), (2, "A tenth, without a key")]


def test_every_key_stands_on_its_button(serve: Serve, window: BrowserContext) -> None:
    page = opened(window, serve("harness_review.py"))
    buttons = page.locator("#actions-read button, .tools button")
    expect(buttons).to_have_text(
        ["Undo ⌫", "Guidelines H", "Approve A", "Edit E", "Reject X", "Skip Space", "Flag F"]
    )


def test_undo_takes_back_the_last_and_any_listed_decision(
    serve: Serve, window: BrowserContext
) -> None:
    page = opened(window, serve("harness_review.py"))
    drum(page, "aaa", 20)
    page.keyboard.press("Backspace")
    assert row_shown(page) == 3
    page.keyboard.press("f")
    settled(page)
    page.locator("#recent button", has_text="Question 1:").click()
    assert row_shown(page) == 1
    page.keyboard.press("a")
    settled(page)
    assert [(d["row"], d["action"], d["version"]) for d in decisions()] == [
        (1, "approve", 1),
        (2, "approve", 1),
        (3, "approve", 1),
        (3, "undo", 2),
        (3, "flag", 3),
        (1, "undo", 2),
        (1, "approve", 3),
    ]


def test_undo_after_a_reload_brings_the_row_back(serve: Serve, window: BrowserContext) -> None:
    page = opened(window, serve("harness_review.py"))
    drum(page, "aa", 10)
    settled(page)
    page.reload()
    expect(page.locator("#recent button")).to_have_count(2)
    page.keyboard.press("Backspace")
    expect(page.locator("#card")).to_have_attribute("data-row", "2")
    settled(page)


def test_a_refused_edit_comes_back_with_the_words_in_the_editor(
    serve: Serve, window: BrowserContext
) -> None:
    page = opened(window, serve("harness_review.py"))
    page.keyboard.press("e")
    page.locator("#edit-response").fill("refuse me, please")
    page.keyboard.press("Control+Enter")
    expect(page.locator("#banner-text")).to_contain_text("say it differently")
    expect(page.locator("#edit-response")).to_have_value("refuse me, please")
    assert row_shown(page) == 1
    page.locator("#edit-response").fill("a better answer")
    page.keyboard.press("Control+Enter")
    settled(page)
    assert [d["response"] for d in decisions()] == ["a better answer"]


def test_a_row_that_changed_comes_back_with_the_words_kept(
    serve: Serve, window: BrowserContext
) -> None:
    page = opened(window, serve("harness_review.py"))
    desk.rows("update row set version = 5, prompt = 'Changed meanwhile' where id = 1")
    page.keyboard.press("e")
    page.locator("#edit-response").fill("my words")
    page.keyboard.press("Control+Enter")
    expect(page.locator("#banner-text")).to_contain_text("changed since you saw it")
    expect(page.locator("#edit-response")).to_have_value("my words")
    expect(page.locator("#edit-prompt")).to_have_value("Changed meanwhile")
    page.keyboard.press("Control+Enter")
    settled(page)
    assert [(d["row"], d["version"], d["response"]) for d in decisions()] == [(1, 5, "my words")]


def test_a_late_decision_is_told(serve: Serve, window: BrowserContext) -> None:
    page = opened(window, serve("harness_review.py"))
    desk.rows("update row set fence = 8 where id = 1")
    page.keyboard.press("a")
    expect(page.locator("#banner-text")).to_contain_text("Someone else had taken pair 1")
    settled(page)


def test_a_slow_server_loses_nothing(serve: Serve, window: BrowserContext) -> None:
    page = opened(window, serve("harness_review.py", slow=1.0))
    page.evaluate(RECORDER)
    drum(page, "aafaaaafaaaaaaa", 10)
    settled(page)
    pressed = page.evaluate("window.pressed")
    assert [d["row"] for d in decisions()] == [row for _, row in pressed]
    assert len(pressed) == 15


def test_a_reload_with_unsent_decisions_saves_them_once(
    serve: Serve, window: BrowserContext
) -> None:
    page = opened(window, serve("harness_review.py", slow=1.0))
    page.on("dialog", lambda dialog: dialog.accept())
    drum(page, "aaaaa", 20)
    page.reload()
    until(lambda: len(decisions()) == 5)
    settled(page)
    assert [d["row"] for d in decisions()] == [1, 2, 3, 4, 5]


def test_five_decisions_on_a_killed_server_are_saved_once(
    serve: Serve, window: BrowserContext
) -> None:
    server = serve("harness_review.py")
    page = opened(window, server)
    page.keyboard.press("a")
    settled(page)
    server.kill()
    drum(page, "aafaa", 10)
    expect(page.locator("#saved")).to_contain_text("connection lost")
    server.start()
    settled(page)
    assert [d["row"] for d in decisions()] == [1, 2, 3, 4, 5, 6]
    page.keyboard.press("a")
    settled(page)
    assert len(decisions()) == 7


def test_long_texts_written_offline_go_in_messages_that_the_server_takes(
    serve: Serve, window: BrowserContext
) -> None:
    server = serve("harness_review.py")
    page = opened(window, server)
    sent: list[int] = []
    page.on("websocket", lambda socket: socket.on("framesent", lambda data: sent.append(len(data))))
    server.kill()
    for n in range(10, 21):
        expect(page.locator("#card")).to_have_attribute("data-row", str(n - 9))
        still(page)
        page.keyboard.press("e")
        page.locator("#edit-prompt").fill("x" * 60_000)
        page.locator("#edit-response").fill(f"{n}" + "x" * 60_000)
        page.keyboard.press("Control+Enter")
    server.start()
    until(lambda: len(decisions()) == 11)
    settled(page)
    assert [d["response"][:2] for d in decisions()] == [str(n) for n in range(10, 21)]
    assert 500_000 < max(sent) < 1_100_000


def test_two_tabs_keep_both_outboxes(serve: Serve, window: BrowserContext) -> None:
    server = serve("harness_review.py")
    first, second = opened(window, server), opened(window, server)
    first.bring_to_front()
    drum(first, "aaa", 10)
    second.bring_to_front()
    second.wait_for_timeout(500)
    drum(second, "ffff", 10)
    settled(first)
    settled(second)
    saved = decisions()
    assert len(saved) == 7
    assert len({d["row"] for d in saved}) == 7


def test_unsent_decisions_of_a_closed_tab_are_sent_by_the_next(
    serve: Serve, window: BrowserContext
) -> None:
    server = serve("harness_review.py")
    page = opened(window, server)
    server.kill()
    drum(page, "aaa", 20)
    page.close(run_before_unload=False)
    server.start()
    later = opened(window, server)
    until(lambda: len(decisions()) == 3)
    settled(later)
    assert row_shown(later) == 4


def test_text_is_shown_and_never_run(serve: Serve, window: BrowserContext) -> None:
    server = serve("harness_review.py")
    nasty = "<img src=x onerror=\"document.title='run'\">**bold**\u200b"
    desk.rows(f"update row set prompt = '{nasty.replace(chr(39), chr(39) * 2)}' where id = 1")  # noqa: S608
    page = opened(window, server)
    expect(page.locator("#prompt")).to_have_text(nasty.replace("\u200b", "⟦U+200B⟧"))
    page.keyboard.press("a")
    page.wait_for_timeout(300)
    assert page.title() == "Review"


def test_the_end_of_the_queue_says_so_and_new_rows_appear(
    serve: Serve, window: BrowserContext
) -> None:
    server = serve("harness_review.py")
    desk.rows("update row set status = 'approved' where id > 2")
    page = opened(window, server)
    drum(page, "aa", 10)
    expect(page.locator("#empty")).to_contain_text("Nothing is waiting for you")
    desk.rows("update row set status = 'waiting', version = 9 where id = 30")
    expect(page.locator("#card")).to_have_attribute("data-row", "30")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_buttons_stay_on_the_screen_beside_a_long_text(
    serve: Serve, window: BrowserContext, scheme: str
) -> None:
    server = serve("harness_review.py")
    desk.rows("update row set prompt = replace(hex(zeroblob(4000)), '00', 'word ') where id = 1")
    page = opened(window, server)
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    expect(page.locator("[data-do=approve]")).to_be_in_viewport(ratio=1)
    page.keyboard.press("e")
    expect(page.locator("[data-do=save]")).to_be_in_viewport(ratio=1)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_a_press_that_meets_a_lock_is_kept_says_so_and_is_saved_later(
    window: BrowserContext, serve: Serve
) -> None:
    page = opened(window, serve("harness_review.py"))
    desk.busy_file().touch()
    row = row_shown(page)
    page.keyboard.press("a")
    expect(page.locator("#saved")).to_have_text("1 not saved yet, trying again")
    expect(page.locator("#banner-text")).to_have_text(desk.BUSY)
    assert decisions() == []
    desk.busy_file().unlink()
    settled(page)
    expect(page.locator("#banner")).to_be_hidden()
    assert [(made["row"], made["action"]) for made in decisions()] == [(row, "approve")]
