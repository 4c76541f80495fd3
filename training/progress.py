"""Where a project stands on the way from first pair to proven adapter, and what comes next."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy.orm import Session

from curation import statistics
from curation.gate import measures, readiness, signals
from curation.overlap import overlaps
from curation.versions import archive
from storage import pairs, projects
from storage.types import JobKind, Origin, PairStatus, Signal
from training.models import adapters
from training.proving import blind, comparisons
from training.work import jobs

_SCRUB = frozenset({"personal_data", "unscanned"})
_OVERLAPS = frozenset({"near_duplicates", "contradictions", "leakage"})
_FROZEN = frozenset({"unapproved", "test_share", "baseline"})
"""Lines of the gate that only a frozen version can meet."""


class State(StrEnum):
    """Where one step stands."""

    DONE = "done"
    NOW = "now"
    LATER = "later"


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the way. `page` is the address of a page."""

    key: str
    title: str
    page: str
    state: State
    count: str
    hint: str
    """What to do, as a request."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What the steps are judged by."""

    approved: int
    waiting: int
    gold: int
    """Gold pairs that are not rejected."""
    imported: int
    """Imported training pairs, whatever became of them."""
    sample: bool
    links: int
    uncompared: int
    signals: tuple[Signal, ...]
    versions: int
    running: frozenset[JobKind]
    """Kinds of work going on now."""
    adapters: int
    compared: int
    """Held-out pairs that base and the newest adapter both answered."""
    trials_open: int
    trials_closed: int
    """Blind trials of the newest adapter."""


def standing(
    session: Session, project_id: int, texts: measures.TextFigures | None = None
) -> Standing:
    """Everything the steps look at, read once; `texts` as in `readiness.report`."""
    tally = pairs.tally(session, project_id)
    tuned = adapters.listing(session, project_id)
    newest = tuned[0].id if tuned else None
    measured = {
        comparison.id: comparison.summary["n"]
        for comparison in comparisons.listing(session, project_id)
        if newest is not None and comparison.adapter_id == newest
    }
    trials = [t for t in blind.listing(session, project_id) if t.evaluation_id in measured]
    going = {job.kind for job in jobs.listing(session, project_id) if not job.state.final}
    return Standing(
        approved=sum(k.count for k in tally if k.status is PairStatus.APPROVED),
        waiting=sum(k.count for k in tally if k.status is PairStatus.WAITING),
        gold=sum(
            k.count
            for k in tally
            if k.origin is Origin.GOLD and k.status is not PairStatus.REJECTED
        ),
        imported=sum(k.count for k in tally if k.origin is Origin.IMPORT and not k.held_out),
        sample=projects.get(session, project_id).sample,
        links=overlaps.count(session, project_id),
        uncompared=overlaps.due(session, project_id),
        signals=tuple(readiness.report(session, project_id, texts=texts)),
        versions=archive.count(session, project_id),
        running=frozenset(going),
        adapters=len(tuned),
        compared=max(measured.values(), default=0),
        trials_open=sum(t.closed_at is None for t in trials),
        trials_closed=sum(t.closed_at is not None for t in trials),
    )


def steps(s: Standing) -> list[Step]:
    """The whole way in order: the first step that is not done is NOW. The last is never done."""
    listed = [
        _gather(s),
        _review(s),
        _scrub(s),
        _duplicates(s),
        _audit(s),
        _ready(s),
        _version(s),
        _run(s),
        _compare(s),
        _blind(s),
        _adapter(s),
    ]
    return _marked(listed)


def next_step(listed: Sequence[Step]) -> Step:
    """The one thing to do next."""
    return next(step for step in listed if step.state is State.NOW)


_Judged = tuple[bool, Step]


def _marked(judged: Sequence[_Judged]) -> list[Step]:
    first = next(i for i, (done, _) in enumerate(judged) if not done)
    steps = []
    for i, (done, step) in enumerate(judged):
        state = State.DONE if done else State.NOW if i == first else State.LATER
        steps.append(Step(step.key, step.title, step.page, state, step.count, step.hint))
    return steps


def _step(done: bool, key: str, title: str, page: str, count: str, hint: str) -> _Judged:
    return done, Step(key, title, page, State.LATER, count, hint)


def _blocking(s: Standing) -> frozenset[str]:
    return frozenset(signal.key for signal in readiness.unmet(s.signals))


def _measured(s: Standing, key: str) -> str:
    return next((signal.measured for signal in s.signals if signal.key == key), "")


