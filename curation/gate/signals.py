"""The lines of the readiness gate as pure functions: counts and rows in, a line with reasons out.

The thresholds are those of practitioners' guides to fine-tuning small sets. Each line says what it
does not catch. Nothing here reads the database: `curation.gate.readiness` gathers and asks.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from curation import statistics
from curation.gate import decision, sampling
from storage.types import PairSample, Signal

REVIEWED, GOLD = 200, 50
TEST_SHARE = (0.15, 0.20)
TEST_SLACK = 0.01
_SHINGLES = "Finds pairs that share at least 80 % of their shingles, not paraphrases."


@dataclass(frozen=True, slots=True)
class Audited:
    """What the newest audit has shown, as far as the gate asks."""

    judged: int
    good: int
    left: int
    """Drawn rows, those beside included, that nobody has judged yet."""
    interval: tuple[float, float]
    proven: float
    more: int
    """Good rows that would still prove `sampling.GOOD`."""
    failed: int = 0
    """Strata that fail."""


@dataclass(frozen=True, slots=True)
class LinkCount:
    """Links of a kind, and the pairs that they touch."""

    links: int
    pairs: PairSample


def reviewed(rows: int) -> Signal:
    """Enough approved rows."""
    return Signal(
        "reviewed",
        "Reviewed pairs",
        rows >= REVIEWED,
        f"{rows}",
        f"at least {REVIEWED}",
        "Write, import or draft more pairs and review them.",
        page="review",
        limits="Counts pairs, not how different they are.",
    )


def gold(rows: int) -> Signal:
    """Enough rows that experts wrote."""
    return Signal(
        "gold",
        "Gold pairs by experts",
        rows >= GOLD,
        f"{rows}",
        f"at least {GOLD}",
        "Ask the experts to write more gold pairs.",
        page="write",
        limits="Whoever writes under the role of an expert counts as one.",
    )


def unapproved(version: int | None, withdrawn: PairSample) -> Signal:
    """No row of the version (its number) without an approval of its very text."""
    n = withdrawn.count
    measured = "no version yet" if version is None else f"{n} of version {version}"
    return Signal(
        "unapproved",
        "Pairs without a person's approval",
        version is not None and n == 0,
        measured,
        "0",
        "Freeze a version of the pairs that are approved now.",
        withdrawn,
        "versions",
        "An approval says that a person pressed the key, not how carefully they read.",
    )


def audit(audited: Audited | None, approved: int) -> Signal:
    """Enough of the approved rows drawn and judged, enough of them good, no stratum failing."""
    met, measured = False, "no audit yet"
    fix = "Draw an audit and have someone else judge the pairs."
    if audited is not None:
        met = _audit_met(audited, approved)
        measured = (
            f"{audited.good} of {audited.judged} good, {audited.left} to judge; "
            f"95 % interval {statistics.percent(audited.interval)}"
        ) + (f"; groups that fail: {audited.failed}" if audited.failed else "")
        fix = _audit_fix(audited, met)
    return Signal(
        "audit",
        "Random audit",
        met,
        measured,
        f"{sampling.SHARE:.0%} drawn at random, at least {sampling.GOOD:.0%} good, "
        "no group failing",
        fix,
        page="audit",
        limits="A small sample: read the interval, not the share alone.",
    )


def _audit_met(audited: Audited, approved: int) -> bool:
    drawn = audited.left == 0 and audited.judged >= sampling.size(approved)
    good = audited.judged > 0 and audited.good >= sampling.GOOD * audited.judged - 1e-9
    return drawn and good and not audited.failed


def _audit_fix(audited: Audited, met: bool) -> str:
    if met and audited.more:
        return (
            f"Met. It proves {audited.proven:.0%}; {audited.more} more good pairs would prove "
            f"{sampling.GOOD * 100:.0f} %."
        )
    if audited.failed:
        return "Send the groups that fail back to review; draw a new audit once they are repaired."
    return "Judge the drawn pairs; draw a new audit once the bad ones are repaired."


def test_share(version: int | None, counts: Mapping[str, int]) -> Signal:
    """The share of test rows in the version (its number and rows per part)."""
    low, high = TEST_SHARE
    total = sum(counts.values())
    share = counts.get("test", 0) / total if total else 0.0
    measured = "no version yet"
    if version is not None:
        measured = f"{counts.get('test', 0)} of {total} ({share:.1%}) in version {version}"
    met = version is not None and low - TEST_SLACK - 1e-9 <= share <= high + TEST_SLACK + 1e-9
    return Signal(
        "test_share",
        "Held-out test pairs",
        met,
        measured,
        f"{low:.0%} to {high:.0%}, give or take 1 %",
        "Freeze a version; it holds test pairs out.",
        page="versions",
        limits="A test as narrow as the training pairs says nothing of other questions.",
    )


def leakage(linked: LinkCount, due: int) -> Signal:
    """No training row linked to a test row, and no row left to compare."""
    return _links(
        "leakage",
        "Training pairs that repeat test pairs",
        linked,
        due,
        "Reject the training one of each two.",
        "Finds shared word runs, a few edits, one source; not paraphrases.",
    )


def near_duplicates(linked: LinkCount, due: int) -> Signal:
    """No open near-duplicates, and no row left to compare."""
    return _links(
        "near_duplicates",
        "Unresolved near-duplicates",
        linked,
        due,
        "Keep the best of each group, or say why both are right.",
        _SHINGLES,
    )


def contradictions(linked: LinkCount, due: int) -> Signal:
    """No open contradictions, and no row left to compare."""
    return _links(
        "contradictions",
        "Contradictions",
        linked,
        due,
        "Decide which output is right and reject the other.",
        "Finds inputs that share at least 80 % of their shingles, not paraphrases.",
    )


def _links(key: str, name: str, linked: LinkCount, due: int, fix: str, limits: str) -> Signal:
    measured = f"{linked.links}" + (f", {due} pairs not compared yet" if due else "")
    return Signal(
        key,
        name,
        not linked.links and not due,
        measured,
        "0",
        fix,
        linked.pairs,
        "duplicates",
        limits,
    )


def personal_data(rows: PairSample, message: int = 0) -> Signal:
    """No row with a finding that nobody has decided, and none in the system message."""
    measured = f"{rows.count}" + (f", {message} in the system message" if message else "")
    return Signal(
        "personal_data",
        "Pairs with open personal-data findings",
        not rows and not message,
        measured,
        "0",
        "Decide every finding on the Scrub page.",
        rows,
        "scrub",
        "The scanner misses some names and most free descriptions of a person.",
    )


def unscanned(left: PairSample, quarantined: PairSample, *, message: bool = True) -> Signal:
    """Every row scanned whole, and the system message (`message`)."""
    measured = f"{left.count} unscanned, {quarantined.count} quarantined"
    return Signal(
        "unscanned",
        "Pairs not scanned whole",
        not left and not quarantined and message,
        measured + ("" if message or left else ", the system message not scanned"),
        "0",
        "Run the scan; shorten or reject quarantined pairs.",
        PairSample(left.count + quarantined.count, tuple(sorted({*left.ids, *quarantined.ids}))),
        "scrub",
    )


def system_messages(messages: Iterable[str]) -> Signal:
    """One system message in the version and in the project as it is now."""
    n = len(set(messages))
    return Signal(
        "system_messages",
        "System messages in the set",
        n == 1,
        f"{n}",
        "1",
        "Freeze a version with the present system message.",
        page="versions",
    )


def schema(wrong: PairSample, *, has_schema: bool) -> Signal:
    """Every output fits the project's schema, where it has one."""
    return Signal(
        "schema",
        "Outputs that do not fit the schema",
        not wrong,
        f"{wrong.count}" if has_schema else "no schema in this project",
        "0",
        "Reopen these pairs and repair or reject them.",
        wrong,
        "browse",
        "A valid output can still be the wrong answer.",
    )


