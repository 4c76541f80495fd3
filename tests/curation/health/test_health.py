"""The health of a set: each measure names its rows, says its n, and leaves a good set alone."""

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text
from typer.testing import CliRunner

from curation.__main__ import app
from curation.exchange import columns, files, incoming, intake
from curation.health import coverage, project_rows, report
from curation.health.measured import Approval, Measure, MeasuredPair, Task, row_of
from storage.engine import reading, writing
from storage.errors import BadInput
from storage.types import Project, Role
from tests.support import curated, stories

TASK = Task(stories.SCHEMA, "team")


def rows(*lines: tuple[str, str], **more: Any) -> list[MeasuredPair]:  # noqa: ANN401
    """Rows numbered from 1."""
    return [
        row_of({"id": number, "prompt": prompt, "response": response, **more})
        for number, (prompt, response) in enumerate(lines, 1)
    ]


def good(count: int = 8) -> list[MeasuredPair]:
    """Rows without a fault."""
    return rows(*stories.messages(count))


def measured(
    key: str, given: list[MeasuredPair], task: Task = TASK, *approvals: Approval
) -> Measure:
    """One line of the report."""
    health = report.measure(given, task, approvals)
    return next(one for one in health.measures if one.key == key)


def test_a_good_set_has_nothing_to_look_at() -> None:
    health = report.measure(good(), TASK)
    assert health.to_look_at() == []
    assert (health.n, len({one.key for one in health.measures})) == (8, len(health.measures))
    assert all(one.summary and one.limits for one in health.measures)


def test_an_empty_set_is_measured_too() -> None:
    health = report.measure([], Task())
    assert health.n == 0
    assert health.to_look_at() == []


@pytest.mark.parametrize(
    ("key", "prompt", "response"),
    [
        ("schema", "My card", "no JSON"),
        ("encoding", "Where is my cafÃ© card", stories.CARDS),
        ("left_in", "My card", '{"team": "TODO"}'),
        ("model_talk", "My card", "As an AI language model I route."),
        ("refusal", "My card", "I'm sorry, but I can't help."),
        ("copied", "Where is my card, please?", "Where is my card, please? Here."),
        ("fence", "My card\n```", stories.CARDS),
        ("short", "card", stories.CARDS),
        ("language", "Ich habe meine Karte gestern im Zug verloren, bitte sperren.", "ja doch"),
    ],
)
def test_a_fault_is_named_with_its_row(key: str, prompt: str, response: str) -> None:
    found = measured(key, [*good(), row_of({"id": "odd", "prompt": prompt, "response": response})])
    assert found.rows == ("odd",)
    assert found.look
    assert 0 < found.share[0] < len(found.rows) / found.n <= found.share[1]


def test_the_language_counts_only_rows_that_could_be_guessed() -> None:
    found = measured(
        "language",
        rows(
            ("My card", "yes"),
            ("Where is the card that I ordered from your bank last week?", "yes"),
        ),
    )
    assert (found.n, found.rows) == (1, ())
    assert "1 are too short to tell" in found.summary


def test_a_response_far_under_the_median_is_short() -> None:
    long = [(f"Tell me of {n}", f"{n} " + "a long answer with words in it " * 8) for n in range(5)]
    assert measured("short", rows(*long, ("Tell me of cards", "No")), Task()).rows == (6,)
    assert measured("short", rows(("Is it?", "Yes"), ("Was it?", "No")), Task()).rows == ()


def test_one_response_for_many_inputs_beyond_what_labels_explain() -> None:
    stock = "Please call us on the number on your card."
    asked = [f"Question number {n}" for n in range(5)]
    assert measured("repeated", rows(*((a, stock) for a in asked)), Task()).rows == (1, 2, 3, 4, 5)
    assert measured("repeated", rows(*((a, stock) for a in asked[:4])), Task()).rows == ()
    assert measured("repeated", rows(*((asked[0], stock) for _ in asked)), Task()).rows == ()
    assert measured("repeated", rows(*((a, stories.CARDS) for a in asked))).rows == ()
    told = json.dumps({"team": "cards", "why": stock})
    assert len(measured("repeated", rows(*((a, told) for a in asked))).rows) == 5


def test_system_messages_that_were_not_the_sets() -> None:
    own = row_of({"id": 9, "prompt": "a b", "response": "c", "system": "Be rude."}, "Be kind.")
    same = row_of({"id": 8, "prompt": "a b", "response": "c", "system": "Be kind."}, "Be kind.")
    assert measured("system", [*good(), same, own]).rows == (9,)
    assert measured("system", [same]).rows == ()


