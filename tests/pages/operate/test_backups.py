"""The Backups page: the last one and whether it verified, the schedule, the way back."""

import pytest
from sqlalchemy import Engine

from storage import folder, people, settings
from storage.backups import manifest, schedule, staging
from storage.engine import reading
from storage.errors import Unavailable
from storage.types import Role
from tests.support import stories
from tests.support.ui import OpenPage

PAGE = "pages/operate/backups/page.py"


def test_before_the_first_one_it_says_so(engine: Engine, open_page: OpenPage) -> None:
    stories.project(engine)
    page = open_page(PAGE)
    assert page.warning[0].value == "No backup was made yet."
    page.button(key="backups-now").click().run()
    assert page.info[0].value == "A backup begins in a moment."
    assert schedule.is_requested(settings.current())


def test_it_says_when_the_last_one_was_made_and_that_it_verified(
    engine: Engine, open_page: OpenPage
) -> None:
    stories.project(engine)
    schedule.run(engine, settings.current())
    page = open_page(PAGE)
    assert "and verified: " in page.success[0].value
    assert page.dataframe[0].value["Files"].tolist() == [1]


def test_a_failed_one_is_shown(
    engine: Engine, open_page: OpenPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stories.project(engine)
    monkeypatch.setattr(folder, "SPARE", 10**18)
    with pytest.raises(Unavailable):
        schedule.run(engine, settings.current())
    page = open_page(PAGE)
    assert page.error[0].value.startswith("The last backup failed on ")
    assert "Free some space" in page.error[0].value


@pytest.mark.parametrize(("role", "told"), [(Role.LEAD, 1), (Role.REVIEWER, 0)])
def test_a_failed_one_stands_on_home_for_those_who_run_assay(
    engine: Engine, open_page: OpenPage, role: Role, told: int
) -> None:
    stories.project(engine)
    schedule.note(settings.current(), "Free some space and try again.", verified=False)
    page = open_page("pages/operate/home/page.py", user=stories.person(engine, "ana", role))
    assert [box.value.startswith("The last backup failed. Free") for box in page.error] == (
        [True] * told
    )


def test_the_schedule_is_what_was_typed(open_page: OpenPage) -> None:
    page = open_page(PAGE)
    page.toggle(key="backups-daily").set_value(False)
    page.number_input(key="backups-keep").set_value(3)
    page.button(key="backups-save").click().run()
    assert schedule.plan(settings.current()) == schedule.BackupPlan(daily=False, keep=3)


def test_a_restore_is_staged_here_and_done_by_the_next_start(
    engine: Engine, open_page: OpenPage
) -> None:
    stories.project(engine)
    config = settings.current()
    schedule.run(engine, config)
    stories.person(engine, "ben")
    page = open_page(PAGE)
    page.button(key="restore-stage").click().run()
    (saved,) = manifest.listing(config.backups)
    assert f"restores {saved.path.name}, as ana asked" in page.warning[0].value
    page.button(key="restore-not").click().run()
    assert staging.staged(config) is None
    page.button(key="restore-stage").click().run()

    engine.dispose()
    lines = staging.at_start(config)
    assert lines[0].startswith("Restored ")
    assert staging.at_start(config) == (), "once"
    with reading(engine) as session:
        assert [user.name for user in people.everyone(session)] == ["lena"]
    page = open_page(PAGE)
    assert any("The last restore" in box.value for box in page.success)
    assert "only in the database set aside" in " ".join(text.value for text in page.text)


def test_a_staged_backup_that_does_not_hold_leaves_all_as_it_was(
    engine: Engine, open_page: OpenPage
) -> None:
    stories.project(engine)
    config = settings.current()
    schedule.run(engine, config)
    open_page(PAGE).button(key="restore-stage").click().run()
    (saved,) = manifest.listing(config.backups)
    (saved.path / "assay.db").write_bytes(b"nothing")
    engine.dispose()
    (line,) = staging.at_start(config)
    assert "was not restored" in line
    page = open_page(PAGE)
    assert any("The last restore" in box.value for box in page.error)


def test_a_lead_sees_the_state_and_no_button(engine: Engine, open_page: OpenPage) -> None:
    page = open_page(PAGE, user=stories.person(engine, "lea", Role.LEAD))
    assert page.warning[0].value == "No backup was made yet."
    assert not page.button
