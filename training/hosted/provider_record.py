"""The record of a model that an endpoint tuned and keeps: names, figures and cost; no weights."""

import hashlib
import platform

import httpx
import msgspec

from storage.types import Split
from training.hosted import terms
from training.hosted.finetuning import RemoteCheckpoint, RemoteJob
from training.hosted.run import HostedRun
from training.records.parts import BaseOrigin, Cost, Loss, PairCounts, ResumedFrom, TuningOffer
from training.settings import Provider


class Cleanup(
    msgspec.Struct,
    frozen=True,
    rename={"deleted": "files_deleted", "left": "files_left", "sentence": "files_told"},
):
    """What became of the uploaded files."""

    deleted: list[str]
    left: list[str]
    """Ids of files that the endpoint did not delete."""
    sentence: str


class ProviderRecord(msgspec.Struct, frozen=True, kw_only=True, rename={"pairs": "rows"}):
    """How a run at an endpoint ended, where it ended well."""

    kind: str = terms.KIND
    version_sha256: str | None
    rows_sha256: str
    base: BaseOrigin
    settings: Provider
    seed: int
    epochs: int
    endpoint: str
    remote_job: str
    fine_tuned_model: str
    adapter_sha256: str
    trained_tokens: int | None
    cost: Cost | None
    libraries: dict[str, str]
    hardware: dict[str, str | None]
    pairs: PairCounts
    steps: int
    first_train_loss: float | None
    train_loss: float | None
    validation_loss: float | None
    validation_curve: list[Loss]
    resumed_from: ResumedFrom | None
    checkpoints: list[RemoteCheckpoint]
    seconds: float


def _cost(offer: TuningOffer, tokens: int | None) -> Cost | None:
    """What a run cost; None where the endpoint does not say how many tokens it trained on."""
    if tokens is None:
        return None
    return Cost(round(tokens * offer.price / 1e6, 4), offer.currency)


def identity(endpoint: str, job: str, model: str) -> str:
    """The sha256 by which a tuned model at an endpoint goes: of its names, as nobody here has its
    weights. What it does not show: whether the endpoint changed the model behind the name.
    """
    return hashlib.sha256(f"{endpoint}\n{job}\n{model}".encode()).hexdigest()


def build(
    run: HostedRun, job: RemoteJob, model: str, checkpoints: list[RemoteCheckpoint], seconds: float
) -> ProviderRecord:
    """The record of a run that ended well."""
    endpoint, losses, task = run.endpoint.name, run.losses, run.task
    train, validation = (
        sum(row.split == split for row in run.rows) for split in (Split.TRAIN, Split.VALIDATION)
    )
    return ProviderRecord(
        version_sha256=task.version_sha256,
        rows_sha256=task.rows_sha256,
        base=BaseOrigin(name=f"{endpoint}/{run.settings.model}", licence="the endpoint's terms"),
        settings=run.settings,
        seed=run.settings.seed,
        epochs=run.settings.epochs,
        endpoint=endpoint,
        remote_job=job.id,
        fine_tuned_model=model,
        adapter_sha256=identity(endpoint, job.id, model),
        trained_tokens=job.trained_tokens,
        cost=_cost(run.offer, job.trained_tokens),
        libraries={"python": platform.python_version(), "httpx": httpx.__version__},
        hardware={"accelerator": None, "system": "the endpoint's"},
        pairs=PairCounts(train, validation),
        steps=run.remote.step,
        first_train_loss=losses[0].loss if losses else None,
        train_loss=losses[-1].loss if losses else None,
        validation_loss=min((point.loss for point in run.validation_losses), default=None),
        validation_curve=run.validation_losses,
        resumed_from=task.resumed_from,
        checkpoints=checkpoints,
        seconds=seconds,
    )
