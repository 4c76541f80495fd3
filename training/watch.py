"""Follow a run step by step: progress, cancel, divergence, best weights, early stop."""

import math
from typing import Any

from peft import PeftModel, set_peft_model_state_dict
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from training.evidence import Evidence
from training.saving import Diverged, Weights, copied


class Watch(TrainerCallback):
    """Follows the trainer step by step: progress, cancel, divergence, best weights, early stop."""

    def __init__(self, held: Evidence, patience: int) -> None:
        self._held = held
        self._patience = patience
        self._best: Weights | None = None
        self._best_loss = math.inf
        self._worse = 0
        self.step = 0
        self.cancelled = False
        self.stopped_early = False
        self.curve: list[dict[str, float]] = []
        self.validation_curve: list[dict[str, float]] = []
        self.epochs = 0.0

    def on_step_begin(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **kwargs: object,
    ) -> None:
        """Stop before the first step too, where the cancel came while the model was loaded."""
        del args, kwargs
        self._obey(control, state)

    def on_step_end(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **kwargs: object,
    ) -> None:
        """Look for a cancel between steps."""
        del args, kwargs
        self._obey(control, state)

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **kwargs: object,
    ) -> None:
        """Write the progress line of a step; refuse to go on from a loss or gradient that is not
        finite.
        """
        del args, control, kwargs
        if not logs or "loss" not in logs:
            return
        loss, norm, rate = logs["loss"], logs.get("grad_norm", 0.0), logs.get("learning_rate")
        self._held.progress(
            state.global_step, state.max_steps, loss=loss, grad_norm=norm, learning_rate=rate
        )
        if not (math.isfinite(loss) and math.isfinite(norm)):
            raise Diverged(_diverged("loss", state.global_step))
        self.epochs = float(state.epoch or 0)
        self.curve.append({"step": state.global_step, "loss": loss})

    def on_evaluate(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        metrics: dict[str, float] | None = None,
        model: PeftModel | None = None,
        **kwargs: object,
    ) -> None:
        """Keep the weights where the validation loss is lowest; stop when it has not fallen for a
        while.
        """
        del args, kwargs
        loss = (metrics or {}).get("eval_loss")
        if loss is None or model is None:
            return
        self._held.progress(state.global_step, state.max_steps, eval_loss=loss)
        if not math.isfinite(loss):
            raise Diverged(_diverged("validation loss", state.global_step))
        self.validation_curve.append({"step": state.global_step, "loss": loss})
        if loss < self._best_loss:
            self._best_loss, self._worse = loss, 0
            self._best = copied(model)
            return
        self._worse += 1
        if self._patience and self._worse >= self._patience and state.global_step < state.max_steps:
            self.stopped_early = True
            control.should_training_stop = True

    def restore_best(self, model: PeftModel) -> None:
        """Put the best weights back; without validation rows the last ones stay."""
        if self._best is not None:
            set_peft_model_state_dict(model, self._best)

    def figures(self) -> dict[str, Any]:
        """What the run's record says of its course."""
        last, checked = self.curve[-1:], self.validation_curve
        return {
            "steps": self.step,
            "train_loss": last[0]["loss"] if last else None,
            "first_train_loss": self.curve[0]["loss"] if last else None,
            "validation_loss": min((point["loss"] for point in checked), default=None),
            "last_validation_loss": checked[-1]["loss"] if checked else None,
            "validation_curve": checked,
            "stopped_early": self.stopped_early,
            "epochs": self.epochs,
        }

    def ending(self) -> str:
        """One sentence on how the run ended."""
        if self.stopped_early:
            return (
                f"Stopped at step {self.step}, when the validation loss no longer fell; "
                "the best weights are kept."
            )
        if not self.validation_curve:
            return f"Finished {self.step} steps. No validation rows: the last weights are kept."
        return f"Finished {self.step} steps; the weights of the lowest validation loss are kept."

    def _obey(self, control: TrainerControl, state: TrainerState) -> None:
        self.step = state.global_step
        if self._held.cancel_requested():
            self.cancelled = True
            control.should_training_stop = True
            control.should_evaluate = False


def _diverged(what: str, step: int) -> str:
    return f"The {what} was no number at step {step}, so the run stopped. Lower the learning rate."
