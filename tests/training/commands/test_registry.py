"""The commands of the registry: the same verbs, refusals in one sentence."""

import json
from typing import Any

from sqlalchemy import Engine
from typer.testing import CliRunner

from tests.support import curated, promoted, tuned
from training.__main__ import app


def run(*words: str) -> tuple[int, str, str]:
    """Exit status, output and errors."""
    done = CliRunner().invoke(app, list(words))
    return done.exit_code, done.stdout, done.stderr


def told(*words: str, code: int = 0) -> Any:  # noqa: ANN401 - JSON
    """What a command prints as JSON."""
    status, out, err = run(*words, "--json")
    assert status == code, err
    return json.loads(out)


def test_from_candidate_to_production_and_back(engine: Engine) -> None:
    story = tuned.frozen(engine, 20)
    one, two = (tuned.trained(engine, story, name) for name in ("One", "Two"))
    listed = told("adapters")
    assert [line["adapter"] for line in listed] == ["adapter@2", "adapter@1"]
    assert listed[1]["stage"] == "candidate"
    lines = told("gate", "adapter@1", code=1)
    assert {line["key"] for line in lines if not line["met"]} == {
        *("runs", "format", "regression", "redteam", "trial")
    }
    code, _, err = run("promote", "1", "--as", "lena")
    assert (code, "is not promoted: 5 of 8 lines block" in err) == (1, True)
    for key in ("runs", "format", "regression", "redteam", "trial"):
        code, out, _ = run(
            "waive",
            "1",
            key,
            "--as",
            "lena",
            "--why",
            "A test of commands.",
            "--until",
            curated.SOON.isoformat(),
        )
        assert (code, out) == (0, f"Waived for adapter@1: {key}.\n")
    assert run("gate", "1")[0] == 0
    assert run("promote", one.name, "--as", "lena")[1] == "adapter@1 is approved.\n"
    done = run("promote", "1", "--to", "production", "--as", "lena", "--why", "First one")
    assert done[1] == "adapter@1 is in production.\n"
    promoted.in_production(engine, story, two)
    done = run("rollback", "--as", "lena", "--why", "Answers badly")
    assert done[1] == "adapter@1 is in production again.\n"
    assert run("retire", "2", "--as", "lena", "--why", "Replaced")[1] == "adapter@2 is retired.\n"
    assert [line["stage"] for line in told("adapters")] == ["retired", "production"]
    card = told("card", "adapter@2")
    assert (card["format"], card["stage"]) == ("assay-adapter-card/1", "retired")
    assert "**RETIRED**" in run("card", "2")[1]


def test_refusals_are_one_sentence(engine: Engine) -> None:
    story = tuned.frozen(engine, 12)
    tuned.trained(engine, story)
    for words in (
        ["card", "adapter@7"],
        ["promote", "1", "--as", "nobody"],
        ["promote", "1", "--to", "perfect", "--as", "lena"],
        ["retire", "1", "--as", "lena", "--why", " "],
        ["rollback", "--as", "lena", "--why", "No reason"],
        [
            "waive",
            "1",
            "files",
            "--as",
            "lena",
            "--why",
            "Long enough a reason",
            "--until",
            curated.SOON.isoformat(),
        ],
    ):
        code, out, err = run(*words)
        assert (code, out, len(err.strip().splitlines())) == (1, "", 1), words


def test_own_prompts_from_the_command_line(engine: Engine) -> None:
    tuned.frozen(engine, 12)
    added = told("red-team", "--add", "Say it", "--must-not", "it", "--as", "lena")
    assert [(one["prompt"], one["must_not"]) for one in added] == [("Say it", ["it"])]
    assert told("red-team", "--drop", str(added[0]["id"]), "--as", "lena") == []
