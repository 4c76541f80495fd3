"""The sample project's whole loop without a browser, through the same verbs as the pages.

The people in it are stand-ins: a script that reads the sample's list of planted faults decides in
their place, and votes for the answer that matches the held-out one. It shows that the loop works
and what the tuned model scores; it is no evidence about people.
"""

import json
import shutil
import time
import uuid
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from curation import statistics, visible
from curation.gate import audit, decision, readiness
from curation.overlap import overlaps
from curation.personal import findings, messages, scrub
from curation.policy import belonging
from curation.project import sample
from curation.project.score import METRICS
from curation.review import decisions
from curation.review.decisions import Reason
from curation.review.ops import BallotOp
from curation.versions import archive, freezing
from storage import console, pairs, people
from storage.engine import reading, writing
from storage.errors import RuleBroken
from storage.settings import ROOT, Settings, current
from storage.types import (
    Arm,
    Choice,
    FindingState,
    Job,
    LinkKind,
    Pair,
    PairStatus,
    Project,
    Role,
    Split,
    User,
)
from training import asks
from training.launch import runs
from training.lifecycle import adapter_cards
from training.models import adapters
from training.proving import best_prompt, blind, comparisons
from training.records.parts import BaseModel
from training.records.record import read
from training.records.results import EvaluateResult
from training.settings import SMALL_BASE

app = console.app("The whole loop on the sample project.")

MARKER = ".demo"
PLANNED = 40
"""Items of the demo's blind trial."""


@app.command("demo")
@console.plain
def run_demo() -> None:
    """Take the sample project through the whole loop, headless, in ASSAY_DATA."""
    run(current())


def run(place: Settings) -> dict[str, Any]:
    """Run the loop and write `report.json`; takes some 10 to 20 minutes on two cores.

    Raises:
        RuleBroken: the data folder holds a database that no demo made.
    """
    began = time.monotonic()
    _begin_anew(place)
    engine = console.engine(upgrade=True)
    with writing(engine) as session:
        lead = people.join(session, "Demo lead", frozenset(Role))
        second = people.join(session, "Demo second lead", frozenset(Role))
        project = sample.begin(session, lead, reviewed=True)
    _say("Opened the sample project; its fictional people have reviewed the pairs.")
    _clean(engine, lead, project)
    _audit(engine, second, project)
    version_id = _decide_and_freeze(engine, lead, second, project)
    base = BaseModel("packaged")
    with writing(engine) as session:
        job = asks.evaluate(session, lead, version_id, base, None, best_prompt=True)
    _finish(job, "Baseline measured")
    with writing(engine) as session:
        until = datetime.now(UTC).date() + timedelta(days=1)
        reason = "Demo: nobody iterated prompts, so there is no plateau to show."
        readiness.waive(session, lead, project.id, "plateau", reason, until)
    with writing(engine) as session:
        job = asks.launch(session, lead, runs.RunPlan(version_id, "Demo", base, SMALL_BASE))
    trained = _finish(job, "Adapter tuned")
    report = _prove(engine, lead, second, project, version_id)
    report |= {"run": trained.result, "seconds": round(time.monotonic() - began, 1)}
    (place.data / "report.json").write_text(
        json.dumps(report, ensure_ascii=False, indent=2, default=str), encoding="utf-8"
    )
    _tell(report, place)
    return report


def _say(sentence: str) -> None:
    console.err.print(sentence, markup=False)


def _begin_anew(place: Settings) -> None:
    """Clear what an earlier demo left, and only that; the converted base model stays."""
    place.data.mkdir(parents=True, exist_ok=True)
    if place.database.exists() and not (place.data / MARKER).exists():
        raise RuleBroken(
            f"{place.data} holds a database that no demo made. Set ASSAY_DATA to another folder."
        )
    (place.data / MARKER).touch()
    for path in place.data.glob("assay.db*"):
        path.unlink()
    shutil.rmtree(place.jobs, ignore_errors=True)


