"""The card of a version, in Markdown and JSON: what is in it, who vouched for it, how to check it.

It is made from the database alone, without the time of making, so that the same data gives the
same bytes on any machine. What was sealed when the version was frozen stands apart from what came
later. Names of people are those of their profiles.
"""

import json
import re
from collections.abc import Iterable

import msgspec
from msgspec import UNSET
from sqlalchemy.orm import Session

from curation.versions import archive, certificate, evidence, tags
from curation.versions.records import (
    Certificate,
    Counts,
    Hashes,
    Inclusion,
    SealedAudit,
    SealedFacts,
    SealedWaiver,
    Since,
    VersionCard,
)
from storage import people, projects
from storage.types import Split

_PARTS = tuple(part.value for part in Split)
_MARKS = re.compile(r"([\\`*_{}\[\]()<>#+\-.!|~$&:@])")


def build(session: Session, version_id: int) -> VersionCard:
    """The card of a version, which is proven first."""
    return of(session, archive.opened(session, version_id))


def of(session: Session, opened: archive.Opened) -> VersionCard:
    """The card of a proven version."""
    version, manifest = opened.version, opened.version.manifest
    facts = opened.facts or evidence.gather(session, version, opened.rows)
    names = people.names(session)
    return VersionCard(
        project=projects.get(session, version.project_id).name,
        version=version.number,
        frozen_at=version.created_at.isoformat(timespec="seconds"),
        frozen_by=names.get(version.created_by, "someone"),
        note=manifest.note,
        rows=sum(version.counts.values()),
        by_split=dict(version.counts),
        seed=version.seed,
        shares=manifest.shares,
        system_message_sha256=manifest.system_message_sha256,
        output_schema=manifest.output_schema is not None,
        hashes=Hashes(version.sha256, opened.merkle_root, opened.seal),
        sealed_when_frozen=opened.facts is not None,
        facts=facts,
        since=_since(session, opened, facts),
    )


def _since(session: Session, opened: archive.Opened, facts: SealedFacts) -> Since:
    version = opened.version
    audit = evidence.audit(session, version, opened.rows)
    certified = certificate.build(session, version.id, version.sha256)
    return Since(
        audit=UNSET if audit == facts.audit else audit,
        certificate=UNSET if certified == facts.certificate else certified,
        tags=tags.of(session, version),
        withdrawn=archive.withdrawn(session, version.id).count,
        held_out_since=len(archive.held_out_since(session, version.id)),
    )


def to_json(value: VersionCard | Inclusion) -> bytes:
    """The card, or the proof for one pair, with sorted keys."""
    plain_values = msgspec.to_builtins(value)
    return (json.dumps(plain_values, ensure_ascii=False, sort_keys=True, indent=2) + "\n").encode()


def plain(text: object) -> str:
    """What a person wrote as Markdown that shows it as it is, on one line."""
    return _MARKS.sub(r"\\\1", " ".join(str(text).split()))


def to_markdown(card: VersionCard) -> bytes:
    """The card for people. Whatever people wrote is escaped."""
    blocks = [
        _head(card),
        _counts(card),
        _people(card.facts),
        _audit(card.facts.audit),
        _waivers(card.facts.waivers),
        _duplicates(card.facts.duplicates),
        _certificate(card.facts.certificate),
        _later(card.since),
        _checking(card),
    ]
    return ("\n\n".join("\n".join(block) for block in blocks) + "\n").encode()


def _table(head: Iterable[object], rows: Iterable[Iterable[object]]) -> list[str]:
    names = [plain(name) for name in head]
    lines = [f"| {' | '.join(names)} |", f"|{' --- |' * len(names)}"]
    return lines + [f"| {' | '.join(plain(cell) for cell in row)} |" for row in rows]


def _head(card: VersionCard) -> list[str]:
    note = ["", plain(card.note)] if card.note else []
    sealed = (
        ""
        if card.sealed_when_frozen
        else " Frozen by an earlier release: the counts below are those of the database as it is."
    )
    return [
        f"# {plain(card.project)}, version {card.version}",
        *note,
        "",
        f"{card.rows} approved pairs, frozen by {plain(card.frozen_by)} on "
        f"{card.frozen_at}, split with seed {card.seed} "
        f"(shares asked: {', '.join(str(share) for share in card.shares)}; pairs that "
        f"belong together kept on one side: {card.facts.groups} groups).{sealed}",
    ]


