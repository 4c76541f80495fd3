"""Chats as tokens, exactly as Assay trained and asks: the prompt by the base model's template, then
the answer with the token that ends its turn; only the answer is learnt. Needs transformers alone.
"""

from typing import Any

IGNORED = -100


def prompt_ids(tokenizer: Any, messages: list[dict[str, str]]) -> list[int]:  # noqa: ANN401
    """What the model is given before it answers."""
    return _encoded(tokenizer, _text(tokenizer, messages))


def pair_ids(tokenizer: Any, messages: list[dict[str, str]]) -> tuple[list[int], list[int]]:  # noqa: ANN401
    """Tokens and labels of a chat whose last message is the answer."""
    before, complete = _text(tokenizer, messages[:-1]), _text(tokenizer, messages)
    if not complete.startswith(before):
        raise ValueError("The chat template changes an input that is answered.")
    opening, answer = _encoded(tokenizer, before), _encoded(tokenizer, complete[len(before) :])
    if tokenizer.eos_token_id not in answer:
        raise ValueError("The chat template does not end an answer.")
    answer = answer[: answer.index(tokenizer.eos_token_id) + 1]
    return opening + answer, [IGNORED] * len(opening) + answer


def _text(tokenizer: Any, messages: list[dict[str, str]]) -> str:  # noqa: ANN401
    added = tokenizer.added_tokens_decoder.values()
    control = {token.content for token in added if token.special} | set(
        tokenizer.all_special_tokens
    )
    for message in messages:
        if any(token in message["content"] for token in control):
            raise ValueError(f"The {message['role']} text of a pair holds a control token.")
    waiting = messages[-1]["role"] != "assistant"
    return str(
        tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=waiting)
    )


def _encoded(tokenizer: Any, text: str) -> list[int]:  # noqa: ANN401
    return list(tokenizer.encode(text, add_special_tokens=False))


class Tokenizer:
    """The same for torchtune: `tokens` and `mask` (true where nothing is learnt) of a sample."""

    def __init__(self, folder: str, max_seq_len: int | None = None) -> None:
        from transformers import AutoTokenizer

        self._tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
        self.max_seq_len = max_seq_len
        self.eos_id = self._tokenizer.eos_token_id
        self.pad_id = self._tokenizer.pad_token_id
        self.pad_id = self.eos_id if self.pad_id is None else self.pad_id

    def tokenize_messages(self, messages: list[Any]) -> tuple[list[int], list[bool]]:
        """Tokens and mask of torchtune's messages."""
        chat = [{"role": message.role, "content": message.text_content} for message in messages]
        ids, labels = pair_ids(self._tokenizer, chat)
        if self.max_seq_len is not None and len(ids) > self.max_seq_len:
            raise ValueError("A pair is longer than allowed.")
        return ids, [label == IGNORED for label in labels]

    def __call__(self, sample: dict[str, Any], inference: bool = False) -> dict[str, Any]:
        """A sample with its tokens."""
        del inference
        sample["tokens"], sample["mask"] = self.tokenize_messages(sample.pop("messages"))
        return sample
