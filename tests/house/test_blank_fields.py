"""What looks empty is empty: every verb that takes words, asked with words that nobody can see."""

import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from inspect import signature
from typing import Any

import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from curation.exchange import incoming
from curation.exchange.source import Table, TableRow
from curation.gate import audit, decision, readiness
from curation.overlap import overlaps
from curation.policy import era_rows, eras
from curation.project import begin
from curation.review import claims, decisions, writing as gold
from curation.review.ops import Submission
from curation.versions import freezing
from curation.versions.layout import ColumnMapping
from storage import pairs, people, projects
from storage.blank import trim
from storage.engine import reading
from storage.errors import AssayError
from storage.tables import AuditVerdictRow
from storage.types import Action, Origin, Role, User
from tests.house.test_roles import ATTRIBUTES, VERBS_FOUND
from tests.support import curated, stories, tuned
from training.draft import drafts
from training.launch import runs
from training.lifecycle import check_prompts, gate, registry
from training.proving import blind

BLANK = {
    "nothing": "",
    "white space": " \t\n\u00a0\u2003\u3000",
    "zero-width": "\u200b\u200c\u200d\u2060\ufeff",
    "NUL": "\0\x01\x1f",
    "braille": "\u2800\u2800",
    "variation selectors": "\ufe0f\ufe00\U000e0100",
    "bidi marks": "\u200e\u200f\u202a\u202e\u2066\u2069",
    "fillers": "\u034f\u115f\u1160\u3164\uffa0\u00ad",
    "tags": "\U000e0041\U000e0042",
}
WORDS = "Real words, long enough to be read."


@dataclass(frozen=True, slots=True)
class Story:
    """What the verbs act on."""

    lead: User
    desk: int
    version: int
    evaluation: int
    approved: int
    waiting: tuple[int, int]
    """Two pairs with the same words."""
    link: int
    gold: int


Call = Callable[[Session, Story, str], Any]


def _edit(side: str) -> Call:
    def call(session: Session, story: Story, text: str) -> object:
        card = claims.lease(session, story.lead, story.desk)[0]
        changed = stories.op(card, **{side: text})  # type: ignore[arg-type]
        return decisions.decide(session, story.lead, changed)

    return call


def _write(side: str) -> Call:
    def call(session: Session, story: Story, text: str) -> object:
        words = {"prompt": WORDS, "response": stories.CARDS, side: text}
        return gold.gold(session, story.lead, story.desk, Submission(str(uuid.uuid4()), **words))

    return call


def _merge(side: str) -> Call:
    def call(session: Session, story: Story, text: str) -> object:
        best, other = story.waiting
        words = {"prompt": WORDS, "response": stories.CARDS, side: text}
        return overlaps.merge(
            session, story.lead, best, {other: 1}, words["prompt"], words["response"]
        )

    return call


def _create(side: str) -> Call:
    def call(session: Session, story: Story, text: str) -> object:
        words = {"name": "New", "task": WORDS, "system_message": WORDS, side: text}
        return begin.begin(session, story.lead, *words.values())

    return call


def _answers(text: str) -> dict[str, str]:
    return {**dict.fromkeys(decision.QUESTIONS, WORDS), "need": text}


def _imported(side: str) -> Call:
    def call(_session: Session, _story: Story, text: str) -> object:
        values = {"a": WORDS, "b": stories.CARDS, "a" if side == "prompt" else "b": text}
        mapping = ColumnMapping(prompt="a", response="b", exact=True)
        table = Table(("a", "b"), [TableRow(1, dict(values))], "CSV", "")
        preview = incoming.apply(table, mapping, "")
        if preview.refusals:
            raise AssayError(str(preview.refusals[0]))
        return preview

    return call