def _counts(card: VersionCard) -> list[str]:
    facts = card.facts
    lines = [
        "## Pairs",
        "",
        *_table(["", *_PARTS], [["all", *(card.by_split[part] for part in _PARTS)]]),
    ]
    for title, counts in (
        ("Origin", facts.by_origin),
        (facts.label, facts.by_label),
        ("Policy era", facts.by_era),
    ):
        rows = [[kind, *(split.get(part, 0) for part in _PARTS)] for kind, split in counts.items()]
        lines += ["", *_table([title, *_PARTS], rows)]
    lines += [
        "",
        "Pairs with letters and accents stored apart (not NFC), kept as they are: "
        f"{facts.not_nfc}.",
    ]
    return lines


def _people(facts: SealedFacts) -> list[str]:
    return ["## Approved by", "", *_table(["Person", "Pairs"], facts.approvers.items())]


def _audit(audit: SealedAudit | None) -> list[str]:
    if audit is None:
        return ["## Audit", "", "No pair had been audited when this version was frozen."]
    return ["## Audit", "", _audit_sentence(audit)]


def _audit_sentence(audit: SealedAudit) -> str:
    """An audit's result with n and its intervals, in the spelling that cards have always had."""
    wilson, exact = (
        "{:.1%} to {:.1%}".format(*interval)
        for interval in (audit.wilson_95, audit.clopper_pearson_95)
    )
    return (
        f"{audit.good} of {audit.judged} judged pairs good ({audit.drawn} drawn at random "
        f"from {audit.population}); 95 % interval {wilson} (Wilson), {exact} (exact); proven "
        f"with 95 % confidence: {audit.proven_95:.1%}. {audit.in_version.good} of "
        f"{audit.in_version.judged} of them are in this version with the text that was judged."
    )


def _waivers(waivers: Iterable[SealedWaiver]) -> list[str]:
    rows = [[waiver.line, waiver.by, waiver.until, waiver.reason] for waiver in waivers]
    if not rows:
        return ["## Waivers", "", "No readiness line was waived when this version was frozen."]
    return ["## Waivers", "", *_table(["Line", "By", "Until", "Reason"], rows)]


def _duplicates(settlements: Counts) -> list[str]:
    rows = [
        [kind, *(settled.get(how, 0) for how in ("one_rejected", "both_kept", "open"))]
        for kind, settled in settlements.items()
    ]
    if not rows:
        return ["## Duplicates settled", "", "None touched a pair of this version."]
    head = ["Kind", "one rejected", "both kept with a reason", "open"]
    return ["## Duplicates settled", "", *_table(head, rows)]


def _certificate(certified: Certificate) -> list[str]:
    rows = [
        [kind, *(states[state] for state in ("accepted", "dismissed", "open"))]
        for kind, states in certified.findings.items()
    ]
    scans = [
        f"- {count} pairs under configuration `{config}`"
        for config, count in certified.configurations.items()
    ]
    return [
        "## Personal data",
        "",
        f"{certified.fully_scanned} of {certified.rows} pairs scanned whole; "
        f"{certified.quarantined} quarantined, {certified.not_scanned} not scanned.",
        *(["", *scans] if scans else []),
        *(["", *_table(["Finding", "accepted", "dismissed", "open"], rows)] if rows else []),
        *(["", *_table(["Decided by", "findings"], certified.decided_by.items())] if rows else []),
        "",
        "What this does not prove:",
        "",
        *(f"- {limit}" for limit in certified.does_not_prove),
        "",
        f"Certificate `{certified.certificate_sha256}`",
    ]


def _later(since: Since) -> list[str]:
    lines = ["## Since then", ""]
    if since.tags:
        lines.append(f"- Tags: {', '.join(plain(name) for name in since.tags)}")
    if since.audit:
        lines.append(f"- Audit: {_audit_sentence(since.audit)}")
    if since.certificate:
        lines.append(
            f"- Scanned again: {since.certificate.fully_scanned} of {since.certificate.rows} pairs "
            f"whole, certificate `{since.certificate.certificate_sha256}`"
        )
    lines.append(f"- Pairs no longer approved with this text: {since.withdrawn}")
    lines.append(
        f"- Training or validation pairs that a later version tests on: {since.held_out_since}"
    )
    return lines


def _checking(card: VersionCard) -> list[str]:
    return [
        "## How to check it",
        "",
        *_table(
            ["Hash", "Value"],
            [
                ["sha256 of the canonical pairs", card.hashes.sha256],
                ["Merkle root over the pairs", card.hashes.merkle_root],
                ["Seal over all that was frozen", card.hashes.seal or "none"],
                ["sha256 of the system message", card.system_message_sha256],
            ],
        ),
        "",
        "In the database: `python -m curation verify`. An export: `python verify.py` in its "
        "folder, which needs nothing but Python. Neither shows where the data came from: compare "
        "the sha256 with the one you were given another way.",
    ]
