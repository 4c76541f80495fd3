"""The one way a pair becomes tokens: training, drafting and comparing all call this.

A model that was trained on one rendering and asked in another looks broken without being so; hence
a single function and a test that holds it to the base model's own chat template.
"""

import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

from storage.errors import BadInput

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

IGNORED = -100
"""Label of a token that is read but not learnt."""

Message = dict[str, str]


def messages(
    system: str,
    prompt: str,
    response: str | None = None,
    examples: Sequence[tuple[str, str]] = (),
) -> list[Message]:
    """The chat of one pair: system, worked examples as earlier turns, user and, where given, the
    assistant's answer.
    """
    chat = [{"role": "system", "content": system}]
    for question, answer in examples:
        chat += [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    chat.append({"role": "user", "content": prompt})
    return chat if response is None else [*chat, {"role": "assistant", "content": response}]


def chat_text(tokenizer: "PreTrainedTokenizerBase", chat: Sequence[Message]) -> str:
    """A chat as the template writes it, with the opening of the assistant's turn if that is next.

    Raises:
        BadInput: a message holds a control token of the model, which would end or open a turn.
    """
    _refuse_control_tokens(tokenizer, chat)
    opening = chat[-1]["role"] != "assistant"
    return str(
        tokenizer.apply_chat_template(list(chat), tokenize=False, add_generation_prompt=opening)
    )


def chat_ids(tokenizer: "PreTrainedTokenizerBase", chat: Sequence[Message]) -> list[int]:
    """The tokens of a chat that is waiting for the assistant."""
    return _encoded(tokenizer, chat_text(tokenizer, chat))


def prompt_ids(
    tokenizer: "PreTrainedTokenizerBase",
    system: str,
    prompt: str,
    examples: Sequence[tuple[str, str]] = (),
) -> list[int]:
    """What the model is given before it answers."""
    return chat_ids(tokenizer, messages(system, prompt, examples=examples))


def pair_ids(
    tokenizer: "PreTrainedTokenizerBase", system: str, prompt: str, response: str
) -> tuple[list[int], list[int]]:
    """Tokens and labels of one pair; only the answer and its end-of-turn token are learnt.

    The tokens of the input come first, exactly as the model gets them when asked: the answer is put
    into tokens on its own, so no token spans the border. What a template writes after the
    end-of-turn token is left out, since a model that stops there never writes it.

    Raises:
        BadInput: the template changes an input that is answered, or never ends the turn.
    """
    before = chat_text(tokenizer, messages(system, prompt))
    complete = chat_text(tokenizer, messages(system, prompt, response))
    if not complete.startswith(before):
        raise BadInput(
            "The base model's chat template changes an input that is answered. Choose another base."
        )
    opening = _encoded(tokenizer, before)
    answer = _encoded(tokenizer, complete[len(before) :])
    if tokenizer.eos_token_id not in answer:
        raise BadInput(
            "The base model's chat template does not end an answer. Choose another base."
        )
    answer = answer[: answer.index(tokenizer.eos_token_id) + 1]
    return opening + answer, [IGNORED] * len(opening) + answer


def common_length(sequences: Sequence[Sequence[int]]) -> int:
    """How many tokens all sequences have in common at their beginning."""
    if not sequences:
        return 0
    first, last = min(sequences, key=tuple), max(sequences, key=tuple)
    matches = (a == b for a, b in zip(first, last, strict=False))
    return next((i for i, equal in enumerate(matches) if not equal), min(len(first), len(last)))


def _encoded(tokenizer: "PreTrainedTokenizerBase", text: str) -> list[int]:
    return list(tokenizer.encode(text, add_special_tokens=False))


def _refuse_control_tokens(tokenizer: "PreTrainedTokenizerBase", chat: Sequence[Message]) -> None:
    added = tokenizer.added_tokens_decoder.values()
    control = {token.content for token in added if token.special} | set(
        tokenizer.all_special_tokens
    )
    for message in chat:
        for token in sorted(control):
            if token in message["content"]:
                raise BadInput(
                    f"The {message['role']} text holds the control token {token!r}. Remove it."
                )


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """End a chat template that loops without end. Only the main thread can be interrupted, on a
    system that has alarms; elsewhere no limit.

    Raises:
        BadInput: the time is up.
    """
    in_main = threading.current_thread() is threading.main_thread()
    if not in_main or not hasattr(signal, "SIGALRM"):
        yield
        return

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise BadInput("The base model's chat template takes too long. Choose another base.")

    earlier = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, earlier)