UNTIL = datetime.now(UTC).date() + timedelta(days=3)
REQUIRED: dict[str, tuple[str, Call]] = {
    "curation.review.decisions.decide prompt": ("needs words", _edit("prompt")),
    "curation.review.decisions.decide response": ("needs words", _edit("response")),
    "curation.review.decisions.reopen reason": (
        "Say in a few words why",
        lambda s, t, x: decisions.reopen(
            s, t.lead, t.approved, pairs.get(s, t.approved).version, x
        ),
    ),
    "curation.review.writing.gold prompt": ("needs an input and an output", _write("prompt")),
    "curation.review.writing.gold response": ("needs an input and an output", _write("response")),
    "curation.overlap.overlaps.merge prompt": ("needs an input and an output", _merge("prompt")),
    "curation.overlap.overlaps.merge response": (
        "needs an input and an output",
        _merge("response"),
    ),
    "curation.overlap.overlaps.keep reason": (
        "Say in a few words why",
        lambda s, t, x: overlaps.keep(s, t.lead, t.waiting[0], {t.waiting[1]: 1}, x),
    ),
    "curation.overlap.overlaps.both_right reason": (
        "Say in a few words why",
        lambda s, t, x: overlaps.both_right(s, t.lead, t.link, x),
    ),
    "curation.policy.era_rows.send_back reason": (
        "Say in a few words why",
        lambda s, t, x: era_rows.send_back(
            s, t.lead, t.desk, {t.approved: pairs.get(s, t.approved).version}, x
        ),
    ),
    "curation.policy.eras.add name": (
        "needs a name",
        lambda s, t, x: eras.add(s, t.lead, t.desk, x, date(2020, 1, 1)),
    ),
    "curation.gate.decision.write answers": (
        "Please answer",
        lambda s, t, x: decision.write(s, t.lead, t.desk, _answers(x), decision.CHANGE[0], 3),
    ),
    "curation.gate.readiness.waive reason": (
        "Give the reason",
        lambda s, t, x: readiness.waive(s, t.lead, t.desk, "audit", x, UNTIL),
    ),
    "training.lifecycle.gate.waive reason": (
        "Give the reason",
        lambda s, t, x: gate.waive(s, t.lead, 1, "regression", x, UNTIL),
    ),
    "curation.project.begin.begin name": ("needs a name", _create("name")),
    "curation.project.begin.begin task": ("needs a task", _create("task")),
    "curation.project.begin.begin system_message": ("needs a task", _create("system_message")),
    "storage.projects.create name": (
        "needs a name",
        lambda s, t, x: projects.create(s, t.lead, x, WORDS, WORDS),
    ),
    "storage.projects.reword system_message": (
        "needs a system message",
        lambda s, t, x: projects.reword(s, t.lead, t.desk, x),
    ),
    "storage.people.join name": (
        "needs a name",
        lambda s, _t, x: people.join(s, x, frozenset({Role.LEAD})),
    ),
    "training.lifecycle.check_prompts.add prompt": (
        "Give a prompt",
        lambda s, t, x: check_prompts.add(s, t.lead, t.desk, x, ["words"], []),
    ),
    "training.lifecycle.check_prompts.add must": (
        "at least one word",
        lambda s, t, x: check_prompts.add(s, t.lead, t.desk, WORDS, [x], [x]),
    ),
    "training.lifecycle.registry.retire reason": (
        "Say in a few words why",
        lambda s, t, x: registry.retire(s, t.lead, 1, x),
    ),
    "training.lifecycle.registry.rollback reason": (
        "Say in a few words why",
        lambda s, t, x: registry.rollback(s, t.lead, t.desk, None, x),  # type: ignore[arg-type]
    ),
    "training.proving.blind.plan question": (
        "needs the question",
        lambda s, t, x: blind.plan(s, t.lead, t.evaluation, 2, question=x),
    ),
    "training.asks.draft topic": (
        "Name the topic",
        lambda s, t, x: drafts.request(s, t.desk, drafts.DraftPlan(x, 1, 1, 0.0)),
    ),
    "an import's row, input": ("its input is empty", _imported("prompt")),
    "an import's row, output": ("its output is empty", _imported("response")),
}
"""Each field that may not be empty, by its verb: the refusal, and a call that gives it a text."""


def _rejected(session: Session, story: Story, text: str) -> object:
    card = claims.lease(session, story.lead, story.desk)[0]
    decisions.decide(session, story.lead, stories.op(card, Action.REJECT, reason=text))
    return pairs.get(session, card.pair.id).reject_reason


def _noted(session: Session, story: Story, text: str) -> object:
    other = people.join(session, "Another auditor", frozenset({Role.LEAD}))
    audit.draw(session, other, story.desk, 7)
    row = audit.next_row(session, other, story.desk)
    assert row is not None
    audit.judge(session, other, row.id, row.version, good=True, note=text)
    return session.query(AuditVerdictRow).one().note


def _era(field: str) -> Call:
    def call(session: Session, story: Story, text: str) -> object:
        value: Any = [text] if field == "phrases" else text
        era = eras.add(session, story.lead, story.desk, "Old", date(2020, 1, 1), **{field: value})
        return getattr(era, field)

    return call


OPTIONAL: dict[str, Call] = {
    "curation.review.decisions.decide reason": _rejected,
    "curation.gate.audit.judge note": _noted,
    "curation.review.writing.gold topic": lambda s, t, x: (
        gold.gold(
            s, t.lead, t.desk, Submission(str(uuid.uuid4()), WORDS, stories.CARDS, x or None)
        ).topic
    ),
    "curation.versions.freezing.freeze note": lambda s, t, x: (
        freezing.freeze(s, t.lead, t.desk, note=x).manifest.note
    ),
    "curation.policy.eras.add document": _era("document"),
    "curation.policy.eras.add url": _era("url"),
    "curation.policy.eras.add phrases": _era("phrases"),
    "storage.projects.change guidelines": lambda s, t, x: (
        projects.change(s, t.lead, t.desk, guidelines=x, two_people=True).guidelines
    ),
}
"""Each field that may be empty: a call that gives back what was stored."""

