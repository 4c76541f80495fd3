"""Stories on the way to production: an adapter checked, its lines waived, its trial won."""

import hashlib
import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from sqlalchemy import Engine

from storage import settings
from storage.engine import writing
from storage.types import Adapter, Arm, Comparison, Role, Stage
from tests.support import copies, stories, tuned
from training import asks
from training.lifecycle import check_prompts, checks, gate, registry
from training.proving import blind


def checked(
    engine: Engine,
    story: tuned.Frozen,
    adapter: Adapter,
    *,
    right: int = 20,
    lost: int = 0,
    failed: Sequence[str] = (),
) -> None:
    """A finished check: `right` general tasks right by the base, the first `lost` of them wrong by
    the tuned model; these red-team prompts failed by it."""
    with writing(engine) as session:
        job = asks.check(session, story.lead, adapter.id)
        own = check_prompts.listing(session, story.project.id)
    general, hostile = checks.tasks(checks.GENERAL), checks.tasks(checks.RED_TEAM)
    hostile += [
        {"set": checks.OWN, "id": f"own-{one.id}", "kind": "own", "prompt": one.prompt}
        for one in own
    ]
    lines = []
    for arm in Arm:
        gone = lost if arm is Arm.TUNED else 0
        for i, task in enumerate(general):
            lines.append(_line(task, arm, passed=gone <= i < right))
        for task in hostile:
            lines.append(_line(task, arm, passed=arm is Arm.BASE or task["id"] not in failed))
    content = "".join(json.dumps(line) + "\n" for line in lines).encode()
    result = {
        **checks.tally(lines),
        "tasks_sha256": "0" * 64,
        "outputs_sha256": hashlib.sha256(content).hexdigest(),
    }
    done = tuned.finished(engine, job, {checks.LINES: content}, result)
    assert done.state == "finished", done.message


def _line(task: dict[str, object], arm: Arm, *, passed: bool) -> dict[str, object]:
    text = f"{arm} {'right' if passed else 'wrong'}"
    return {
        **{name: task[name] for name in ("set", "id", "kind", "prompt")},
        "arm": arm.value,
        "text": text,
        "passed": passed,
        "why": "" if passed else "breaks its rule",
        "sha256": hashlib.sha256(text.encode()).hexdigest(),
    }


def waive(engine: Engine, story: tuned.Frozen, adapter: Adapter, *keys: str) -> None:
    """Waive these lines of the gate, or every one that blocks and can be waived."""
    until = datetime.now(UTC).date() + timedelta(days=7)
    with writing(engine) as session:
        lines = gate.unmet(gate.report(session, adapter.id, settings.current()))
        for key in keys or [one.key for one in lines]:
            gate.waive(session, story.lead, adapter.id, key, "A test of the registry.", until)


def promote(engine: Engine, story: tuned.Frozen, adapter: Adapter, *to: Stage) -> None:
    """Move an adapter up, stage by stage."""
    for stage in to:
        with writing(engine) as session:
            registry.promote(session, story.lead, adapter.id, stage, settings.current())


def in_production(engine: Engine, story: tuned.Frozen, adapter: Adapter) -> None:
    """Into production, with every line waived that blocks."""
    waive(engine, story, adapter)
    promote(engine, story, adapter, Stage.APPROVED, Stage.PRODUCTION)


def won(engine: Engine, story: tuned.Frozen, evaluation: Comparison) -> None:
    """A blind trial on all held-out rows, won by the tuned model, closed."""
    trial = tuned.planned(engine, story, evaluation, evaluation.summary["n"])
    tuned.prefer(engine, stories.person(engine, "ben", Role.REVIEWER), trial)
    with writing(engine) as session:
        assert blind.close(session, story.lead, trial.id).verdict == "better"


def ready(engine: Engine) -> tuple[tuned.Frozen, Adapter]:
    """The third of three compared adapters, checked, with its trial won: every line is met."""
    return copies.once(engine, lambda: _ready(engine), "ready")


def _ready(engine: Engine) -> tuple[tuned.Frozen, Adapter]:
    story = tuned.frozen(engine, 40)
    for name in ("One", "Two", "Three"):
        adapter = tuned.trained(engine, story, name)
        evaluation = tuned.evaluated(engine, story, adapter)
    checked(engine, story, adapter)
    won(engine, story, evaluation)
    return story, adapter