def test_thin_topics_and_labels_without_a_row() -> None:
    given = [*rows(*stories.messages(8), topic="lost"), *rows(("My x", stories.CARDS), topic="x")]
    topics = measured("topics", given)
    assert (topics.bars, topics.rows) == ((("lost", 8), ("x", 1)), (1,))
    labels = measured("labels", rows(*stories.messages(8)[:3]))
    assert ("fraud", 0) in labels.bars
    assert labels.n == 3
    assert not topics.look
    assert "no label field" in measured("labels", good(), Task()).summary


def test_lengths_have_a_histogram_and_outliers() -> None:
    found = measured("prompt_tokens", rows(*stories.messages(8), ("word " * 500, stories.CARDS)))
    assert found.rows == (9,)
    assert sum(count for _, count in found.bars) == 9
    assert measured("prompt_tokens", good()).rows == ()


@pytest.mark.parametrize(
    ("counts", "bars"),
    [
        ([], ()),
        ([3, 3, 4], (("3", 2), ("4", 1))),
        (
            [0, 19, 30],
            (
                ("0-4", 1),
                ("5-9", 0),
                ("10-14", 0),
                ("15-19", 1),
                ("20-24", 0),
                ("25-29", 0),
                ("30-34", 1),
            ),
        ),
    ],
)
def test_histograms(counts: list[int], bars: tuple[tuple[str, int], ...]) -> None:
    assert coverage.histogram(counts) == bars


def test_difficulty_and_edge_cases_only_where_somebody_said_so() -> None:
    assert measured("difficulty", good()).n == 0
    assert "No pair says" in measured("difficulty", good()).summary
    hard = rows(*stories.messages(3), difficulty="hard")
    assert measured("difficulty", hard).bars == (("hard", 3),)
    edge = rows(("a b", stories.CARDS), topic="Edge case")
    assert measured("edge", [*good(), *edge]).rows == (1,)
    assert measured("edge", good()).rows == ()


def test_approvals_faster_than_one_reads() -> None:
    pace = (Approval(1, 1.9, 5), Approval(2, 2.0, 31), Approval(3, 2.0, 30), Approval(4, 60, 30))
    found = measured("pace", good(), TASK, *pace)
    assert (found.rows, found.n) == ((1, 2), 4)
    assert measured("pace", good()).n == 0


def test_what_is_kept_of_a_text_is_never_stale() -> None:
    before = row_of({"id": 1, "prompt": "My card", "response": "TODO"})
    after = row_of({"id": 1, "prompt": "My card", "response": "Here it is."})
    assert measured("left_in", [before], Task()).rows == (1,)
    assert measured("left_in", [after], Task()).rows == ()
    assert measured("schema", [after], Task(stories.SCHEMA)).rows == (1,)
    assert measured("schema", [after], Task({})).rows == (1,)
    assert measured("schema", [after], Task(None)).rows == ()


# Of a project


@pytest.fixture
def desk(engine: Engine) -> Project:
    """Two approved rows, one rejected, one waiting with a gap."""
    desk = stories.project(engine)
    approved = curated.approved(engine, desk, 3)
    lena = stories.person(engine, "lena", Role.LEAD)
    from curation.review import decisions
    from storage import pairs

    with writing(engine) as session:
        decisions.reject(session, lena, pairs.row_of(session, approved[2].id), "Duplicate")
    stories.waiting(engine, desk, [("My card", '{"team": "TODO"}')])
    return desk


def test_rejected_rows_do_not_count(engine: Engine, desk: Project) -> None:
    with reading(engine) as session:
        alive = project_rows.measure(session, desk.id)
        approved = project_rows.measure(session, desk.id, approved=True)
    assert (alive.n, approved.n) == (3, 2)
    assert [one.key for one in alive.to_look_at()] == ["schema", "left_in", "pace"]
    assert [one.key for one in approved.to_look_at()] == ["pace"]


