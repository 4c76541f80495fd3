"""Leaks planted on purpose: test inputs that stand in training again, as they are or edited."""

import random
import string
from collections.abc import Callable, Sequence
from dataclasses import dataclass

Edit = Callable[[str, random.Random], str]


@dataclass(frozen=True, slots=True)
class Planted:
    """Rows of both sides, and which training row repeats which test row, by how it was edited."""

    train: list[dict[str, str]]
    test: list[dict[str, str]]
    leaks: dict[str, list[tuple[str, str]]]


def exact(text: str, _dice: random.Random) -> str:
    """The same text."""
    return text


def case(text: str, dice: random.Random) -> str:
    """The same words in another case, or with other spacing and marks."""
    ways = (text.upper(), text.lower() + "!", text.title(), "  " + text.replace(" ", "  "))
    return dice.choice([way for way in ways if way != text])


def characters(text: str, dice: random.Random) -> str:
    """One character in twenty replaced, added or removed."""
    parts = list(text)
    for _ in range(max(1, round(0.05 * len(parts)))):
        _edit(parts, dice, dice.choice(string.ascii_lowercase))
    return "".join(parts)


def words(text: str, dice: random.Random) -> str:
    """One word in twenty, at least one, replaced by another, added or removed."""
    parts = text.split()
    for _ in range(max(1, round(0.05 * len(parts)))):
        _edit(parts, dice, dice.choice(("account", "please", "quickly", "the", "their", "monthly")))
    return " ".join(parts)


def _edit(parts: list[str], dice: random.Random, new: str) -> None:
    at, way = dice.randrange(len(parts)), dice.randrange(3)
    if way == 0 or len(parts) == 1:
        parts[at] = new
    elif way == 1:
        parts.insert(at, new)
    else:
        parts.pop(at)


EDITS: tuple[Edit, ...] = (exact, case, characters, words)


def planted(train: Sequence[str], test: Sequence[str], each: int, seed: int) -> Planted:
    """Training rows with `each` leaks of each kind among them, in no special order."""
    dice = random.Random(seed)
    made = [{"id": f"t{n}", "prompt": text, "response": "."} for n, text in enumerate(test)]
    rows = [{"id": f"r{n}", "prompt": text, "response": "."} for n, text in enumerate(train)]
    leaks: dict[str, list[tuple[str, str]]] = {}
    for edit in EDITS:
        chosen = dice.sample(made, each)
        leaks[edit.__name__] = [(f"{edit.__name__}-{one['id']}", one["id"]) for one in chosen]
        rows += [
            {"id": leak, "prompt": edit(one["prompt"], dice), "response": "."}
            for (leak, _), one in zip(leaks[edit.__name__], chosen, strict=True)
        ]
    dice.shuffle(rows)
    return Planted(rows, made, leaks)
