"""Import: a file is read once, mapped, looked at, and goes in whole or not at all."""

import io
import json
from pathlib import Path
from zipfile import ZipFile

import pytest
from sqlalchemy import Engine
from streamlit.testing.v1 import AppTest

from curation.exchange import files, intake
from curation.exchange.source import Table
from curation.project import sample
from curation.versions import packages
from storage import pairs, people, scratch, settings
from storage.engine import reading, writing
from storage.types import Origin, Pair, PairStatus, Project, Role, Split
from tests.support import curated, stories
from tests.support.ui import OpenPage, join
from training import reconcile

IMPORT = "pages/label/imports/page.py"
CSV = (
    b"Ticket,Message,Answer,Kind\n"
    b'T1,"My card is gone, help","{""team"": ""cards""}",cards\n'
    b'T2,"<img src=http://x/>","{""team"": ""moon""}",loans\n'
)


def upload(page: AppTest, content: bytes, name: str = "tickets.csv") -> AppTest:
    """The page after a file was chosen."""
    page.file_uploader[0].upload(name, content, "text/csv")
    page.run()
    assert not page.exception
    return page


def rows(engine: Engine, desk: Project) -> list[Pair]:
    """What the project holds."""
    with reading(engine) as session:
        return pairs.listing(session, desk.id)


def go(page: AppTest) -> AppTest:
    """Press Import."""
    button = next(b for b in page.button if b.label.startswith("Import "))
    return button.click().run()


def said(page: AppTest) -> str:
    """Everything the page says."""
    elements = (*page.text, *page.markdown, *page.success, *page.error)
    return "\n".join(element.value for element in elements)


def test_a_csv_is_mapped_looked_at_and_taken(engine: Engine, open_page: OpenPage) -> None:
    desk = stories.project(engine)
    page = upload(open_page(IMPORT, "ana"), CSV)
    labels = {box.label: box.value for box in page.selectbox}
    assert labels["Input"] == "Message"
    assert labels["Output"] == "Answer"
    assert labels["Record number"] == "Ticket"
    assert list(page.dataframe[0].value["Input"]) == [
        "My card is gone, help",
        "<img src=http://x/>",
    ]
    assert "1 row with HTML, links or images" in said(page)
    assert rows(engine, desk) == []
    go(page)
    assert not page.exception
    assert "2 pairs were imported" in said(page)
    assert "1 output does not fit the schema" in said(page)
    first, second = rows(engine, desk)
    assert (first.status, first.origin, first.held_out) == (
        PairStatus.WAITING,
        Origin.IMPORT,
        False,
    )
    assert first.source["file"] == "tickets.csv"
    assert (first.source["line"], second.source["id"]) == (2, "T2")


def test_an_export_of_a_version_comes_back_as_it_was(engine: Engine, open_page: OpenPage) -> None:
    desk = stories.project(engine)
    messages = [("  indented\n", stories.CARDS), *stories.messages(12)]
    curated.approved(engine, desk, messages)
    version = curated.frozen(engine, desk)
    with reading(engine) as session:
        package = packages.build(session, version.id, "alpaca", tuple(Split))
    second_project = stories.project(engine, "Other")
    person = join(engine, "ana")
    with writing(engine) as session:
        scratch.save(session, person, "open-project", {"id": second_project.id})
    page = upload(open_page(IMPORT, person), package.zipped(), "export.zip")
    labels = {box.label: box.value for box in page.selectbox}
    assert (labels["Input"], labels["More input (Alpaca)"]) == ("instruction", "input")
    assert "its hashes were checked" in said(page)
    go(page)
    assert not page.exception
    assert {(row.prompt, row.response) for row in rows(engine, second_project)} == set(messages)


def test_the_same_file_again_adds_nothing(engine: Engine, open_page: OpenPage) -> None:
    desk = stories.project(engine)
    for _ in range(2):
        page = go(upload(open_page(IMPORT, "ana"), CSV))
    assert "2 pairs were here already" in said(page)
    assert len(rows(engine, desk)) == 2


