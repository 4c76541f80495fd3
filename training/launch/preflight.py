"""Before a run: the facts that `preflight_checks` judges; an error there refuses the launch."""

import os
import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from curation.overlap import ledger
from curation.versions import archive
from storage import reports, settings as places
from storage.errors import BadInput, RuleBroken
from storage.reports import Report
from storage.settings import ROOT, Settings
from storage.tables import JobRow
from storage.types import JobState, Split, User
from training.hosted import terms
from training.launch import probes
from training.launch.preflight_checks import Check, Facts, checks, errors
from training.launch.runs import RunPlan
from training.models import verdicts
from training.models.memory import ModelSize
from training.models.verdicts import Verdict
from training.records.parts import PACKAGED, BaseModel
from training.settings import Provider, Tuning
from training.tuning import checkpoints, trackers
from training.work import machine

_MB = 1e6


@dataclass(frozen=True, slots=True)
class LeakVerdict:
    """What a look for test pairs among the training pairs of a version came to."""

    problem: str
    """Why the version may not train; empty where it may."""


def leaks(session: Session, version_id: int) -> LeakVerdict:
    """Whether training pairs of a version repeat test pairs, or are not the frozen ones.

    Raises:
        Unavailable: the version's rows are not the ones that were frozen.
    """
    opened = archive.opened(session, version_id)
    rows = opened.part(Split.TRAIN, Split.VALIDATION)
    project = opened.version.project_id
    try:
        ledger.check(session, project, ledger.rows(session, project, rows), "freeze a new version")
    except RuleBroken as error:
        return LeakVerdict(str(error))
    return LeakVerdict("")


LEAKS = Report("leaks", LeakVerdict, leaks, state=ledger.state, pairs=archive.size)
"""Exact where it is current: a frozen version does not change, and its state names the ledger."""


@dataclass(frozen=True, slots=True)
class _Looked:
    """A look for leaks right before the present transaction."""

    version_id: int
    ledger: str
    problem: str


_looked: ContextVar[_Looked | None] = ContextVar("looked", default=None)


def beforehand(
    session: Session, _actor: User, wish: RunPlan, **_: object
) -> AbstractContextManager[object]:
    """Prove the version of a run and look for leaks before its launch takes the write lock. Around
    the launch, which then only asks whether the test pairs are still the same.

    Raises:
        Unavailable: the version's rows are not the ones that were frozen.
    """
    ledger_state = ledger.state(session, wish.version_id)
    problem = _leak(session, wish.version_id)
    proven = archive.prove(session, [wish.version_id])
    return _around(proven, _Looked(wish.version_id, ledger_state, problem))


@contextmanager
def _around(proven: frozenset[str], looked: _Looked) -> Iterator[None]:
    token = _looked.set(looked)
    try:
        with archive.trusting(proven):
            yield
    finally:
        _looked.reset(token)


def _leak(session: Session, version_id: int) -> str:
    looked = _looked.get()
    present = version_id, ledger.state(session, version_id)
    if looked is not None and (looked.version_id, looked.ledger) == present:
        return looked.problem
    verdict = reports.latest(session, LEAKS, version_id)
    if verdict is not None and verdict.current:
        return verdict.content.problem
    return leaks(session, version_id).problem


def look(
    session: Session, wish: RunPlan, leak: str | None = None, *, vet: bool = True
) -> list[Check]:
    """Every line for a run that someone wishes for, errors first; `leak` as in `gather`. A base
    model that was not looked through yet is, if `vet`: never while a page is drawn.

    Raises:
        Unavailable: the version's rows are not the ones that were frozen.
    """
    return checks(gather(session, wish, leak=leak, vet=vet))


