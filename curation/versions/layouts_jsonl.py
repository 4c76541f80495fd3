"""The formats of trainers, all JSON Lines: the same objects for the same rows, byte for byte."""

import json
from collections.abc import Callable
from typing import TypeAlias

from curation.versions.layout import NO_ORIGIN, ColumnMapping, ExportRow, Layout, Parts, Written

_BREAKS = {"\u2028": "\\u2028", "\u2029": "\\u2029", "\x85": "\\u0085"}
_ESCAPES = "line separators written as \\u2028, \\u2029 or \\u0085"
_NO_SYSTEM = (
    "It has no place for the system message: that stands in manifest.json, and training without "
    "it teaches another behaviour."
)

Message: TypeAlias = dict[str, str]


def line(value: object) -> str:
    """One object as a line of JSON Lines: compact, characters as they are, "\\n" at its end.

    The three characters outside ASCII that some readers take for a line end are written escaped.
    """
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    for character, escape in _BREAKS.items():
        text = text.replace(character, escape)
    return text + "\n"


def _breaks(row: ExportRow) -> int:
    """How many characters of a pair `line` writes escaped though JSON need not."""
    return sum(f"{row.prompt}{row.response}".count(character) for character in _BREAKS)


def _lines(to_object: Callable[[ExportRow, str], object]) -> Callable[[Parts, str], Written]:
    """JSON Lines with one object a row."""

    def write(parts: Parts, system: str) -> Written:
        written = Written()
        for split, rows in parts.items():
            text = "".join(line(to_object(row, system)) for row in rows)
            written.add(f"data/{split.value}.jsonl", split, text.encode())
            written.escape(_ESCAPES, sum(map(_breaks, rows)))
        return written

    return write


def messages(row: ExportRow, system: str) -> list[Message]:
    """A pair as a chat, with the system message in front where there is one."""
    return [*_asking(row, system), _message("assistant", row.response)]


def _asking(row: ExportRow, system: str) -> list[Message]:
    first = [_message("system", system)] if system else []
    return [*first, _message("user", row.prompt)]


def _message(role: str, content: str) -> Message:
    return {"role": role, "content": content}


def _sharegpt(row: ExportRow, system: str) -> object:
    turns = [("system", system)] if system else []
    turns += [("human", row.prompt), ("gpt", row.response)]
    return {"conversations": [{"from": speaker, "value": text} for speaker, text in turns]}


CHAT = Layout(
    name="chat",
    title="Chat JSONL (OpenAI)",
    fits="OpenAI, trl, Axolotl and most trainers",
    loses=NO_ORIGIN,
    write=_lines(lambda row, system: {"messages": messages(row, system)}),
    columns=ColumnMapping(messages="messages", exact=True),
)
TRL = Layout(
    name="trl",
    title="trl, conversational",
    fits="trl: trains on the completion only",
    loses=NO_ORIGIN,
    write=_lines(
        lambda row, system: {
            "prompt": _asking(row, system),
            "completion": [_message("assistant", row.response)],
        }
    ),
    columns=ColumnMapping(prompt="prompt", response="completion", exact=True),
)
SHAREGPT = Layout(
    name="sharegpt",
    title="ShareGPT",
    fits="LLaMA-Factory, Axolotl",
    loses=NO_ORIGIN,
    write=_lines(_sharegpt),
    columns=ColumnMapping(messages="conversations", exact=True),
)
ALPACA = Layout(
    name="alpaca",
    title="Alpaca",
    fits="LLaMA-Factory, older trainers",
    loses="The system message stands in a fourth key, system, which LLaMA-Factory reads and "
    f"others leave out. {NO_ORIGIN}",
    write=_lines(
        lambda row, system: {
            "instruction": row.prompt,
            "input": "",
            "output": row.response,
            "system": system,
        }
    ),
    columns=ColumnMapping(
        prompt="instruction", input="input", response="output", system="system", exact=True
    ),
)
PROMPT_COMPLETION = Layout(
    name="prompt-completion",
    title="Prompt and completion",
    fits="trl and older provider formats",
    loses=f"{_NO_SYSTEM} {NO_ORIGIN}",
    write=_lines(lambda row, _system: {"prompt": row.prompt, "completion": row.response}),
    columns=ColumnMapping(prompt="prompt", response="completion", exact=True),
)
PREFERENCE = Layout(
    name="preference",
    title="Preference pairs (DPO)",
    fits="trl's DPO trainer",
    loses="Only pairs whose output a person corrected: chosen is the approved output, rejected "
    "the one that arrived. A first output that was never scanned for personal data, or "
    f"that held some, is left out. {NO_ORIGIN}",
    write=_lines(
        lambda row, system: {
            "prompt": _asking(row, system),
            "chosen": [_message("assistant", row.response)],
            "rejected": [_message("assistant", row.rejected)],
        }
    ),
    columns=ColumnMapping(prompt="prompt", response="chosen", exact=True),
    preference=True,
)
