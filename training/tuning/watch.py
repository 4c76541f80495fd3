"""Follow a run step by step: progress, cancel, stop, divergence, best weights, early stop."""

import json
import math
import time
from pathlib import Path

import psutil
import torch
from safetensors.torch import load_file, save_file
from transformers import TrainerCallback, TrainerControl as Control, TrainerState as State

from training.records.parts import Loss
from training.records.results import TrainResult
from training.tuning.saving import Diverged, Tuned, Weights, copied, put
from training.work import ranks
from training.work.evidence import Evidence

_STATE = "watch.json"
_BEST = "best.safetensors"
_STOP, _CANCEL = 1, 2
_ZEROS = 3
"""Losses of exactly 0.0 in a row beyond which the record says that something is wrong."""


class Watch(TrainerCallback):
    """Follows the trainer step by step, and knows what a run that goes on must know again."""

    def __init__(self, hold: Evidence, patience: int, rows: int, batch_size: int) -> None:
        self._hold = hold
        self._patience = patience
        self._rows = rows
        self._batch_size = batch_size
        self._began = self._step_began = time.monotonic()
        self._step_seconds = 0.0
        self._seconds_before = 0.0
        self._best: Weights | None = None
        self._best_loss = math.inf
        self._worse = 0
        self._zeros = 0
        self._zeros_from: int | None = None
        self.step = 0
        self.total = 0
        self.cancelled = False
        self.stopping = False
        self.stopped_early = False
        self.curve: list[dict[str, float]] = []
        self.validation_curve: list[dict[str, float]] = []
        self.epochs = 0.0

    def save(self, folder: Path) -> None:
        """Write what a run that goes on from here must know: curves, best weights, patience."""
        state = {
            "step": self.step,
            "epochs": self.epochs,
            "best_loss": self._best_loss if math.isfinite(self._best_loss) else None,
            "worse": self._worse,
            "zeros": self._zeros,
            "zeros_from": self._zeros_from,
            "seconds": self.seconds(),
            "curve": self.curve,
            "validation_curve": self.validation_curve,
        }
        (folder / _STATE).write_text(json.dumps(state, allow_nan=False), encoding="utf-8")
        if self._best is not None:
            save_file(self._best, folder / _BEST)

    def load(self, folder: Path) -> None:
        """Know again what `save` wrote."""
        state = json.loads((folder / _STATE).read_text(encoding="utf-8"))
        self.step, self.epochs = state["step"], state["epochs"]
        self._best_loss = math.inf if state["best_loss"] is None else state["best_loss"]
        self._worse = state["worse"]
        self._zeros, self._zeros_from = state["zeros"], state["zeros_from"]
        self._seconds_before = state["seconds"]
        self.curve, self.validation_curve = state["curve"], state["validation_curve"]
        if (folder / _BEST).exists():
            self._best = load_file(folder / _BEST)

    def seconds(self) -> float:
        """How long the run took so far, with the parts it went on from."""
        return self._seconds_before + time.monotonic() - self._began

    def on_step_begin(self, args: object, state: State, control: Control, **kwargs: object) -> None:
        """Stop before the first step too, where the cancel came while the model was loaded."""
        self._step_began = time.monotonic()
        self._obey(control, state)

    def on_step_end(self, args: object, state: State, control: Control, **kwargs: object) -> None:
        """Look for a cancel or a stop between steps."""
        self._step_seconds = time.monotonic() - self._step_began
        self._obey(control, state)

    def on_epoch_end(self, args: object, state: State, control: Control, **kwargs: object) -> None:
        """Do not measure what will be thrown away."""
        if self.cancelled:
            control.should_evaluate = False

    def on_prediction_step(
        self, args: object, state: State, control: Control, **kwargs: object
    ) -> None:
        """An evaluation is no standstill."""
        self._hold.moved()

    def on_log(
        self,
        args: object,
        state: State,
        control: Control,
        logs: dict[str, float] | None = None,
        **kwargs: object,
    ) -> None:
        """Write the progress line of a step; refuse to go on from a loss or gradient that is not
        finite.
        """
        if not logs or "loss" not in logs:
            return
        loss, norm, rate = logs["loss"], logs.get("grad_norm", 0.0), logs.get("learning_rate")
        self._hold.progress(
            state.global_step,
            state.max_steps,
            loss=loss,
            grad_norm=norm,
            learning_rate=rate,
            memory_mb=_memory_mb(),
            rows_a_second=self._rows_in(state.global_step) / max(self._step_seconds, 1e-9),
        )
        if not (math.isfinite(loss) and math.isfinite(norm)):
            raise Diverged(_diverged("loss", state.global_step))
        self.epochs = float(state.epoch or 0)
        self.curve.append({"step": state.global_step, "loss": loss})
        self._count_zeros(state.global_step, loss)

    def on_evaluate(
        self,
        args: object,
        state: State,
        control: Control,
        metrics: dict[str, float] | None = None,
        model: Tuned | None = None,
        **kwargs: object,
    ) -> None:
        """Keep the weights where the validation loss is lowest; stop when it has not fallen for a
        while.
        """
        loss = (metrics or {}).get("eval_loss")
        if loss is None or model is None:
            return
        self._hold.progress(state.global_step, state.max_steps, eval_loss=loss)
        if not math.isfinite(loss):
            raise Diverged(_diverged("validation loss", state.global_step))
        self.validation_curve.append({"step": state.global_step, "loss": loss})
        if loss < self._best_loss:
            self._best_loss, self._worse = loss, 0
            self._best = copied(model)
            return
        self._worse += 1
        late = self.stopping or state.global_step >= state.max_steps
        if self._patience and self._worse >= self._patience and not late:
            self.stopped_early = True
            control.should_training_stop = True

    def restore_best(self, model: Tuned) -> None:
        """Put the best weights back; without validation rows the last ones stay."""
        if self._best is not None:
            put(model, self._best)

    def figures(self) -> TrainResult:
        """What the run's record says of its course."""
        last, checked = self.curve[-1:], self.validation_curve
        return TrainResult(
            steps=self.step,
            train_loss=last[0]["loss"] if last else None,
            first_train_loss=self.curve[0]["loss"] if last else None,
            validation_loss=min((point["loss"] for point in checked), default=None),
            last_validation_loss=checked[-1]["loss"] if checked else None,
            validation_curve=tuple(Loss(step=int(p["step"]), loss=p["loss"]) for p in checked),
            stopped_early=self.stopped_early,
            stopped_by_request=self.stopping,
            planned_steps=self.total,
            warnings=self._warnings(),
            epochs=self.epochs,
        )

    def ending(self) -> str:
        """One sentence on how the run ended."""
        if self.stopped_early:
            return (
                f"Stopped at step {self.step}, when the validation loss no longer fell; "
                "the best weights are kept."
            )
        ending = "the weights of the lowest validation loss are kept."
        if self.stopping:
            ending = ending if self.validation_curve else "no validation pairs: the last are kept."
            return f"Stopped by request at step {self.step} of {self.total}; {ending}"
        if not self.validation_curve:
            return f"Finished {self.step} steps. No validation pairs: the last weights are kept."
        return f"Finished {self.step} steps; {ending}"

    def _obey(self, control: Control, state: State) -> None:
        self.step, self.total = state.global_step, state.max_steps
        request = ranks.agreed(self._request())
        if request == _CANCEL:
            self.cancelled = True
            control.should_training_stop = True
            control.should_evaluate = False
        elif request == _STOP and state.global_step < state.max_steps:
            self.stopping = control.should_training_stop = True

    def _request(self) -> int:
        if self._hold.cancel_requested():
            return _CANCEL
        return _STOP if self._hold.stop_requested() else 0

    def _rows_in(self, step: int) -> int:
        """Rows of a step: the last one of a pass may have fewer."""
        steps_a_pass = math.ceil(self._rows / self._batch_size)
        done = (step - 1) % steps_a_pass * self._batch_size
        return min(self._batch_size, self._rows - done)

    def _count_zeros(self, step: int, loss: float) -> None:
        self._zeros = self._zeros + 1 if loss == 0.0 else 0
        if self._zeros > _ZEROS and self._zeros_from is None:
            self._zeros_from = step - self._zeros + 1

    def _warnings(self) -> tuple[str, ...]:
        """What should make people doubt the run."""
        if self._zeros_from is None:
            return ()
        return (
            f"The training loss was exactly 0.0 in more than {_ZEROS} steps in a row from step "
            f"{self._zeros_from}: numbers overflowed, or no token counts. Doubt this run.",
        )


def _memory_mb() -> float:
    """Memory in use, in MB: the accelerator's where there is one, else the process's."""
    if torch.cuda.is_available():
        return float(torch.cuda.memory_reserved() / 1e6)
    return float(psutil.Process().memory_info().rss / 1e6)


def _diverged(what: str, step: int) -> str:
    return f"The {what} was no number at step {step}, so the run stopped. Lower the learning rate."
