"""Keys and values of a batch in room that is taken once.

transformers' own cache copies all it holds for each further token, and again where a row leaves the
batch; on a CPU that takes as long as a third of the model.
"""

from typing import Any

import torch
from transformers.cache_utils import DynamicLayer


class Room(DynamicLayer):  # type: ignore[no-untyped-call]
    """The keys and values of one layer, for so many rows of so many tokens at most.

    Layers that look back over a window only are kept whole too; the mask hides what is too far.
    """

    def __init__(self, rows: int, length: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._size = rows, length
        self._used = 0

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        """Take the room, now that the heads, their size and the device are known."""
        super().lazy_initialization(key_states, value_states)
        self._all = [self._room(states) for states in (key_states, value_states)]

    def update(
        self,
        key_states: torch.Tensor,
        value_states: torch.Tensor,
        *args: Any,  # noqa: ANN401 - the cache's own signature
        **kwargs: Any,  # noqa: ANN401
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Keep what is new and return all that is kept. What comes as one row, the shared part, is
        kept for every row.
        """
        del args, kwargs
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        rows, start = len(key_states), self._used
        self._used += key_states.shape[-2]
        for room, states in zip(self._all, (key_states, value_states), strict=True):
            room[: None if rows == 1 else rows, :, start : self._used] = states
        self.keys, self.values = (room[:rows, :, : self._used] for room in self._all)
        return self.keys, self.values

    def back_to(self, length: int) -> None:
        """Forget all but the first tokens."""
        self._used = length
        if self.is_initialized:
            self.keys, self.values = (room[:, :, :length] for room in self._all)

    def move(self, source: int, target: int) -> None:
        """Put one row in the place of another."""
        for room in self._all:
            room[target, :, : self._used] = room[source, :, : self._used]

    def _room(self, states: torch.Tensor) -> torch.Tensor:
        rows, length = self._size
        return states.new_empty(rows, states.shape[1], length, states.shape[-1])