def test_the_pace_is_taken_between_one_persons_decisions(engine: Engine, desk: Project) -> None:
    def pace(seconds: float) -> list[tuple[Any, float]]:
        start = datetime(2026, 1, 1)  # noqa: DTZ001 - as the database keeps it
        with engine.begin() as connection:
            connection.execute(text("DROP TRIGGER decision_no_update"))
            for number in (1, 2, 3):
                at = (start + timedelta(seconds=seconds * number)).isoformat(" ", "microseconds")
                connection.execute(
                    text("UPDATE decision SET created_at = :at WHERE id = :n"),
                    {"at": at, "n": number},
                )
            connection.execute(
                text(
                    "CREATE TRIGGER decision_no_update BEFORE UPDATE ON decision BEGIN"
                    " SELECT RAISE(ABORT, 'decision is insert-only'); END"
                )
            )
        with reading(engine) as session:
            one = next(
                one for one in project_rows.measure(session, desk.id).measures if one.key == "pace"
            )
        return [(row, one.n) for row in one.rows]

    assert pace(1) == [(2, 1)]
    assert pace(30) == []
    assert pace(3600) == []


def test_an_import_remembers_another_system_message(engine: Engine, tmp_path: Path) -> None:
    desk, lena = stories.project(engine), stories.person(engine, "lena", Role.LEAD)
    chats = [
        {
            "messages": [
                {"role": "system", "content": system},
                {"role": "user", "content": asked},
                {"role": "assistant", "content": stories.CARDS},
            ]
        }
        for system, asked in [("Be rude.", "My card is lost"), (desk.system_message, "My loan")]
    ]
    path = tmp_path / "chats.jsonl"
    path.write_text("\n".join(map(json.dumps, chats)), encoding="utf-8")
    table = files.read(path, path.name)
    preview = incoming.apply(table, columns.suggest(table), desk.system_message)
    with writing(engine) as session:
        taken = intake.take(
            session, lena, desk.id, preview.take(path.name), name=path.name, sha256=table.sha256
        )
        found = next(
            one for one in project_rows.measure(session, desk.id).measures if one.key == "system"
        )
    assert found.rows == taken.added[:1]


# Of a file


def run(*words: str) -> tuple[int, str, str]:
    """Exit status, output and errors of the command."""
    done = CliRunner().invoke(app, ["health", *words])
    return done.exit_code, done.stdout, done.stderr


def file(tmp_path: Path, content: bytes) -> str:
    path = tmp_path / "in.jsonl"
    path.write_bytes(content)
    return str(path)


LINE = b'{"id": 1, "prompt": "My card", "response": "TODO"}'


def test_a_file_is_measured_without_a_database(tmp_path: Path) -> None:
    code, out, err = run("--file", file(tmp_path, LINE + b"\n\n"), "--json")
    assert code == 0
    by_key = {one["key"]: one for one in json.loads(out)}
    assert (by_key["left_in"]["rows"], by_key["left_in"]["n"]) == ([1], 1)
    assert "1 pair in" in err
    code, out, _ = run("--file", file(tmp_path, LINE))
    assert "Gap left to fill: 1 of 1" in out


def test_an_empty_file_is_an_empty_set(tmp_path: Path) -> None:
    assert run("--file", file(tmp_path, b""))[0] == 0


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"{", "in.jsonl, line 1: "),
        (b"[]", "in.jsonl, line 1: it is no JSON object"),
        (b'{"id": 1, "prompt": "a"}', "line 1: it needs a text under 'response'"),
        (b'{"prompt": "a", "response": "b"}', "line 1: it needs a number or a text under 'id'"),
        (LINE + b"\n" + LINE, "line 2: its id stands in line 1 too"),
        (b"\xff\xfe", "cannot be read as UTF-8"),
    ],
)
def test_a_bad_file_is_refused_in_a_sentence(tmp_path: Path, content: bytes, why: str) -> None:
    code, _, err = run("--file", file(tmp_path, content))
    assert code == 1
    assert why in err


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    assert "There is no file" in run("--file", str(tmp_path / "no.jsonl"))[2]


def test_the_project_is_measured_by_the_same_command(engine: Engine, desk: Project) -> None:
    code, out, _ = run("--json")
    assert code == 0
    by_key = {one["key"]: one for one in json.loads(out)}
    with reading(engine) as session:
        report = project_rows.measure(session, desk.id)
    assert {key: one["rows"] for key, one in by_key.items()} == {
        one.key: list(one.rows) for one in report.measures
    }


def test_a_row_needs_its_texts() -> None:
    with pytest.raises(BadInput, match="'prompt'"):
        row_of({"id": 1, "prompt": 3, "response": ""})
