"""What a run will take, told from a probe of real steps; and how near that was once it has run.

Time = getting ready + steps + a validation pass after each pass + saving. A step's time follows the
tokens it computes (a ratio estimate over steps spread over the run's own batches, Cochran 1977,
chapter 6), so that a probe that met longer rows than usual does not mislead. The interval covers
the spread of the measured steps only: not another process that takes the machine's time, heat, or
an early stop.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from storage.types import Job, JobState
from training.records import results, specs
from training.records.parts import Estimate
from training.records.results import ProbeResult
from training.settings import Local

PARTS = {
    "program": "Program and libraries",
    "weights": "Weights of the base model",
    "adapter": "What is trained, and its gradients",
    "optimizer": "Optimizer",
    "activations": "Activations of a batch",
}
"""The parts of memory, in words, as they are stacked."""
_STUDENT = (6.31, 2.92, 2.35, 2.13, 2.02, 1.94, 1.89, 1.86, 1.83, 1.81, 1.80, 1.78, 1.77, 1.76)
"""Student's t for a two-sided 90 % interval, by degrees of freedom from 1 on."""
MINIMUM_STEPS = 4
"""A probe measures at least so many."""
_CHECKPOINT = 4
"""A checkpoint holds the weights, two moments of the optimizer and the best weights so far."""


def a_step(seconds: Sequence[float], tokens: Sequence[int], mean: float) -> tuple[float, ...]:
    """Seconds of an average step, and its 90 % interval, from measured steps.

    `mean` is the mean number of tokens of all batches of a pass, `tokens` those of the measured
    ones. With one measured step there is no spread, and the interval is half to twice.
    """
    n, total = len(seconds), sum(tokens)
    rate = sum(seconds) / total
    expected = rate * mean
    if n < 2:
        return expected, expected / 2, expected * 2
    spread = sum((t - rate * x) ** 2 for t, x in zip(seconds, tokens, strict=True)) / (n - 1)
    error = math.sqrt(spread / n) * mean / (total / n)
    wide = _STUDENT[min(n - 1, len(_STUDENT)) - 1] * error
    return expected, max(expected / 2, expected - wide), expected + wide


def of(probe: ProbeResult, settings: Local) -> Estimate:
    """The estimate for settings, from what a probe measured."""
    rows = probe.rows
    steps = settings.steps(rows.train)
    step, low, high = a_step(probe.step_seconds, probe.step_tokens, probe.tokens_a_batch)
    return Estimate(
        ready=probe.ready_seconds,
        step=step,
        low=low,
        high=high,
        evaluation=probe.evaluation_seconds,
        saving=probe.saving_seconds,
        steps=steps,
        evaluations=evaluations(settings, rows.train, steps) if rows.validation else 0,
        checkpoints=(steps - 1) // settings.checkpoint_steps if settings.checkpoint_steps else 0,
        memory_mb=probe.peak_memory_mb,
        parts=dict(probe.memory_mb),
        measured=len(probe.step_seconds),
    )


def evaluations(settings: Local, rows: int, steps: int) -> int:
    """Validation passes of a run: one after each pass over the rows, the last perhaps cut short."""
    return math.ceil(steps / math.ceil(rows / settings.batch_size))


@dataclass(frozen=True, slots=True)
class Against:
    """An estimate beside what then happened."""

    seconds: float
    """Estimated for the steps that ran."""
    took: float
    memory_mb: float
    peak_mb: float | None
    steps: int
    planned: int

    @property
    def off(self) -> float:
        """How far the time was off: 0.1 where the run took 10 % longer than estimated."""
        return self.took / self.seconds - 1

    @property
    def memory_off(self) -> float | None:
        """How far the memory was off; None where the peak is not known."""
        return None if self.peak_mb is None else self.peak_mb / self.memory_mb - 1


def against(job: Job) -> Against | None:
    """How near the estimate of a finished run was; None where it had none.

    A run that ended early is held against the estimate for the steps and validation passes it did.
    """
    if job.state is not JobState.FINISHED:
        return None
    estimate, result = specs.train(job).estimate, results.train(job)
    if estimate is None or result.took is None or result.steps is None:
        return None
    seconds = estimate.seconds()
    if result.steps < estimate.steps:
        passes = len(result.validation_curve)
        seconds -= estimate.step * (estimate.steps - result.steps)
        seconds -= estimate.evaluation * (estimate.evaluations - passes)
    return Against(
        seconds,
        result.took.seconds,
        estimate.memory_mb,
        result.took.peak_memory_mb,
        result.steps,
        estimate.steps,
    )
