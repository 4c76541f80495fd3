"""Answer many prompts at once, greedily unless told otherwise, with what they all begin with
computed once.

Rows are left-padded, sorted by length and leave the batch as they end. In float32 the text is that
of asking one prompt at a time, save where two tokens are tied to the last digits.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import cast

import torch
from transformers import Cache, PreTrainedModel, PreTrainedTokenizerBase

from training.models import render
from training.tuning.room import Room
from training.work.evidence import Cancelled

Pick = Callable[[torch.Tensor], torch.Tensor]
"""From the scores of the next token, one row per text, to the tokens chosen."""

_AT_ONCE = 64
_MOST_TOKENS = 8192
"""Tokens that a batch may hold, prompts and answers together, so that long ones do not take all
memory; some 46 KB each for the packaged model, 128 KB for a usual one of 7B parameters."""
_DRAWN_FROM = 200
"""A token outside the likeliest 200 is never drawn."""


@dataclass(frozen=True, slots=True)
class Generated:
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
    batch_size: int = _AT_ONCE,
    on_progress: Callable[[int], None] = lambda _done: None,
    should_stop: Callable[[], bool] = lambda: False,
    examples: Sequence[tuple[str, str]] = (),
) -> list[Generated]:
    """One greedy answer per prompt, in the prompts' order; `examples` come before each prompt.

    `on_progress` is told how many are done, whenever there are more. Raises `Cancelled` between
    tokens when `should_stop` says so.
    """
    ids = [render.prompt_ids(tokenizer, system, prompt, examples) for prompt in prompts]
    return complete(
        model, tokenizer, ids, max_new_tokens, greedy, batch_size, on_progress, should_stop
    )


def complete(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    ids: Sequence[list[int]],
    max_new_tokens: int,
    pick: Pick = greedy,
    batch_size: int = _AT_ONCE,
    on_progress: Callable[[int], None] = lambda _done: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> list[Generated]:
    """Go on from prompts that are already tokens; see `answers`."""
    ends = end_tokens(model, tokenizer)
    written = tokens(model, ids, max_new_tokens, ends, pick, batch_size, on_progress, should_stop)
    return [_answer(tokenizer, answer_tokens, ends) for answer_tokens in written]


@torch.inference_mode()
def tokens(
    model: PreTrainedModel,
    ids: Sequence[list[int]],
    max_new_tokens: int,
    ends: frozenset[int],
    pick: Pick = greedy,
    batch_size: int = _AT_ONCE,
    on_progress: Callable[[int], None] = lambda _done: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> list[list[int]]:
    """The tokens that follow each prompt, up to the first of `ends`, which is among them."""
    if not ids:
        return []
    model.train(False)
    longest = max(map(len, ids)) + max_new_tokens
    rows = max(1, min(batch_size, len(ids), _MOST_TOKENS // longest))
    shared = _shared(model, ids, longest)
    cache = Cache(layer_class_to_replicate=partial(Room, rows, longest))  # type: ignore[arg-type]
    if shared:
        prefix = torch.tensor([ids[0][:shared]], device=model.device)
        model(input_ids=prefix, past_key_values=cache, use_cache=True, logits_to_keep=1)
    order = sorted(range(len(ids)), key=lambda i: len(ids[i]))
    written: dict[int, list[int]] = {}
    for start in range(0, len(order), rows):
        chosen = order[start : start + rows]
        batch = _Batch(model, [ids[i][shared:] for i in chosen], shared, max_new_tokens, cache)
        ended = 0
        for _ in batch.run(pick, ends):
            if should_stop():
                raise Cancelled
            if batch.ended > ended:
                ended = batch.ended
                on_progress(start + ended)
        written |= dict(zip(chosen, batch.written, strict=True))
        if ended < len(chosen):
            on_progress(len(written))
    return [written[i] for i in range(len(ids))]


def end_tokens(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> frozenset[int]:
    """The tokens that end a turn: the tokenizer's, and those of the model's generation settings."""
    set_by_model = model.generation_config.eos_token_id
    listed = set_by_model if isinstance(set_by_model, list) else [set_by_model]
    return frozenset(end for end in [tokenizer.eos_token_id, *listed] if end is not None)


def _answer(
    tokenizer: PreTrainedTokenizerBase, tokens: list[int], ends: frozenset[int]
) -> Generated:
    ended = bool(tokens) and tokens[-1] in ends
    text = tokenizer.decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False)
    return Generated(str(text), len(tokens), ended)


def _shared(model: PreTrainedModel, ids: Sequence[list[int]], longest: int) -> int:
    """Tokens with which all prompts begin; at least one of each prompt is left over to go on from.

    None for a model that looks back over a window only which the longest text exceeds: the window
    would count the padding between the shared part and a shorter prompt.
    """
    window = getattr(model.config.get_text_config(), "sliding_window", None)
    if window and longest > window:
        return 0
    return min(render.common_length(ids), min(map(len, ids)) - 1)


class _Batch:
    """Prompts that are answered together. Rows that have ended leave, so the rest goes faster."""

    def __init__(
        self,
        model: PreTrainedModel,
        remainders: Sequence[list[int]],
        shared: int,
        limit: int,
        cache: Cache,
    ) -> None:
        self._model = model
        self._limit = limit
        self._cache = cache
        for layer in cache.layers:
            cast("Room", layer).back_to(shared)
        width = max(map(len, remainders))
        filler = int(model.config.pad_token_id or 0)
        padding = [width - len(remainder) for remainder in remainders]
        self._next = self._tensor(
            [[filler] * n + remainder for n, remainder in zip(padding, remainders, strict=True)]
        )
        self._places = self._tensor(
            [[shared] * n + [*range(shared, shared + width - n)] for n in padding]
        )
        self._seen = self._tensor(
            [[1] * shared + [0] * n + [1] * (width - n + limit) for n in padding]
        )
        self._length = shared + width
        self._rows = list(range(len(remainders)))
        self.written: list[list[int]] = [[] for _ in remainders]
        """The tokens written for each prompt, the end token included."""

    @property
    def ended(self) -> int:
        """Prompts whose answer has ended."""
        return len(self.written) - len(self._rows)

    def run(self, pick: Pick, ends: frozenset[int]) -> Iterator[None]:
        """Write a token of each open answer at a time, until all have ended or are full."""
        for _ in range(self._limit):
            chosen = pick(self._scores()).tolist()
            for row, token in zip(self._rows, chosen, strict=True):
                self.written[row].append(token)
            for i in reversed(range(len(chosen))):
                if chosen[i] in ends:
                    self._leave(i, chosen)
            yield
            if not chosen:
                break
            self._next = self._tensor([[token] for token in chosen])
            self._places = self._places[: len(chosen), -1:] + 1
            self._length += 1

    def _scores(self) -> torch.Tensor:
        """Scores of the next token of each open row."""
        output = self._model(
            input_ids=self._next,
            attention_mask=self._seen[: len(self._rows), : self._length],
            position_ids=self._places,
            past_key_values=self._cache,
            use_cache=True,
            logits_to_keep=1,
        )
        scores: torch.Tensor = output.logits[:, -1]
        return scores

    def _leave(self, i: int, chosen: list[int]) -> None:
        """Let the ended row at place `i` go; the last one takes its place."""
        for lines in (self._rows, chosen):
            lines[i] = lines[-1]
            lines.pop()
        last = len(chosen)
        for tensor in (self._places, self._seen):
            tensor[i] = tensor[last]
        for layer in self._cache.layers:
            cast("Room", layer).move(last, i)

    def _tensor(self, rows: list[list[int]]) -> torch.Tensor:
        return torch.tensor(rows, device=self._model.device)
