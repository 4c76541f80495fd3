"""The Versions page: freeze, look at what changed, check and export."""

import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Engine
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from streamlit.testing.v1 import AppTest

from curation.review import claims, decisions
from curation.versions import archive, packages
from curation.versions.layouts import LAYOUTS
from pages.curate.versions import delivery, export
from pages.frame.plain import plain
from pages.frame.security import cookie_name
from storage import pairs, people, reports, settings
from storage.engine import reading, writing
from storage.types import Job, JobKind, Project, Role, User, Version
from tests.support import curated, stories
from tests.support.ui import OpenPage
from training import asks, reconcile
from training.records import specs
from training.work import jobs

PAGE = "pages/curate/versions/page.py"


def known(engine: Engine, desk: Project) -> list[Version]:
    """The versions, newest first."""
    with reading(engine) as session:
        return archive.listing(session, desk.id)


def compared(engine: Engine, rows: int = 40) -> Project:
    """A project with so many approved pairs that were compared."""
    desk = stories.project(engine)
    curated.approved(engine, desk, rows)
    curated.compared(engine, desk)
    return desk


def words(page: AppTest) -> str:
    """Notes and texts of the page."""
    return "\n".join(element.value for element in [*page.markdown, *page.text])


def test_many_pairs_are_frozen_by_a_job_that_stands_on_the_page(
    engine: Engine, open_page: OpenPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = compared(engine)
    monkeypatch.setattr("curation.overlap.compared.LARGE", 2)
    page = open_page(PAGE)
    page.button(key=f"freeze-{desk.id}-1").click().run()
    with reading(engine) as session:
        (job,) = jobs.listing(session, desk.id, JobKind.FREEZE)
    assert page.button(key=f"cancel-{job.id}")
    assert f"freeze-{desk.id}-1" not in [button.key for button in page.button], "one is enough"
    assert specs.freezing(job).seed == 7


def test_before_anything_is_approved_it_points_to_review(
    engine: Engine, open_page: OpenPage
) -> None:
    stories.project(engine)
    assert open_page(PAGE).text[0].value == "No pair is approved yet."


def test_a_lead_freezes_with_a_seed_and_a_note(engine: Engine, open_page: OpenPage) -> None:
    desk, ana = compared(engine), curated.ana(engine)
    page = open_page(PAGE)
    form = f"freeze-{desk.id}-1"
    page.text_input(key=f"{form}-note").input("For the pilot.").run()
    assert curated.kept_words(engine, ana, form) == {"note": "For the pilot."}
    page.number_input(key=f"{form}-seed").set_value(11)
    page.button(key=form).click().run()
    version = known(engine, desk)[0]
    assert (version.seed, version.manifest.note) == (11, "For the pilot.")
    assert curated.kept_words(engine, ana, form) == {}
    assert page.code[0].value == version.sha256
    assert [element.label for element in page.metric] == ["Training", "Validation", "Test"]
    assert "For the pilot." in words(page)


def test_freezing_is_refused_with_a_sentence(engine: Engine, open_page: OpenPage) -> None:
    desk = stories.project(engine)
    curated.approved(engine, desk, 12)
    page = open_page(PAGE)
    page.button(key=f"freeze-{desk.id}-1").click().run()
    assert "search for duplicates" in page.error[0].value
    curated.compared(engine, desk)
    page.button(key=f"freeze-{desk.id}-1").click().run()
    page.button(key=f"freeze-{desk.id}-2").click().run()
    assert "Nothing changed since version 1" in page.error[0].value
    assert len(known(engine, desk)) == 1


def test_a_role_taken_away_counts_at_the_next_click(engine: Engine, open_page: OpenPage) -> None:
    desk, lea = compared(engine), stories.person(engine, "lea", Role.LEAD)
    ana = curated.ana(engine)
    page = open_page(PAGE, user=lea)
    with writing(engine) as session:
        people.set_roles(session, ana, lea.id, frozenset({Role.EXPERT}))
    page.button(key=f"freeze-{desk.id}-1").click().run()
    assert not page.exception
    assert "lea may not freeze" in page.error[0].value
    assert known(engine, desk) == []


def test_what_changed_since_the_one_before_is_told(engine: Engine, open_page: OpenPage) -> None:
    desk = compared(engine)
    curated.frozen(engine, desk)
    curated.approved(engine, desk, stories.messages(5, start=100))
    curated.frozen(engine, desk)
    page = open_page(PAGE)
    links = [element.proto.label for element in page.get("page_link")]
    assert "5 pairs added" in links
    first = known(engine, desk)[1]
    page.selectbox(key=f"version-shown-{desk.id}").select(first.id).run()
    assert "there is none before it" in words(page)


def test_training_and_validation_rows_go_out_unless_test_rows_are_asked_for(
    engine: Engine, open_page: OpenPage
) -> None:
    desk = compared(engine)
    version = curated.frozen(engine, desk)
    page = open_page(PAGE)
    count = version.counts["train"] + version.counts["validation"]
    assert page.get("download_button")[0].proto.label == f"Download {count} pairs"
    assert "version-1-chat-train-validation-" in words(page).replace("\\", "")
    assert not page.warning
    for part in ("train", "validation"):
        page.checkbox(key=f"export-{part}-{version.id}").uncheck()
    page.checkbox(key=f"export-test-{version.id}").check().run()
    assert page.get("download_button")[0].proto.label == f"Download {version.counts['test']} pairs"
    assert "Test pairs are in this export" in page.warning[0].value
    page.checkbox(key=f"export-test-{version.id}").uncheck().run()
    assert "Choose at least one split" in page.error[0].value


def test_what_is_too_much_for_one_download_is_left_to_the_command(
    engine: Engine, open_page: OpenPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = compared(engine)
    curated.frozen(engine, desk)
    monkeypatch.setattr(export, "_BYTE_LIMIT", 100)
    page = open_page(PAGE)
    assert "python -m curation export" in page.info[0].value
    assert not any(b.proto.label.startswith("Download") for b in page.get("download_button"))


def _fetched(who: User, job: Job) -> Response:
    """What a browser gets that speaks for this person."""
    cookie = f"{cookie_name('profile')}={who.id}".encode()
    scope = {
        "type": "http",
        "headers": [(b"cookie", cookie)],
        "path_params": {"job_id": job.id},
    }
    return delivery._deliver(Request(scope))


@pytest.mark.usefixtures("in_process")
def test_a_large_version_is_exported_by_a_job_and_fetched_from_the_disk(
    engine: Engine, open_page: OpenPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reports, "AT_ONCE", 5)
    desk, lena = compared(engine), stories.person(engine, "lena", Role.LEAD)
    version = curated.frozen(engine, desk)
    page = open_page(PAGE)
    count = version.counts["train"] + version.counts["validation"]
    assert not [b for b in page.get("download_button") if b.proto.label.startswith("Download")]
    button = page.button(key=f"deliver-{version.id}-chat-train-validation")
    assert button.label == f"Prepare the export of {count} pairs"
    button.click().run()
    assert not page.exception
    for _ in range(2):
        reconcile.tick(engine, settings.current())
    page = open_page(PAGE)
    assert f"{count} pairs in version-1-chat-train-validation-" in page.success[0].value
    with reading(engine) as session:
        (job,) = jobs.listing(session, desk.id, JobKind.LAYOUT)
        package = packages.build(session, version.id, "chat")
    (link,) = page.get("link_button")
    assert link.proto.url == f"/assay/export/{job.id}"
    answer = _fetched(lena, job)
    assert isinstance(answer, FileResponse)
    assert Path(answer.path).read_bytes() == package.zipped()
    assert package.name in answer.headers["content-disposition"]
    eva = stories.person(engine, "eva", Role.EXPERT)
    assert _fetched(eva, job).status_code == 403
    assert _fetched(replace(eva, id=999), job).status_code == 404
    assert _fetched(lena, replace(job, id="no-such-job")).status_code == 404
    with writing(engine) as session:
        again = asks.deliver(session, lena, desk.id, specs.delivery(job))
    for _ in range(2):
        reconcile.tick(engine, settings.current())
    assert _fetched(lena, job).status_code == 404, "it made room"
    assert _fetched(lena, again).status_code == 200


def test_each_format_says_what_it_cannot_hold(engine: Engine, open_page: OpenPage) -> None:
    desk = compared(engine)
    version = curated.frozen(engine, desk)
    page = open_page(PAGE)
    for name, layout in LAYOUTS.items():
        page.selectbox(key=f"export-format-{version.id}").select(name).run()
        assert not page.exception
        assert plain(layout.loses) in words(page)
    page.selectbox(key=f"export-format-{version.id}").select("preference").run()
    assert "0 of" in page.error[0].value


def test_a_lead_tags_a_version_and_sees_its_card(engine: Engine, open_page: OpenPage) -> None:
    desk, ana = compared(engine), curated.ana(engine)
    version = curated.frozen(engine, desk)
    page = open_page(PAGE)
    page.text_input(key=f"tag-{version.id}-name").input("Release 1").run()
    page.button(key=f"tag-{version.id}").click().run()
    assert "begins with a letter" in page.error[0].value
    assert curated.kept_words(engine, ana, f"tag-{version.id}") == {"name": "Release 1"}
    page.text_input(key=f"tag-{version.id}-name").input("release-1").run()
    page.button(key=f"tag-{version.id}").click().run()
    assert not page.error
    card = next(
        element.value for element in page.code if element.value.startswith("# Desk, version 1")
    )
    assert "Tags: release\\-1" in card


def test_a_changed_row_shows_its_words_and_its_reason(engine: Engine, open_page: OpenPage) -> None:
    desk, ana = compared(engine), curated.ana(engine)
    first = curated.frozen(engine, desk)
    with writing(engine) as session:
        row = archive.rows(session, first.id)[4]
        current = pairs.get(session, row.pair_id)
        decisions.reopen(session, ana, current.id, current.version, "look again")
    with writing(engine) as session:
        card = claims.lease(session, ana, desk.id, now=curated.LONG_AGO)[0]
        decisions.decide(session, ana, stories.op(card, response=stories.FRAUD))
    second = curated.frozen(engine, desk)
    page = open_page(PAGE)
    assert not page.exception
    listed = page.dataframe[0].value
    why = {pair: (what, reason) for pair, what, _, reason in listed.itertuples(index=False)}
    assert why.pop(str(row.pair_id)) == (
        "changed",
        "sent back to review by ana: look again; approved by ana",
    )
    assert all(what == "moved" for what, _ in why.values())
    assert page.selectbox(key=f"change-shown-{second.id}").value == row.pair_id


def test_a_version_that_someone_tampered_with_is_neither_intact_nor_exported(
    engine: Engine, open_page: OpenPage
) -> None:
    desk = compared(engine)
    version = curated.frozen(engine, desk)
    page = open_page(PAGE)
    page.button(key=f"verify-{version.id}").click().run()
    assert not page.error
    with sqlite3.connect(str(engine.url.database)) as raw:
        raw.execute("DROP TRIGGER version_row_no_update")
        raw.execute("UPDATE version_row SET response = '{}' WHERE pair_id = 1")
    raw.close()
    page.button(key=f"verify-{version.id}").click().run()
    assert any("no longer has the pairs" in element.value for element in page.error)
    assert not page.get("download_button")


def test_the_page_is_not_there_for_someone_without_the_role(
    engine: Engine, open_page: OpenPage
) -> None:
    stories.project(engine)
    with pytest.raises(ValueError, match="Could not find a navigation page"):
        open_page(PAGE, user=stories.person(engine, "eva", Role.EXPERT))