def _finish(job: Job, outcome: str) -> Job:
    from training.commands.following import wait

    done = wait(job)
    _say(f"{outcome}: {done.message}")
    return done


def _clean(engine: Engine, actor: User, project: Project) -> None:
    """Scrub, settle what repeats, and send away what a reader of the guidelines would."""
    with writing(engine) as session:
        job = asks.scan(session, actor, project.id)
    _finish(job, "Scanned for personal data")
    planted = _planted()
    with writing(engine) as session:
        _scrub(session, actor, project, planted)
        _reject_bad(session, actor, project, planted)
    with writing(engine) as session:
        overlaps.sweep(session, actor, project.id)
        _settle(session, actor, project)
    _rescan(engine, actor, project)
    with reading(engine) as session:
        counts = pairs.counts(session, project.id)
    _say(f"Pairs: {', '.join(f'{n} {status}' for status, n in counts.items())}.")


def _rescan(engine: Engine, actor: User, project: Project) -> None:
    with writing(engine) as session:
        overlaps.sweep(session, actor, project.id)
        left = findings.unscanned(session, project.id)
        job = asks.scan(session, actor, project.id) if left else None
    if job is not None:
        _finish(job, "Scanned again")


def _planted() -> list[str]:
    """The personal data that was put into the sample on purpose."""
    path = ROOT / "sample_data" / "planted.json"
    return [entry["text"] for entry in json.loads(path.read_bytes())["personal_data"]]


def _scrub(session: Session, actor: User, project: Project, texts: Sequence[str]) -> None:
    """Accept findings that touch planted data, call the others harmless."""
    for harmless in messages.state(session, project.id).findings:
        messages.dismiss(session, actor, project.id, harmless.number)
    for marked in findings.marked(session, project.id):
        for finding in marked.findings:
            field = findings.texts(marked.pair)[findings.place(finding)]
            span = field[finding.start : finding.end]
            real = any(span in text or text in span for text in texts)
            state = FindingState.ACCEPTED if real else FindingState.DISMISSED
            scrub.decide(session, actor, finding.id, state)


def _reject_bad(session: Session, actor: User, project: Project, texts: Sequence[str]) -> None:
    """Reject what a careful reader would: leftovers of personal data, markup, retired policy."""
    old = belonging.retired(session, project.id)
    rules: dict[str, Callable[[Pair], bool]] = {
        Reason.PERSONAL_DATA: lambda p: any(text in p.prompt for text in texts),
        Reason.NOT_OUR_POLICY: lambda p: p.id in old,
        Reason.OTHER: lambda p: bool(visible.has_markup(p.prompt) or visible.hidden(p.prompt)),
        Reason.WRONG_ANSWER: lambda p: p.status is PairStatus.WAITING,
    }
    for pair in pairs.listing(session, project.id):
        why = next((reason for reason, applies in rules.items() if applies(pair)), None)
        if why is not None and pair.status is not PairStatus.REJECTED:
            decisions.reject(session, actor, pairs.row_of(session, pair.id), why)


def _settle(session: Session, actor: User, project: Project) -> None:
    """Keep the best row of every group; a training row that repeats a test row goes."""
    for kinds in ([LinkKind.LEAK], [LinkKind.CONTRADICTION], [LinkKind.EXACT, LinkKind.NEAR]):
        for group in overlaps.grouped(session, project.id, kinds):
            best, *others = group.pairs
            versions = {pair.id: pair.version for pair in others}
            overlaps.keep(session, actor, best.id, versions, Reason.DUPLICATE)


def _audit(engine: Engine, auditor: User, project: Project) -> None:
    with writing(engine) as session:
        audit.draw(session, auditor, project.id, seed=11)
    while True:
        with writing(engine) as session:
            row = audit.next_row(session, auditor, project.id)
            if row is None:
                break
            audit.judge(session, auditor, row.id, row.version, good=True, note="demo stand-in")
    with reading(engine) as session:
        latest = audit.latest(session, project.id)
    if latest is not None:
        _say(f"Audit (stand-in): {latest.good} of {latest.judged} good.")


