"""A run at an endpoint while its process here is at it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from training.hosted.remote import RemoteRun
from training.records.parts import Endpoint, Loss, TuningOffer
from training.records.tasks import TrainTask
from training.settings import Provider
from training.work.evidence import Evidence
from training.work.rows import TrainingPair


@dataclass(slots=True)
class HostedRun:
    """One run, from its first file to its last word."""

    directory: Path
    hold: Evidence
    task: TrainTask
    settings: Provider
    endpoint: Endpoint
    offer: TuningOffer
    remote: RemoteRun
    rows: Sequence[TrainingPair]
    total: int
    """Steps, guessed until the endpoint says."""
    losses: list[Loss] = field(default_factory=list)
    validation_losses: list[Loss] = field(default_factory=list)

    def save(self) -> None:
        self.remote.save(self.directory)

    def note(self, step: int, loss: float | None, validation_loss: float | None) -> None:
        if loss is not None:
            self.losses.append(Loss(step, loss))
        if validation_loss is not None:
            self.validation_losses.append(Loss(step, validation_loss))