NO_WORDS = {
    "curation.exchange.intake.take": "the name is a file's; the rows were read by `incoming`",
    "curation.gate.decision.sign": "one of two parts",
    "curation.personal.scrub.decide": "one of the types",
    "curation.policy.eras.change": "the same checks as `add`",
    "curation.versions.tags.tag": "small letters only",
    "storage.backups.staging.stage": "the path of a backup that is there",
    "training.asks.bring_in": "a file's name, and the id of a job",
    "training.asks.cancel": "the id of a job",
    "training.asks.curve": "a plan of runs, whose name falls back on the version's",
    "training.asks.freeze": "a note, which `freezing.planned` trims",
    "training.asks.launch": "a plan of runs, whose name falls back on the version's",
    "training.asks.probe": "a plan of runs, whose name falls back on the version's",
    "training.asks.resume": "the id of a job",
    "training.asks.stop": "the id of a job",
    "training.asks.sweep": "a plan of runs, whose name falls back on the version's",
    "training.lifecycle.imports.take": "a name that falls back on another",
    "training.lifecycle.registry.promote": "a reason that may be left out",
    "training.proving.blind.ballots": "the ids of items",
    "training.proving.blind.vote": "ids and a choice",
}
"""Verbs with text that no person types, or that is checked elsewhere."""


@pytest.fixture
def story(engine: Engine) -> Story:
    """A frozen project with a comparison, and two pairs alike that wait."""
    frozen, comparison = tuned.compared(engine, 12)
    desk = frozen.project
    curated.approved(engine, desk, stories.messages(1, start=300))
    rows = stories.waiting(engine, desk, [("The very same words here.", stories.CARDS)] * 2)
    (written,) = stories.waiting(
        engine, desk, [("Gold words.", stories.CARDS)], Origin.GOLD, curated.ana(engine)
    )
    curated.compared(engine, desk)
    with reading(engine) as session:
        approved = pairs.listing(session, desk.id, limit=1)[0].id
    return Story(
        frozen.lead,
        desk.id,
        frozen.version.id,
        comparison.id,
        approved,
        (rows[0].id, rows[1].id),
        curated.links(engine, desk)[0].id,
        written.id,
    )


def _refusal(engine: Engine, story: Story, call: Call, text: str) -> str:
    """Why the text was refused, "" where it was taken; what it changed is thrown away."""
    with reading(engine) as session:
        try:
            call(session, story, text)
        except AssayError as error:
            return str(error)
    return ""


@pytest.mark.parametrize("text", BLANK.values(), ids=BLANK)
def test_words_that_nobody_sees_are_no_words(engine: Engine, story: Story, text: str) -> None:
    assert trim(text) == ""
    for field, (refusal, call) in REQUIRED.items():
        assert refusal in _refusal(engine, story, call, text), field
    for field, optional in OPTIONAL.items():
        with reading(engine) as session:
            assert not optional(session, story, text), field


def test_words_that_are_seen_are_words(engine: Engine, story: Story) -> None:
    for words in (WORDS, f"\u200b{WORDS}\ufe0f", "❤️ 👩\u200d🔬 in all of ten characters"):
        for field, (refusal, call) in REQUIRED.items():
            assert refusal not in _refusal(engine, story, call, words), field
        for field, optional in OPTIONAL.items():
            with reading(engine) as session:
                assert optional(session, story, words), field


def test_a_reason_of_ten_characters_has_ten_that_are_seen(engine: Engine, story: Story) -> None:
    refusal, call = REQUIRED["curation.gate.readiness.waive reason"]
    assert refusal in _refusal(engine, story, call, "ok" + "\u200b" * 20)


def test_a_run_without_a_name_that_is_seen_is_named_after_its_version(
    engine: Engine, story: Story
) -> None:
    with reading(engine) as session:
        desk = projects.get(session, story.desk)
    tuned.waive(engine, story.lead, desk)
    with reading(engine) as session:
        _, spec = runs.request(session, runs.RunPlan(story.version, "\u2800"))
    assert spec.name == "version 1"


def test_every_verb_that_takes_words_is_asked() -> None:
    asked = {field.rpartition(" ")[0] for field in (*REQUIRED, *OPTIONAL)} | set(NO_WORDS)
    for name in VERBS_FOUND:
        verb = ATTRIBUTES[name]
        assert callable(verb)
        kinds = " ".join(str(p.annotation) for p in signature(verb).parameters.values())
        if re.search(r"\b(str|Op|Submission|RunPlan|DraftPlan)\b", kinds):
            assert name in asked, f"{name} takes words: give it a line in REQUIRED or OPTIONAL"
