"""Attention of a joined batch that computes only what its rows see.

torch's own attention takes the mask of a joined batch, but computes what the mask hides, which is
most of its square. Here the shared part attends to itself, and each row, padded to the longest,
attends to the shared part and itself. The result is the same sum in another order.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.nn import functional
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

NAME = "joined"


def use(model: PreTrainedModel) -> bool:
    """Let a model that attends by torch's own attention do so by `attend`; whether it does now.

    A model that attends otherwise, because torch's own is not exact for it, is left alone.
    """
    if model.config._attn_implementation == "sdpa":
        model.set_attn_implementation(NAME)
    return str(model.config._attn_implementation) == NAME


class _Layout(NamedTuple):
    """Where the tokens of the rows' own parts lie once each row is padded to the longest."""

    rows: int
    width: int
    places: torch.Tensor
    """Of each token of the rows' own parts, in all rows' places laid end to end."""
    hidden: torch.Tensor
    """(queries of one row, keys): -inf where a query does not see a key, else 0. Each query stands
    there once for every head that shares a key's head."""


@lru_cache(maxsize=8)
def _layout(
    lengths: tuple[int, ...], heads_a_key: int, dtype: torch.dtype, device: torch.device
) -> _Layout:
    shared, *own = lengths
    width = max(own)
    places = torch.cat([torch.arange(n) + i * width for i, n in enumerate(own)])
    visible = torch.ones(width, shared + width, dtype=torch.bool).tril(shared)
    hidden = torch.zeros(visible.shape, dtype=dtype).masked_fill(~visible, -torch.inf)
    return _Layout(
        len(own), width, places.to(device), hidden.repeat(heads_a_key, 1).to(device=device)
    )


def attend(
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    joined: Sequence[int] | None = None,
    **kwargs: Any,  # noqa: ANN401 - what a model hands to any attention
) -> tuple[torch.Tensor, None]:
    """Attention of queries of shape (1, heads, tokens, size), as transformers asks for it.

    `joined` is the length of the shared part, then of each row's own part; without it this is
    torch's own attention.
    """
    if joined is None:
        usual: tuple[torch.Tensor, None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout, scaling, **kwargs
        )
        return usual
    shared, own = joined[0], sum(joined[1:])
    parts = [torch.split(tensor, [shared, own], dim=2) for tensor in (query, key, value)]
    (first_query, own_query), (first_key, own_key), (first_value, own_value) = parts
    groups = query.shape[1] // key.shape[1]
    layout = _layout(tuple(joined), groups, query.dtype, query.device)
    attended = _of_rows(
        layout,
        own_query,
        _after(layout, first_key, own_key),
        _after(layout, first_value, own_value),
        dropout,
        scaling,
    )
    if shared:
        first, _ = sdpa_attention_forward(
            module, first_query, first_key, first_value, None, dropout, scaling, is_causal=True
        )
        attended = torch.cat([first, attended], dim=1)
    return attended, None


def _of_rows(
    layout: _Layout,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    dropout: float,
    scaling: float | None,
) -> torch.Tensor:
    """What the rows' own parts see: (1, tokens, heads, size).

    The queries of heads that share a key's head stand side by side, so that no key is repeated.
    """
    rows, heads, _, size = key.shape
    grouped = _padded(layout, query).view(rows, layout.width, heads, -1, size)
    grouped = grouped.permute(0, 2, 3, 1, 4).reshape(rows, heads, -1, size)
    attended = functional.scaled_dot_product_attention(
        grouped, key, value, layout.hidden, dropout, scale=scaling
    )
    attended = attended.view(rows, heads, -1, layout.width, size).permute(0, 3, 1, 2, 4)
    gathered: torch.Tensor = _Gather.apply(  # type: ignore[no-untyped-call]
        attended.reshape(rows * layout.width, -1, size), layout.places
    )
    return gathered[None]


def _after(layout: _Layout, first: torch.Tensor, own: torch.Tensor) -> torch.Tensor:
    """Keys or values of each row: those of the shared part, then its own, padded."""
    padded = _padded(layout, own).view(layout.rows, layout.width, -1, own.shape[-1])
    return torch.cat([first.expand(layout.rows, -1, -1, -1), padded.transpose(1, 2)], dim=2)


def _padded(layout: _Layout, own: torch.Tensor) -> torch.Tensor:
    """From (1, heads, tokens, size) to (rows * width, heads, size); zeros fill short rows."""
    spread: torch.Tensor = _Scatter.apply(  # type: ignore[no-untyped-call]
        own[0].transpose(0, 1), layout.places, layout.rows * layout.width
    )
    return spread


class _Scatter(torch.autograd.Function):
    """Puts each line of a tensor at its place among zeros; no two have the same place, so that the
    gradient, unlike torch's own, need not be summed.
    """

    @staticmethod
    def forward(ctx: Any, lines: torch.Tensor, places: torch.Tensor, size: int) -> torch.Tensor:  # noqa: ANN401
        ctx.save_for_backward(places)
        return _scatter(lines, places, size)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None, None]:  # noqa: ANN401
        return gradient[ctx.saved_tensors[0]], None, None


class _Gather(torch.autograd.Function):
    """Takes back what `_Spread` put at these places."""

    @staticmethod
    def forward(ctx: Any, lines: torch.Tensor, places: torch.Tensor) -> torch.Tensor:  # noqa: ANN401
        ctx.save_for_backward(places)
        ctx.size = len(lines)
        return lines[places]

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:  # noqa: ANN401
        return _scatter(gradient, ctx.saved_tensors[0], ctx.size), None


def _scatter(lines: torch.Tensor, places: torch.Tensor, size: int) -> torch.Tensor:
    room = lines.new_zeros(size, *lines.shape[1:])
    room[places] = lines
    return room


AttentionInterface.register(NAME, attend)
AttentionMaskInterface.register(NAME, sdpa_mask)
