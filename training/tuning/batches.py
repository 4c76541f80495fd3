"""Batches in which what all rows begin with, the system message, is computed once.

Eight rows of 165 tokens that share 107 become one sequence of 563 tokens instead of 1,320; rows
that share nothing stand one after the other without padding. Each row sees the shared part and
itself, at the positions it would have alone, so losses and gradients are those of separate rows;
the one difference is that LoRA dropout draws the shared part once for the batch.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import PreTrainedConfig
from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

from training.models.render import IGNORED, common_length

_LONGEST = 16384
"""Tokens of a joined sequence above which its mask, a byte for each of its square, is a burden."""

Row = Mapping[str, list[int]]
Batch = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Collator:
    """Collates rows: joined, or padded as trl does."""

    pad_token_id: int
    joins: bool

    def __call__(self, rows: Sequence[Row]) -> Batch:
        if self.joins:
            return joined(rows, shared_length(rows))
        plain = [{"input_ids": row["input_ids"], "labels": row["labels"]} for row in rows]
        batch: Batch = DataCollatorForLanguageModeling(self.pad_token_id)(plain)
        return batch


def can_join(config: PreTrainedConfig, lengths: Sequence[int], batch_size: int) -> bool:
    """Whether joined rows are exact for the model and no batch of them is too long.

    Exact it is where every layer sees all of what came before, which a layer with a window does
    while no row is longer than the window.
    """
    text = config.get_text_config()
    kinds = set(getattr(text, "layer_types", None) or ("full_attention",))
    window = getattr(text, "sliding_window", None)
    longest = sorted(lengths)[-batch_size:]
    return (
        kinds <= {"full_attention", "sliding_attention"}
        and (not window or not longest or longest[-1] <= window)
        and sum(longest) <= _LONGEST
    )


def shared_length(rows: Sequence[Row]) -> int:
    """Tokens with which all rows begin, up to the last but one before an answer."""
    common = common_length([row["input_ids"] for row in rows])
    unlearnt = min(
        next(i for i, x in enumerate([*row["labels"], 0]) if x != IGNORED) for row in rows
    )
    return max(0, min(common, unlearnt - 1))


def joined(rows: Sequence[Row], shared: int) -> Batch:
    """One sequence: the shared part, then each row's rest, which sees that part and itself.

    A row's last token is not read, since nothing is to follow it. `shift_labels` has the token that
    should follow at each position; `joined` the length of the shared part and of each rest, which
    tells `attention` what the mask tells any model.
    """
    ids = list(rows[0]["input_ids"][:shared])
    labels = [IGNORED] * shared
    positions = list(range(shared))
    lengths = [shared]
    for row in rows:
        own = row["input_ids"][shared:-1]
        ids += own
        labels += row["labels"][shared + 1 :]
        positions += range(shared, shared + len(own))
        lengths.append(len(own))
    targets = torch.tensor([labels])
    return {
        "input_ids": torch.tensor([ids]),
        "labels": targets,  # the trainer counts what is learnt only where there are labels
        "shift_labels": targets,
        "position_ids": torch.tensor([positions]),
        "attention_mask": _mask(lengths),
        "joined": tuple(lengths),
    }


def _mask(lengths: Sequence[int]) -> torch.Tensor:
    """Which token (row) sees which (column), for one sequence and all heads."""
    total = sum(lengths)
    mask = torch.zeros(total, total, dtype=torch.bool)
    mask[:, : lengths[0]] = True
    start = lengths[0]
    for length in lengths[1:]:
        mask[start : start + length, start : start + length] = True
        start += length
    return mask.tril_()[None, None]
