"""The ledger of test rows: once test, never training, never an example for drafts.

It is read from what is stored for good: test rows of every version, with the words they had, and
rows held out now. It counts whole families: a row that (nearly) repeats a test row, or comes from
the same source, is shut out as the test row itself is. What says the same in other words is not
found.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from curation.overlap import compared, duplicates, leakage
from curation.overlap.leakage import Alike, Leak, SourcedInput
from storage import steps
from storage.errors import RuleBroken
from storage.tables import LinkRow, MemberRow, PairRow, VersionRowTable
from storage.types import LinkKind, LinkState, Pair, Split, VersionRow


@dataclass(frozen=True, slots=True)
class Tested:
    """Words that were asked in a test, of the row with this id."""

    pair_id: int
    prompt: str
    source: str | None
    version: int | None
    """The number of the first version that tested them; None if they are only held out so far."""


def tested(session: Session, project_id: int) -> list[Tested]:
    """Every input that is or ever was a test row of the project, by row; each wording once."""
    frozen = (
        select(PairRow.id, MemberRow.prompt, PairRow.source, VersionRowTable.number)
        .join(MemberRow, MemberRow.pair_id == PairRow.id)
        .join(VersionRowTable, VersionRowTable.id == MemberRow.version_id)
        .where(VersionRowTable.project_id == project_id, MemberRow.split == Split.TEST)
        .order_by(PairRow.id, VersionRowTable.number)
    )
    held_out = select(PairRow.id, PairRow.prompt, PairRow.source).where(
        PairRow.project_id == project_id, PairRow.held_out
    )
    wordings: dict[tuple[int, str], Tested] = {}
    for row in session.execute(frozen):
        wordings.setdefault(
            (row.id, row.prompt), _tested(row.id, row.prompt, row.source, row.number)
        )
    for pair in session.execute(held_out):
        entry = _tested(pair.id, pair.prompt, pair.source, None)
        wordings.setdefault((pair.id, pair.prompt), entry)
    return [wordings[key] for key in sorted(wordings)]


def state(session: Session, version_id: int) -> str:
    """Names the ledger that a version is checked against: the same name, the same tested words.

    Versions never change; a pair that is held out gets another version number with another text.
    """
    project_id = session.scalar(
        select(VersionRowTable.project_id).where(VersionRowTable.id == version_id)
    )
    newest = session.scalar(
        select(func.max(VersionRowTable.id)).where(VersionRowTable.project_id == project_id)
    )
    held_out = session.execute(
        select(func.count(), func.sum(PairRow.id), func.sum(PairRow.version)).where(
            PairRow.project_id == project_id, PairRow.held_out
        )
    ).one()
    return ":".join(map(str, (newest, *held_out)))


def _tested(pair_id: int, prompt: str, source: Mapping[str, object], version: int | None) -> Tested:
    return Tested(pair_id, prompt, source_of(source), version)


def source_of(source: Mapping[str, object]) -> str | None:
    """The document that a row says it comes from; None where it names none."""
    return str(source["id"]) if source.get("id") else None


def row(pair: Pair) -> SourcedInput:
    """A pair as far as leaks go."""
    return SourcedInput(pair.id, pair.prompt, source_of(pair.source))


def repeats(
    ledger: Sequence[Tested],
    rows: Sequence[SourcedInput],
    look: Alike = leakage.anew,
    step: steps.Step = steps.quiet,
) -> list[Leak]:
    """Which of these rows repeat tested ones, each with the row it repeats; themselves left out.

    `test_id` is the id of the tested pair.
    """
    test = [SourcedInput(place, entry.prompt, entry.source) for place, entry in enumerate(ledger)]
    own = {entry.pair_id for entry in ledger}
    nearest: dict[tuple[int, int], Leak] = {}
    training = [row for row in rows if row.id not in own]
    for leak in leakage.leaks(training, test, look=look, step=step):
        pair = (leak.train_id, ledger[leak.test_id].pair_id)
        if pair not in nearest or leak.similarity > nearest[pair].similarity:
            nearest[pair] = Leak(*pair, leak.similarity, leak.how)
    return list(nearest.values())


def untested(session: Session, project_id: int, rows: Sequence[Pair]) -> list[Pair]:
    """Those of these rows that may train or serve as examples."""
    ledger, look = tested(session, project_id), compared.remembering(session, project_id)
    shut = {entry.pair_id for entry in ledger} | {
        leak.train_id for leak in repeats(ledger, [row(pair) for pair in rows], look)
    }
    return [pair for pair in rows if pair.id not in shut]


def check(
    session: Session,
    project_id: int,
    training: Sequence[SourcedInput],
    doing: str,
    step: steps.Step = steps.quiet,
) -> None:
    """Refuse rows for training that repeat a tested row, also one that is long gone.

    Raises:
        RuleBroken: naming the first of both rows.
    """
    ledger, look = tested(session, project_id), compared.remembering(session, project_id)
    shut = {entry.pair_id: entry.version for entry in ledger}
    leaks = [(row.id, row.id, "the same pair") for row in training if row.id in shut]
    repeating = repeats(ledger, training, look, step)
    leaks += [(leak.train_id, leak.test_id, leak.how) for leak in repeating]
    if not leaks:
        return
    pair_id, test_id, how = leaks[0]
    number = shut[test_id]
    was = "is held out" if number is None else f"was a test pair of version {number}"
    raise RuleBroken(
        f"{len({leak[0] for leak in leaks})} pairs for training repeat test pairs, the first is "
        f"pair {pair_id} ({how}): pair {test_id} {was}. Reject such pairs, then {doing}."
    )


def rows(session: Session, project_id: int, frozen: Sequence[VersionRow]) -> list[SourcedInput]:
    """Rows of a version as far as leaks go."""
    query = select(PairRow.id, PairRow.source).where(PairRow.project_id == project_id)
    sources = {pair.id: pair.source for pair in session.execute(query)}
    return [
        SourcedInput(row.pair_id, row.prompt, source_of(sources[row.pair_id])) for row in frozen
    ]


def digests(session: Session, project_id: int) -> list[str]:
    """A digest of each tested input, for a process that may not see the words themselves."""
    return sorted({duplicates.digest(entry.prompt) for entry in tested(session, project_id)})


def link(session: Session, project_id: int, leaks: Sequence[tuple[Leak, str]]) -> None:
    """Link pairs, each with the hash of its text, to the tested ones that they repeat, as the
    Duplicates page shows them.
    """
    wanted = {leak.test_id for leak, _ in leaks}
    query = select(PairRow.id, PairRow.content_sha256).where(PairRow.id.in_(wanted))
    tested_hashes = {pair.id: pair.content_sha256 for pair in session.execute(query)}
    for leak, sha256 in leaks:
        hashes = {leak.train_id: sha256, leak.test_id: tested_hashes[leak.test_id]}
        a, b = sorted(hashes)
        session.add(
            LinkRow(
                project_id=project_id,
                a=a,
                b=b,
                a_sha256=hashes[a],
                b_sha256=hashes[b],
                kind=LinkKind.LEAK,
                similarity=leak.similarity,
                state=LinkState.OPEN,
            )
        )
    session.flush()