def gather(
    session: Session,
    wish: RunPlan,
    folders: Settings | None = None,
    leak: str | None = None,
    *,
    vet: bool = True,
) -> Facts:
    """The facts of a run that someone wishes for. `leak` is the problem that a page has of
    `LEAKS`; without it, it is looked for where that was not done for the present test pairs.

    Raises:
        Unavailable: the version's rows are not the ones that were frozen.
    """
    folders = folders or places.current()
    version = archive.get(session, wish.version_id)
    place = folder(wish.base, folders.data)
    verdict = _verdict(wish.base, place, folders.data, vet=vet)
    probe = probes.newest(session, version, wish.base, wish.settings)
    measured = probes.rendered_pairs(folders.jobs / probe.id) if probe is not None else None
    return Facts(
        base=wish.base,
        settings=wish.settings,
        train=version.counts["train"],
        validation=version.counts["validation"],
        leak=_leak(session, version.id) if leak is None else leak,
        base_problem=verdict.problem if verdict is not None else "",
        base_present=place is not None,
        base_vetted=verdict is not None,
        model=size(wish.base, folders.data),
        lengths=measured.lengths if measured else None,
        too_long=tuple(pair for pair, _ in measured.too_long_rows) if measured else (),
        free_mb=_free_mb(folders.data),
        accelerators=[accelerator.name for accelerator in machine.accelerators()],
        waiting=waiting(session),
        libraries=_differing(),
        endpoint_problem=_endpoint(wish.settings),
        trackers=_trackers(),
    )


def _trackers() -> tuple[tuple[str, ...], str]:
    """The trackers that runs report to, and what is wrong with their configuration."""
    try:
        return tuple(trackers.chosen()), ""
    except BadInput as error:
        return (), str(error)


def _endpoint(settings: Tuning) -> str:
    """Why the endpoint cannot be asked; empty where it can, or is not needed."""
    if not isinstance(settings, Provider):
        return ""
    try:
        endpoint, _ = terms.offered(settings)
    except BadInput as error:
        return str(error)
    missing = [name for name in endpoint.environment if not os.environ.get(name)]
    if missing:
        return (
            f"The key of endpoint {endpoint.name} is missing: set {missing[0]} where the server is "
            "started."
        )
    return ""


def folder(base: BaseModel, data: Path) -> Path | None:
    """Where the base model lies; None where it must be converted or fetched first."""
    if base.kind == "hub":
        return None
    path = data / "models" / PACKAGED if base.kind == "packaged" else Path(base.where)
    return path if base.kind == "folder" or (path / "config.json").exists() else None


def waiting(session: Session) -> int:
    """Jobs of this machine that run or wait now: a run waits for all of them."""
    going = [JobState.RUNNING, JobState.QUEUED]
    query = select(func.count()).select_from(JobRow).where(JobRow.state.in_(going))
    return int(session.scalar(query) or 0)


def size(base: BaseModel, data: Path) -> ModelSize | None:
    """The size of a base model that lies here and may be loaded; None where it is not known yet."""
    place = folder(base, data)
    return None if place is None else verdicts.size(place, data, ours=base.kind == "packaged")


def _verdict(base: BaseModel, place: Path | None, data: Path, *, vet: bool) -> Verdict | None:
    """What is known against a base model; nothing against the packaged one, which Assay made."""
    if place is None or (base.kind == "packaged" and not vet):
        return Verdict("")
    if not place.is_dir():
        return Verdict("There is no folder of that name on this server.")
    return verdicts.judge(place, data) if vet else verdicts.of(place, data)


def _free_mb(data: Path) -> float:
    place = next(p for p in (data, *data.parents) if p.exists())
    return shutil.disk_usage(place).free / _MB


def _differing() -> dict[str, tuple[str, str]]:
    """Libraries of another version than the pinned one; empty where no pins are at hand."""
    path = ROOT / "constraints.txt"
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    pins = dict(line.split("==", 1) for line in lines if "==" in line)
    pinned = {name.lower(): version for name, version in pins.items()}
    return {
        name: (installed, pinned[name])
        for name, installed in checkpoints.libraries().items()
        if name in pinned and installed.partition("+")[0] != pinned[name].partition("+")[0]
    }


def require(session: Session, wish: RunPlan) -> None:
    """Refuse a run that could only fail.

    Raises:
        RuleBroken: naming the first cause, and how many there are.
    """
    wrong = errors(look(session, wish))
    if wrong:
        more = f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""
        raise RuleBroken(f"{wrong[0].finding} {wrong[0].fix}{more}")
