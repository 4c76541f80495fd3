"""Answer many prompts at once, greedily unless told otherwise, with what they all begin with
computed once.

Rows are left-padded, sorted by length and leave the batch as they end. In float32 the text is that
of asking one prompt at a time, save where two tokens are tied to the last digits.
"""

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass

import torch
from transformers import (
    DynamicCache,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from training import render
from training.evidence import Cancelled

Pick = Callable[[torch.Tensor], torch.Tensor]
"""From the scores of the next token, one row per text, to the tokens chosen."""

_DRAWN_FROM = 200
"""A token outside the likeliest 200 is never drawn."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the model wrote."""

    text: str
    tokens: int
    ended: bool
    """Whether the model ended its turn itself; False where it ran into the limit."""


def greedy(scores: torch.Tensor) -> torch.Tensor:
    """The likeliest token of each row."""
    return scores.argmax(dim=-1)


def sampled(seed: int, temperature: float, top_p: float = 0.95) -> Pick:
    """Draws from the likeliest tokens that together have `top_p`; the same seed draws the same."""
    source = torch.Generator().manual_seed(seed)

    def pick(scores: torch.Tensor) -> torch.Tensor:
        best, order = (scores.float().cpu() / temperature).topk(min(_DRAWN_FROM, scores.shape[-1]))
        chances = best.softmax(-1)
        chances = chances.masked_fill(chances.cumsum(-1) - chances > top_p, 0.0)
        drawn = torch.multinomial(chances, 1, generator=source)
        return order.gather(-1, drawn).squeeze(-1).to(scores.device)

    return pick


@contextmanager
def arm(model: PreTrainedModel, *, tuned: bool, has_adapter: bool = True) -> Iterator[None]:
    """Use a loaded model with its adapter or without."""
    off = has_adapter and not tuned
    with model.disable_adapter() if off else nullcontext():  # type: ignore[operator]  # PEFT adds it
        yield


def answers(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    system: str,
    prompts: Sequence[str],
    max_new_tokens: int,
    batch_size: int = 16,
    on_progress: Callable[[int], None] = lambda _done: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> list[Answer]:
    """One greedy answer per prompt, in the prompts' order.

    `on_progress` is told how many are done. Raises `Cancelled` between tokens when `should_stop`
    says so.
    """
    ids = [render.prompt_ids(tokenizer, system, prompt) for prompt in prompts]
    return complete(
        model, tokenizer, ids, max_new_tokens, greedy, batch_size, on_progress, should_stop
    )


@torch.inference_mode()
def complete(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    ids: Sequence[list[int]],
    max_new_tokens: int,
    pick: Pick = greedy,
    batch_size: int = 16,
    on_progress: Callable[[int], None] = lambda _done: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> list[Answer]:
    """Go on from prompts that are already tokens; see `answers`."""
    model.train(False)
    order = sorted(range(len(ids)), key=lambda i: len(ids[i]))
    shared = _shared(ids)
    prefix = _prefix_cache(model, ids[0][:shared]) if shared else None
    ends = end_tokens(model, tokenizer)
    found: dict[int, Answer] = {}
    for start in range(0, len(order), batch_size):
        chosen = order[start : start + batch_size]
        batch = _Batch(model, [ids[i] for i in chosen], shared, prefix)
        written = batch.run(max_new_tokens, pick, ends, should_stop)
        for i, tokens in zip(chosen, written, strict=True):
            found[i] = _answer(tokenizer, tokens, ends)
        on_progress(len(found))
    return [found[i] for i in range(len(ids))]


def end_tokens(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> frozenset[int]:
    """The tokens that end a turn: the tokenizer's, and those of the model's generation settings."""
    set_by_model = model.generation_config.eos_token_id
    listed = set_by_model if isinstance(set_by_model, list) else [set_by_model]
    return frozenset(end for end in [tokenizer.eos_token_id, *listed] if end is not None)


def _answer(tokenizer: PreTrainedTokenizerBase, tokens: list[int], ends: frozenset[int]) -> Answer:
    ended = bool(tokens) and tokens[-1] in ends
    text = tokenizer.decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False)
    return Answer(str(text), len(tokens), ended)


def _shared(ids: Sequence[list[int]]) -> int:
    """Tokens with which all prompts begin; at least one of each prompt is left over to go on
    from.
    """
    if not ids:
        return 0
    return min(render.common_length(ids), min(map(len, ids)) - 1)


def _prefix_cache(model: PreTrainedModel, prefix: list[int]) -> DynamicCache:
    cache = DynamicCache(config=model.config)
    model(
        input_ids=torch.tensor([prefix], device=model.device),
        past_key_values=cache,
        logits_to_keep=1,
    )
    return cache


class _Batch:
    """Prompts that are answered together. Rows that have ended leave, so the rest goes faster."""

    def __init__(
        self,
        model: PreTrainedModel,
        ids: Sequence[list[int]],
        shared: int,
        prefix: DynamicCache | None,
    ) -> None:
        self._model = model
        rests = [row[shared:] for row in ids]
        width = max(map(len, rests))
        filler = int(model.config.pad_token_id or 0)
        self._ids = self._tensor([[filler] * (width - len(rest)) + rest for rest in rests])
        self._mask = self._tensor(
            [[1] * shared + [0] * (width - len(rest)) + [1] * len(rest) for rest in rests]
        )
        self._cache = DynamicCache(config=model.config)
        if prefix is not None:
            self._cache = _copies(prefix, len(ids))
        self._rows = list(range(len(ids)))

    def run(
        self, limit: int, pick: Pick, ends: frozenset[int], should_stop: Callable[[], bool]
    ) -> list[list[int]]:
        """The tokens written for each prompt, the end token included."""
        written: list[list[int]] = [[] for _ in self._rows]
        step = self._ids
        for _ in range(limit):
            if should_stop():
                raise Cancelled
            chosen = pick(self._scores(step))
            for row, token in zip(self._rows, chosen.tolist(), strict=True):
                written[row].append(token)
            open_ = [i for i, row in enumerate(self._rows) if written[row][-1] not in ends]
            if not open_:
                break
            step = self._kept(open_, chosen)
        return written

    def _scores(self, step: torch.Tensor) -> torch.Tensor:
        """Scores of the next token of each open row."""
        width = step.shape[1]
        positions = (self._mask.cumsum(-1) - 1).clamp(min=0)[:, -width:]
        output = self._model(
            input_ids=step,
            attention_mask=self._mask,
            position_ids=positions,
            past_key_values=self._cache,
            use_cache=True,
            logits_to_keep=1,
        )
        scores: torch.Tensor = output.logits[:, -1]
        return scores

    def _kept(self, open_: list[int], chosen: torch.Tensor) -> torch.Tensor:
        """Let ended rows go; returns the next input of the others."""
        if len(open_) < len(self._rows):
            index = torch.tensor(open_, device=self._mask.device)
            self._cache.batch_select_indices(index)
            self._mask = self._mask[index]
            chosen = chosen[index]
            self._rows = [self._rows[i] for i in open_]
        self._mask = torch.cat([self._mask, torch.ones_like(self._mask[:, :1])], dim=1)
        return chosen[:, None]

    def _tensor(self, rows: list[list[int]]) -> torch.Tensor:
        return torch.tensor(rows, device=self._model.device)


def _copies(prefix: DynamicCache, times: int) -> DynamicCache:
    """The cache of the shared part, once for each row of a batch."""
    cache = copy.deepcopy(prefix)
    cache.batch_repeat_interleave(times)
    return cache
