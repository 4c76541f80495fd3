"""The exits by name, and how each stands for one adapter."""

from dataclasses import dataclass

from training.exits import axolotl, llamafactory, ollama, torchtune, trl, vllm, weights
from training.exits.exit import Exit
from training.exits.source import ExportSource

EXITS = {
    entry.name: entry
    for entry in (
        weights.PEFT,
        weights.MERGED,
        vllm.EXIT,
        ollama.EXIT,
        axolotl.EXIT,
        llamafactory.EXIT,
        torchtune.EXIT,
        trl.EXIT,
    )
}
"""Every exit, in the order in which they are listed."""
MERGED = weights.MERGED.name


@dataclass(frozen=True, slots=True)
class Offered:
    """An exit as it stands for one adapter."""

    exit: Exit
    why_not: str | None


def offered(source: ExportSource) -> list[Offered]:
    """Every exit, with the reason where one does not fit."""
    return [Offered(entry, entry.refuses(source)) for entry in EXITS.values()]
