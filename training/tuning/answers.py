"""trl's trainer, with logits computed only where there is a target.

On a CPU trl scores every position of a batch and recomputes the scores in the backward pass; of a
joined batch only the answers' tokens, often a quarter, count towards the loss.
"""

from typing import Any

import torch
from torch import nn
from torch.nn import functional
from trl.trainer.sft_trainer import SFTTrainer

from training.models.render import IGNORED


class AnswersTrainer(SFTTrainer):
    """Trains on joined batches by `loss` and leaves padded ones to trl."""

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> Any:  # noqa: ANN401 - the trainer's own signature
        """The mean loss of a batch's answer tokens (of the accumulated batches' together)."""
        if return_outputs or "joined" not in inputs:
            return super().compute_loss(  # type: ignore[no-untyped-call]
                model, inputs, return_outputs, num_items_in_batch
            )
        batch_loss = loss(model, inputs, num_items_in_batch)
        if num_items_in_batch is None:
            return batch_loss
        return batch_loss * self.accelerator.num_processes  # counted over all, which are averaged


def loss(
    model: nn.Module, batch: dict[str, Any], tokens: torch.Tensor | int | None = None
) -> torch.Tensor:
    """Mean cross-entropy of the targets of one sequence; `tokens` divides the sum instead of their
    number where it is given.

    `batch` is what `batches.joined` makes.
    """
    labels = batch["shift_labels"][0]
    at = (labels != IGNORED).nonzero(as_tuple=True)[0]
    arguments = {name: value for name, value in batch.items() if "labels" not in name}
    logits = model(**arguments, logits_to_keep=at, use_cache=False).logits[0]
    summed = functional.cross_entropy(logits.float(), labels[at], reduction="sum")
    return summed / (len(at) if tokens is None else tokens)