def test_test_rows_are_held_out(engine: Engine, open_page: OpenPage) -> None:
    desk = stories.project(engine)
    page = upload(open_page(IMPORT, "ana"), CSV)
    page.checkbox[0].check()
    go(page)
    assert all(row.held_out for row in rows(engine, desk))


def test_a_file_is_read_once_however_often_the_page_is_drawn(
    engine: Engine, open_page: OpenPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stories.project(engine)
    read, names = files.read, []

    def counted(path: Path, name: str) -> Table:
        names.append(name)
        return read(path, name)

    monkeypatch.setattr(files, "read", counted)
    page = upload(open_page(IMPORT, "ana"), CSV)
    page.selectbox[0].select_index(0).run()
    page.run()
    assert names == ["tickets.csv"]


@pytest.mark.parametrize(
    ("content", "name", "why"),
    [
        (b"", "empty.csv", "empty.csv is empty"),
        (b"a,b\n1,2\n1,2,3\n", "ragged.csv", "line 3"),
        (b'{"prompt": NaN}\n', "bad.jsonl", "line 1"),
        ("prompt,response\ncaf\u00e9,x".encode("utf-16-le"), "odd.csv", "odd.csv"),
        (b"PK\x03\x04 nothing", "broken.xlsx", "broken.xlsx"),
    ],
)
def test_a_bad_file_is_one_sentence_and_nothing_is_imported(
    engine: Engine, open_page: OpenPage, content: bytes, name: str, why: str
) -> None:
    desk = stories.project(engine)
    page = upload(open_page(IMPORT, "ana"), content, name)
    assert why in page.error[0].value
    assert not [b for b in page.button if b.label.startswith("Import")]
    assert rows(engine, desk) == []


def test_faulty_lines_are_listed_and_hold_back_the_whole_file(
    engine: Engine, open_page: OpenPage
) -> None:
    desk = stories.project(engine)
    lines = ['{"prompt": "a", "response": "b"}', '{"prompt": "", "response": "b"}']
    page = upload(open_page(IMPORT, "ana"), "\n".join(lines).encode(), "some.jsonl")
    assert "1 line is faulty" in page.error[0].value
    listed = page.dataframe[1].value
    assert list(listed["Line"]) == ["2"]
    assert list(listed["Why"]) == ["its input is empty"]
    assert not [b for b in page.button if b.label.startswith("Import")]
    assert rows(engine, desk) == []


def test_a_press_that_overtakes_the_page_takes_nothing(engine: Engine, open_page: OpenPage) -> None:
    desk = stories.project(engine)
    page = upload(open_page(IMPORT, "ana"), CSV)
    next(box for box in page.selectbox if box.label == "Topic").set_value("Ticket")
    assert "You changed something" in go(page).warning[0].value
    assert not rows(engine, desk)
    go(page)
    assert [pair.topic for pair in rows(engine, desk)] == ["T1", "T2"]


def test_an_unknown_era_is_refused_until_its_column_is_left_out(
    engine: Engine, open_page: OpenPage
) -> None:
    desk = stories.project(engine)
    content = b'prompt,response,policy\nhelp,"{""team"": ""cards""}",old rules\n'
    page = go(upload(open_page(IMPORT, "ana"), content))
    assert "names a policy era that this project does not have" in page.error[0].value
    assert rows(engine, desk) == []
    next(box for box in page.selectbox if box.label == "Policy era").select_index(0).run()
    go(page)
    assert len(rows(engine, desk)) == 1


def test_a_zip_of_a_saved_dataset(engine: Engine, open_page: OpenPage, tmp_path: Path) -> None:
    from datasets import Dataset

    desk = stories.project(engine)
    Dataset.from_list([{"prompt": "help", "response": stories.CARDS}]).save_to_disk(
        str(tmp_path / "saved")
    )
    packed = io.BytesIO()
    with ZipFile(packed, "w") as archive:
        for path in (tmp_path / "saved").iterdir():
            archive.write(path, f"saved/{path.name}")
    go(upload(open_page(IMPORT, "ana"), packed.getvalue(), "saved.zip"))
    assert [row.prompt for row in rows(engine, desk)] == ["help"]


def test_the_sample_offers_its_own_files(engine: Engine, open_page: OpenPage) -> None:
    lea = join(engine, "lea", Role.LEAD)
    with writing(engine) as session:
        desk = sample.begin(session, lea, reviewed=False)
    page = open_page(IMPORT, lea)
    for name, total in (("import.csv", 150), ("import.jsonl", 110)):
        page.button(key=f"sample-{name}").click().run()
        assert not page.exception
        go(page)
        assert f"{total} pairs were imported" in said(page)
        page.button(key="import-other").click().run()
    waiting = [row for row in rows(engine, desk) if row.status is PairStatus.WAITING]
    assert len(waiting) == 260


def test_a_lost_role_is_refused(engine: Engine, open_page: OpenPage) -> None:
    desk = stories.project(engine)
    ada = join(engine, "ada", Role.ADMIN)
    eva = join(engine, "eva", Role.EXPERT)
    page = upload(open_page(IMPORT, eva), CSV)
    with writing(engine) as session:
        people.set_roles(session, ada, eva.id, frozenset({Role.REVIEWER}))
    go(page)
    assert not page.exception
    assert "eva may not import" in page.error[0].value
    assert rows(engine, desk) == []


def test_mixed_chats_and_plain_rows_in_one_file(engine: Engine, open_page: OpenPage) -> None:
    desk = stories.project(engine)
    chat = [{"role": "user", "content": "a?"}, {"role": "assistant", "content": stories.CARDS}]
    lines = [{"messages": chat}, {"prompt": "b?", "response": stories.LOANS}]
    content = "\n".join(map(json.dumps, lines)).encode()
    go(upload(open_page(IMPORT, "ana"), content, "mixed.jsonl"))
    assert [row.prompt for row in rows(engine, desk)] == ["a?", "b?"]


def test_rows_that_repeat_test_rows_are_named_by_line_with_the_way_to_both(
    engine: Engine, open_page: OpenPage
) -> None:
    desk = stories.project(engine)
    test_pairs = [("my card is gone, HELP!", stories.CARDS)]
    test_row = stories.waiting(engine, desk, test_pairs, held_out=True)[0]
    page = go(upload(open_page(IMPORT, "ana"), CSV))
    assert "1 pair repeats a test pair" in page.warning[0].value
    line = page.dataframe[-1].value.iloc[0]
    assert (line["Line"], line["Repeats pair"]) == ("2", str(test_row.id))
    assert line["How"] == "Normalised"


@pytest.mark.usefixtures("in_process")
def test_a_large_file_is_a_job_that_the_page_shows_also_after_a_reload(
    engine: Engine, open_page: OpenPage
) -> None:
    desk = stories.project(engine)
    count = intake.LARGE + 1
    lines = (f"Message {n} about transfer {n * 7919},cards" for n in range(count))
    content = "\n".join(["input,output", *lines]).encode()
    page = go(upload(open_page(IMPORT, "ana"), content))
    assert not page.exception
    assert "Import: waiting to start" in said(page)
    assert not page.dataframe, "the file left the server's memory"
    assert rows(engine, desk) == []
    reconcile.tick(engine, settings.current())
    reconcile.tick(engine, settings.current())
    page = open_page(IMPORT, "ana")
    assert f"Import, finished (just now): {count} pairs were imported." in said(page)
    assert f"{count} outputs do not fit the schema" in said(page)
    assert len(rows(engine, desk)) == count


def test_a_large_file_that_is_being_imported_already_waits_in_no_second_job(
    engine: Engine, open_page: OpenPage
) -> None:
    stories.project(engine)
    lines = (f"Message {n} about transfer {n * 7919},cards" for n in range(intake.LARGE + 1))
    content = "\n".join(["input,output", *lines]).encode()
    for _ in range(2):
        page = go(upload(open_page(IMPORT, "ana"), content))
    assert "already going on" in said(page)
    assert len(list(settings.current().jobs.iterdir())) == 1, "its rows are not left behind"
