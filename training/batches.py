"""Batches in which what all rows begin with, the system message, is computed once.

Eight rows of 165 tokens that share 107 become one sequence of 571 tokens instead of 1,320. Each row
sees the shared part and itself, at the positions it would have alone, so losses and gradients are
those of separate rows; the one difference is that LoRA dropout draws the shared part once for the
batch.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import PreTrainedConfig
from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

from training.render import IGNORED, common_length

_LONGEST = 4096
"""Tokens of a joined sequence above which the mask (its square) costs more than is saved."""

Row = Mapping[str, list[int]]
Batch = dict[str, torch.Tensor]


@dataclass(frozen=True, slots=True)
class Together:
    """Collates rows; joins them where that is exact and pays, else pads them as trl does."""

    pad_token_id: int
    joins: bool
    """False for models that look back over a window only, which joining would shift."""

    def __call__(self, rows: Sequence[Row]) -> dict[str, Any]:
        shared = shared_length(rows)
        length = shared + sum(len(row["input_ids"]) - shared for row in rows)
        if self.joins and shared and len(rows) > 1 and length <= _LONGEST:
            return joined(rows, shared)
        plain = [{"input_ids": row["input_ids"], "labels": row["labels"]} for row in rows]
        batch: dict[str, Any] = DataCollatorForLanguageModeling(self.pad_token_id)(plain)
        return batch


def can_join(config: PreTrainedConfig) -> bool:
    """Whether the model sees all of what came before, in every layer."""
    text = config.get_text_config()
    full = all(kind == "full_attention" for kind in getattr(text, "layer_types", None) or ())
    return full and not getattr(text, "sliding_window", None)


def shared_length(rows: Sequence[Row]) -> int:
    """Tokens with which all rows begin, up to the last but one before an answer."""
    common = common_length([row["input_ids"] for row in rows])
    unlearnt = min(
        next(i for i, x in enumerate([*row["labels"], 0]) if x != IGNORED) for row in rows
    )
    return max(0, min(common, unlearnt - 1))


def joined(rows: Sequence[Row], shared: int) -> Batch:
    """One sequence: the shared part, then each row's rest, which sees that part and itself."""
    ids = list(rows[0]["input_ids"][:shared])
    labels = [IGNORED] * shared
    positions = list(range(shared))
    owners = [0] * shared
    for owner, row in enumerate(rows, start=1):
        rest = row["input_ids"][shared:]
        ids += rest
        labels += row["labels"][shared:]
        positions += range(shared, shared + len(rest))
        owners += [owner] * len(rest)
    owner_of = torch.tensor(owners)
    earlier = torch.ones(len(ids), len(ids), dtype=torch.bool).tril()
    seen = earlier & ((owner_of[None, :] == owner_of[:, None]) | (owner_of == 0)[None, :])
    return {
        "input_ids": torch.tensor([ids]),
        "labels": torch.tensor([labels]),
        "position_ids": torch.tensor([positions]),
        "attention_mask": seen[None, None],
    }