def _gather(s: Standing) -> _Judged:
    gathered = s.approved + s.waiting
    few_gold = s.gold < signals.GOLD and "gold" in _blocking(s)
    few = gathered < signals.REVIEWED and "reviewed" in _blocking(s)
    page = "import"
    hint = (
        f"Import pairs you have, or draft some with a model: {gathered} of "
        f"{signals.REVIEWED} pairs."
    )
    if few_gold:
        page = "write"
        hint = f"Have experts write gold pairs: {s.gold} of {signals.GOLD}."
    elif s.sample and not s.imported:
        hint = "Import the sample's two files, import.csv and import.jsonl."
    return _step(
        not few_gold and not few,
        "gather",
        "Write, import or draft pairs",
        page,
        f"{gathered} pairs, {s.gold} of them gold",
        hint,
    )


def _review(s: Standing) -> _Judged:
    return _step(
        s.waiting == 0 and s.approved > 0,
        "review",
        "Review every pair",
        "review",
        f"{s.approved} approved, {s.waiting} waiting",
        f"Approve, edit or reject {statistics.count(s.waiting, 'pair')}, one at a time.",
    )


def _scrub(s: Standing) -> _Judged:
    return _step(
        s.approved > 0 and not _SCRUB & _blocking(s),
        "scrub",
        "Remove personal data",
        "scrub",
        f"{_measured(s, 'personal_data')} pairs to decide, {_measured(s, 'unscanned')}",
        "Scan the pairs, then decide each finding.",
    )


def _duplicates(s: Standing) -> _Judged:
    return _step(
        s.approved > 0 and not _OVERLAPS & _blocking(s),
        "duplicates",
        "Settle duplicates and contradictions",
        "duplicates",
        f"{s.links} open, {s.uncompared} pairs not compared",
        "Compare the pairs, then keep the best of each group.",
    )


def _audit(s: Standing) -> _Judged:
    return _step(
        s.approved > 0 and "audit" not in _blocking(s),
        "audit",
        "Audit a random sample",
        "audit",
        _measured(s, "audit"),
        "Have someone who did not approve the pairs judge a random sample of them.",
    )


def _ready(s: Standing) -> _Judged:
    before = [signal for signal in s.signals if signal.key not in _FROZEN]
    blocking = readiness.unmet(before)
    return _step(
        s.approved > 0 and not blocking,
        "ready",
        "Meet the readiness gate",
        "ready",
        f"{len(before) - len(blocking)} of {len(before)} lines met or waived",
        "See what the gate still asks, the signed decision record included.",
    )


def _version(s: Standing) -> _Judged:
    blocking = _FROZEN & _blocking(s)
    hint = "Freeze the approved pairs as a version, with test pairs held out."
    if s.versions and "unapproved" not in blocking and "test_share" not in blocking:
        hint = "Measure the base model on the version's held-out pairs."
    elif s.versions:
        hint = "Freeze a new version: the newest one no longer meets the gate."
    return _step(
        s.versions > 0 and not blocking,
        "version",
        "Freeze and measure a version",
        "versions",
        f"{s.versions} frozen, baseline: {_measured(s, 'baseline')}",
        hint,
    )


def _run(s: Standing) -> _Judged:
    going = JobKind.TRAIN in s.running
    return _step(
        s.adapters > 0,
        "run",
        "Train an adapter",
        "runs" if going else "launch",
        "training now" if going else f"{s.adapters} trained",
        "Watch the run." if going else "Launch a training run on the newest version.",
    )


def _compare(s: Standing) -> _Judged:
    going = JobKind.EVALUATE in s.running
    return _step(
        s.compared > 0,
        "compare",
        "Compare base and tuned answers",
        "compare",
        "answers being written" if going else f"{s.compared} held-out pairs answered by both",
        "Let base and tuned model answer the held-out pairs.",
    )


def _blind(s: Standing) -> _Judged:
    hint = "Plan a blind trial, so that people judge without knowing which model wrote what."
    if s.trials_open:
        hint = "Vote; a lead closes the trial when all planned items are judged."
    return _step(
        s.trials_closed > 0,
        "blind",
        "Judge blind",
        "blind",
        f"{s.trials_open} open, {s.trials_closed} closed",
        hint,
    )


def _adapter(s: Standing) -> _Judged:
    return _step(
        False,
        "adapter",
        "Hand over the adapter",
        "adapters",
        f"{s.adapters} with a card",
        "Read the adapter's card and download it.",
    )
