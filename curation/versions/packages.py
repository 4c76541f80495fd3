"""One export of a version: its rows in a format, the card, a manifest, the script that checks it.

The same version, format and splits give the same bytes. Test rows only go out where their split
is asked for by name.
"""

import hashlib
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
from sqlalchemy.orm import Session

from curation.versions import archive, canonical, cards, preferences, verify_version
from curation.versions.layout import ExportRow, Parts, Written
from curation.versions.layouts import LAYOUTS
from curation.versions.records import ExportedFile, ExportedVersion, ExportManifest, VersionCard
from storage import troubles
from storage.errors import BadInput, RuleBroken
from storage.folder import room
from storage.synced import sync, sync_all
from storage.types import Split

TO_TRAIN = (Split.TRAIN, Split.VALIDATION)
"""The splits of an export where none is named."""
TEXT_LIMIT = 250_000_000
"""Text in one export; more is written a split at a time."""
_VERIFIER = Path(verify_version.__file__)


@dataclass(frozen=True, slots=True)
class Package:
    """An export as files."""

    name: str
    """Of the zip or folder. It holds a hash of all that decides the content, so that no two
    different exports have one name: Streamlit tells large downloads apart by little else."""
    files: Mapping[str, bytes]
    rows: int
    left_out: str
    """Rows of the splits that the format has no place for, as a sentence; "" where there are
    none."""

    def zipped(self) -> bytes:
        """The files as one zip, not compressed, so that its bytes are the same everywhere."""
        return verify_version.zipped(dict(self.files))


@dataclass(frozen=True, slots=True)
class _Plan:
    opened: archive.Opened
    layout: str
    parts: Parts
    card: VersionCard
    left_out: str
    text_bytes: int


@dataclass(frozen=True, slots=True)
class Outline:
    """What an export would be."""

    name: str
    rows: int
    left_out: str
    text_bytes: int
    tested_later: int
    """Training and validation rows in it that a later version tests on."""


def outline(
    session: Session,
    opened: archive.Opened,
    layout: str,
    splits: Sequence[Split] = TO_TRAIN,
) -> Outline:
    """What `build` would make, without making it; refuses what `build` refuses."""
    plan = _plan(session, opened, layout, splits)
    later = set(archive.held_out_since(session, opened.version.id))
    out = {row.pair_id for rows in plan.parts.values() for row in rows}
    return Outline(_name(plan), _count(plan), plan.left_out, plan.text_bytes, len(later & out))


def build(
    session: Session, version_id: int, layout: str, splits: Sequence[Split] = TO_TRAIN
) -> Package:
    """Make an export of a version that was proven first.

    Raises:
        BadInput: there is no such format, no split was named, or a row cannot stand in the format.
        RuleBroken: the splits hold no row for this format, or too much text for one export.
        Unavailable: the stored rows are not the ones that were frozen.
    """
    plan = _plan(session, archive.opened(session, version_id), layout, splits)
    written = LAYOUTS[layout].write(plan.parts, _system(plan))
    files = {
        **written.files,
        verify_version.INDEX: _index(plan),
        "card.json": cards.to_json(plan.card),
        "card.md": cards.to_markdown(plan.card),
        "verify.py": _VERIFIER.read_bytes(),
    }
    manifest = _manifest(plan, written, files)
    files[verify_version.MANIFEST] = verify_version.manifest_bytes(msgspec.to_builtins(manifest))
    return Package(_name(plan), files, _count(plan), plan.left_out)


def write(package: Package, folder: Path, *, zipped: bool) -> Path:
    """Write an export below a folder, as a zip or as files, whole or not at all.

    Raises:
        BadInput: the folder does not exist, or something of this name is there already.
        Unavailable: its disk has too little room, or refuses.
    """
    if not folder.is_dir():
        raise BadInput(f"There is no folder {folder}. Make it first, or name another.")
    target = folder / (f"{package.name}.zip" if zipped else package.name)
    if target.exists():
        raise BadInput(f"{target} is there already. Take it away, or name another folder.")
    with troubles.spoken(folder):
        room(folder, sum(map(len, package.files.values())), "The export")
        half = target.with_name(f".{target.name}.half")
        _remove(half)  # of one that was killed: files of it must not get into this one
        try:
            if zipped:
                half.write_bytes(package.zipped())
            else:
                _write_files(package, half)
            sync_all(half)
            half.rename(target)
        finally:
            _remove(half)
        sync(folder)
    return target


def _write_files(package: Package, half: Path) -> None:
    for path, content in package.files.items():
        (half / path).parent.mkdir(parents=True, exist_ok=True)
        (half / path).write_bytes(content)


def _remove(half: Path) -> None:
    if half.is_dir():
        shutil.rmtree(half)
    else:
        half.unlink(missing_ok=True)