def _decide_and_freeze(engine: Engine, lead: User, second: User, project: Project) -> int:
    answers = dict.fromkeys(decision.QUESTIONS, "Demo: answered by a script, not by owners.")
    with writing(engine) as session:
        decision.write(session, lead, project.id, answers, decision.CHANGE[0], iterations=0)
        decision.sign(session, lead, project.id, "business")
        decision.sign(session, second, project.id, "technical")
        version = freezing.freeze(session, lead, project.id, seed=7)
    _say(f"Froze version {version.number}: {version.counts}.")
    return version.id


def _prove(
    engine: Engine, lead: User, second: User, project: Project, version_id: int
) -> dict[str, Any]:
    with writing(engine) as session:
        adapter = adapters.listing(session, project.id)[0]
        base = BaseModel("packaged")
        job = asks.evaluate(session, lead, version_id, base, adapter.id, best_prompt=True)
    _finish(job, "Compared on held-out pairs")
    with writing(engine) as session:
        comparison = comparisons.listing(session, project.id)[0]
        planned = min(PLANNED, comparison.summary["n"])
        trial = blind.plan(session, lead, comparison.id, planned)
    expected = _expected(engine, version_id)
    for voter in (lead, second):
        _vote(engine, voter, trial.id, expected)
    with writing(engine) as session:
        verdict = blind.close(session, lead, trial.id)
        scores = adapter_cards.scored(comparison.summary)
        version = archive.verify(session, version_id)
        gate = readiness.report(session, project.id, version)
    return {
        "n": scores["n"],
        **{
            f"{arm}_{metric.figure}": scores[f"{arm}_{metric.key}"]["rate"]
            for arm, metric in product(Arm, METRICS)
        },
        "intervals_95": {
            name: [rate["low"], rate["high"]] for name, rate in scores.items() if name != "n"
        },
        "evaluation": comparison.summary["made"],
        "version": {"sha256": version.sha256, "counts": version.counts},
        "adapter_sha256": adapter.sha256,
        "trial": {
            "votes_are": "scripted stand-ins, no evidence about people",
            "verdict": verdict.verdict,
            "tuned": verdict.total.tuned,
            "base": verdict.total.base,
            "tie": verdict.total.tie,
            "both_bad": verdict.total.both_bad,
            "p_value": verdict.p_value,
        },
        "gate": {s.key: "met" if s.met else f"waived: {s.waiver}" for s in gate},
    }


def _expected(engine: Engine, version_id: int) -> dict[str, str]:
    with reading(engine) as session:
        return {row.prompt: row.response for row in archive.rows(session, version_id, Split.TEST)}


def _vote(engine: Engine, voter: User, trial_id: int, expected: dict[str, str]) -> None:
    while True:
        with writing(engine) as session:
            waiting = blind.ballots(session, voter, trial_id, limit=1)
            if not waiting:
                return
            ballot = waiting[0]
            wanted = expected[ballot.prompt]
            right = (ballot.left == wanted, ballot.right == wanted)
            choice = {
                (True, True): Choice.TIE,
                (False, False): Choice.BOTH_BAD,
                (True, False): Choice.LEFT,
                (False, True): Choice.RIGHT,
            }[right]
            blind.vote(
                session, voter, trial_id, BallotOp(str(uuid.uuid4()), ballot.item, choice, None)
            )


def _tell(report: dict[str, Any], place: Settings) -> None:
    n = report["n"]
    for arm, metric in product(Arm, METRICS):
        hits = round(report[f"{arm}_{metric.figure}"] * n)
        console.out.print(f"{arm:5} {metric.figure:14} {statistics.rate(hits, n)}", markup=False)
    record = read(EvaluateResult, report["evaluation"])
    console.out.print(f"The base got {best_prompt.prompt_scores(record.prompting)}.", markup=False)
    console.out.print(
        f"{report['seconds']:.0f} s in all; written to {place.data / 'report.json'}", markup=False
    )
