"""The processes of one run: usually one; with several accelerators one for each.

`accelerate launch` tells each by its environment who it is. Only the first writes evidence, results
and checkpoints, and what it decides between two steps the others are told.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from training.work import evidence


def rank() -> int:
    """Which of the processes this is, from 0."""
    return int(os.environ.get("RANK", "0"))


def local() -> int:
    """Which of this machine's processes, and so of its accelerators, this is, from 0."""
    return int(os.environ.get("LOCAL_RANK", "0"))


def count() -> int:
    """How many processes do this run together."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def first() -> bool:
    """Whether this process is the one that writes."""
    return rank() == 0


def agreed(value: int) -> int:
    """What the first process says, in all of them; called by all between the same two steps."""
    if count() == 1:
        return value
    import torch
    from torch import distributed

    if not distributed.is_initialized():
        return value
    device = torch.device("cuda", local()) if torch.cuda.is_available() else torch.device("cpu")
    shared = torch.tensor([value], device=device)
    distributed.broadcast(shared, 0)
    return int(shared.item())


def together() -> None:
    """Wait until every process is here."""
    if count() > 1:
        from accelerate import PartialState

        PartialState().wait_for_everyone()


@contextmanager
def first_then_others() -> Iterator[None]:
    """Let the first process do the block before the others do it, which then find it done."""
    if count() == 1:
        yield
        return
    from accelerate import PartialState

    with PartialState().main_process_first():
        yield


class Quiet(evidence.Evidence):
    """What the processes beside the first hold: they read requests, and write nothing but that
    they failed, which the first could not know.
    """

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Nothing was taken."""

    def progress(
        self, step: int, total: int, message: str | None = None, **numbers: float | None
    ) -> None:
        """The first process says it."""

    def finish(self, state: str, message: str, detail: Mapping[str, object] | None = None) -> None:
        """Only a failure; the first word stands."""
        if state == "failed":
            super().finish(state, message, detail)


def hold(directory: Path) -> evidence.Evidence:
    """This process's hold on a job directory."""
    return evidence.Evidence(directory) if first() else Quiet(directory)