def _plan(session: Session, opened: archive.Opened, layout: str, splits: Sequence[Split]) -> _Plan:
    if layout not in LAYOUTS:
        raise BadInput(f"There is no format {layout!r}. Choose one of {', '.join(LAYOUTS)}.")
    if not splits:
        raise BadInput("Choose at least one split to export.")
    wanted = [split for split in Split if split in splits]
    frozen = opened.part(*wanted)
    size = sum(len(f"{row.prompt}{row.response}".encode(errors="replace")) for row in frozen)
    if size > TEXT_LIMIT:
        raise RuleBroken(
            f"These splits hold {size / 1e6:,.0f} MB of text and one export may hold "
            f"{TEXT_LIMIT / 1e6:,.0f} MB. Export one split at a time."
        )
    rows, left_out = _rows(session, opened, layout, wanted)
    of = {row.pair_id: row.split for row in frozen}
    parts = {split: [row for row in rows if of[row.pair_id] is split] for split in wanted}
    _check_text(rows)
    if not rows:
        raise RuleBroken(left_out or "These splits hold no pairs. Choose others.")
    plan = _Plan(opened, layout, parts, cards.of(session, opened), left_out, size)
    LAYOUTS[layout].check(parts, _system(plan))
    return plan


def _count(plan: _Plan) -> int:
    return sum(map(len, plan.parts.values()))


def _rows(
    session: Session, opened: archive.Opened, layout: str, splits: Sequence[Split]
) -> tuple[Sequence[ExportRow], str]:
    frozen = opened.part(*splits)
    if not LAYOUTS[layout].preference:
        return [ExportRow(r.pair_id, r.origin.value, r.prompt, r.response) for r in frozen], ""
    preferred = preferences.gather(session, frozen)
    if not preferred.unchanged and not preferred.unsafe:
        return preferred.rows, ""
    return preferred.rows, (
        f"{len(preferred.rows)} of {len(frozen)} pairs make a preference pair. In "
        f"{preferred.unchanged} no person corrected the output alone; in {preferred.unsafe} "
        "the first output was never scanned whole, or held personal data."
    )


def _check_text(rows: Sequence[ExportRow]) -> None:
    for row in rows:
        try:
            f"{row.prompt}{row.response}{row.rejected}".encode()
        except UnicodeEncodeError:
            raise BadInput(
                f"Pair {row.pair_id} holds half of a surrogate pair, which is no character. "
                "Reopen the pair, repair it and freeze a new version."
            ) from None


def _system(plan: _Plan) -> str:
    return plan.opened.version.manifest.system_message


def _name(plan: _Plan) -> str:
    decides = {
        "layout": plan.layout,
        "splits": [split.value for split in plan.parts],
        "card": msgspec.to_builtins(plan.card),
        "rejected": [row.rejected for rows in plan.parts.values() for row in rows],
    }
    digest = hashlib.sha256(verify_version.compact(decides).encode()).hexdigest()
    splits = "-".join(split.value for split in plan.parts)
    if len(plan.parts) == len(Split):
        splits = "all"
    return f"version-{plan.opened.version.number}-{plan.layout}-{splits}-{digest[:16]}"


def _index(plan: _Plan) -> bytes:
    """The leaf of every row of the version; of the exported ones also what the leaf is made of."""
    exported = {row.pair_id for rows in plan.parts.values() for row in rows}
    lines = []
    leaves = canonical.leaves(plan.opened.rows)
    for row, leaf in zip(plan.opened.rows, leaves, strict=True):
        line: dict[str, str | int] = {"leaf": leaf.hex()}
        if row.pair_id in exported:
            line |= {"pair_id": row.pair_id, "split": row.split.value, "origin": row.origin.value}
        lines.append(verify_version.compact(line) + "\n")
    return "".join(lines).encode()


def _manifest(plan: _Plan, written: Written, files: Mapping[str, bytes]) -> ExportManifest:
    opened, layout = plan.opened, LAYOUTS[plan.layout]
    return ExportManifest(
        format=layout.name,
        format_loses=layout.loses,
        left_out=plan.left_out,
        project=plan.card.project,
        version=ExportedVersion(
            number=opened.version.number,
            rows=len(opened.rows),
            by_split=dict(opened.version.counts),
            seed=opened.version.seed,
            sha256=opened.version.sha256,
            merkle_root=opened.merkle_root,
            seal=opened.seal,
        ),
        exported={split.value: len(rows) for split, rows in plan.parts.items()},
        system_message=_system(plan),
        personal_data_certificate=plan.card.certificate(),
        data=written.data,
        escapes=written.escapes,
        files={
            name: ExportedFile(len(content), hashlib.sha256(content).hexdigest())
            for name, content in files.items()
        },
    )
