"""The commands for policy eras: the same verbs, refusals in one sentence."""

import json
from typing import Any

from sqlalchemy import Engine
from typer.testing import CliRunner

from curation.__main__ import app
from storage.types import PairStatus, Role
from tests.support import curated, stories

OLD = "Please visit your home branch with the card"


def run(*words: str) -> tuple[int, str, str]:
    """Exit status, output and errors."""
    done = CliRunner().invoke(app, list(words))
    return done.exit_code, done.stdout, done.stderr


def told(*words: str) -> Any:  # noqa: ANN401 - JSON
    """What the command prints as JSON."""
    code, out, err = run(*words, "--json")
    assert code == 0, err
    return json.loads(out)


def test_eras_are_added_retired_and_listed(engine: Engine) -> None:
    stories.project(engine)
    stories.person(engine, "lea", Role.LEAD)
    code, out, _ = run(
        "eras",
        "--add",
        "old",
        "--starts",
        "2019-01-01",
        "--document",
        "Policy 2019",
        "--phrase",
        "home branch",
        "--as",
        "lea",
    )
    assert code == 0
    assert "in force" in out
    (era,) = told("eras", "--retire", "old", "--as", "lea")
    assert (era["retired"], era["phrases"]) == (True, ["home branch"])
    (era,) = told("eras", "--reinstate", "OLD", "--as", "lea")
    assert not era["retired"]


def test_what_cannot_be_is_one_sentence(engine: Engine) -> None:
    stories.project(engine)
    stories.person(engine, "eva", Role.EXPERT)
    stories.person(engine, "lea", Role.LEAD)
    for words, why in [
        (("eras", "--add", "x", "--starts", "soon", "--as", "lea"), "Give --starts as a day"),
        (("eras", "--add", "x", "--starts", "2020-01-01", "--as", "eva"), "may not add"),
        (("eras", "--retire", "x", "--as", "lea"), "no era 'x'"),
        (("affected",), "Say what to look for"),
        (("affected", "--topic", "x", "--reject", "--clone", "y"), "Choose one of"),
    ]:
        code, _, err = run(*words)
        assert code == 1
        assert why in err
        assert "Traceback" not in err


def test_affected_rows_are_listed_and_dealt_with(engine: Engine) -> None:
    desk = stories.project(engine)
    stories.person(engine, "lea", Role.LEAD)
    run("eras", "--add", "new", "--starts", "2024-01-01", "--as", "lea")
    first, second = curated.approved(engine, desk, [(OLD, stories.CARDS), ("My x", stories.CARDS)])
    search = ("affected", "--phrase", "HOME branch")
    found = told(*search)
    assert found == {
        "rows": [first.id],
        "held": [],
        "rejected": 0,
        "counts": {"with the phrase": 1},
    }
    assert "1 with the phrase" in run(*search)[1]
    made = told(*search, "--clone", "new", "--as", "lea")
    assert len(made["rows"]) == 1
    told(*search, "--send-back", "The fee changed", "--as", "lea")
    assert stories.again(engine, first).status is PairStatus.WAITING
    told(*search, "--reject", "--as", "lea")
    assert stories.again(engine, first).status is PairStatus.REJECTED
    assert stories.again(engine, second).status is PairStatus.APPROVED