def retired_era(rows: PairSample, limits: str) -> Signal:
    """No row of a retired era; `limits` says what is not audited."""
    return Signal(
        "retired_era",
        "Pairs of a retired policy era",
        not rows,
        f"{rows.count}",
        "0",
        "Reopen these pairs and write them anew under the present policy, or reject them.",
        rows,
        "eras",
        limits,
    )


def baseline(right: tuple[int, int] | None) -> Signal:
    """The base model alone measured on the test rows: how many right of how many."""
    return Signal(
        "baseline",
        "Prompt-only baseline on the held-out pairs",
        right is not None,
        "not measured" if right is None else f"{right[0]} of {right[1]} right",
        "measured",
        "Measure the base model on the test pairs of the newest version.",
        page="versions",
    )


def plateau(iterations: int, required: int) -> Signal:
    """Prompting was tried until it no longer helped."""
    return Signal(
        "plateau",
        "Prompting has stopped helping",
        iterations >= required,
        f"{iterations} iterations ended in the same class of error",
        f"{required} or more",
        "Try better prompts first, and write down what came of it.",
        page="decide",
        limits="The record's own word; Assay did not see those prompts.",
    )


def facts_change(answer: str | None, weekly: str) -> Signal:
    """Facts do not change weekly. `weekly` is the answer that says they do."""
    return Signal(
        "facts_change",
        "How often the facts change",
        answer is not None and answer != weekly,
        answer or "not answered",
        "not weekly",
        "Use retrieval for facts that change weekly.",
        page="decide",
        limits="The record's own word.",
    )


def decision_record(owners: Iterable[str]) -> Signal:
    """The record is signed by both owners."""
    parts = sorted(set(owners) & set(decision.OWNERS))
    return Signal(
        "decision_record",
        "Decision record signed by both owners",
        len(parts) == len(decision.OWNERS),
        " and ".join(parts) + " owner signed" if parts else "not signed",
        "business and technical owner",
        "Write the record and have both owners sign it.",
        page="decide",
    )
