"""The pairs that a job is given, one JSON object a line, held to the hash they were sent with."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import msgspec
from msgspec import UNSET, UnsetType

from curation.overlap import duplicates
from curation.project.score import Score
from storage import plain_files, synced
from storage.errors import BadInput, RuleBroken
from storage.types import VersionRow
from training.records.record import JsonRecord, always
from training.work import evidence


@dataclass(frozen=True, slots=True)
class TrainingPair:
    """One train or validation pair of the frozen version."""

    pair_id: int
    split: str
    prompt: str
    response: str
    rejected: str = ""
    """In preference pairs: the worse answer."""


@dataclass(frozen=True, slots=True)
class HeldOutPair:
    """One held-out pair."""

    pair_id: int
    prompt: str
    response: str


def written(frozen: Sequence[VersionRow]) -> bytes:
    """The lines that `read_training` and `read_held_out` read back."""
    lines = (
        {
            "pair_id": row.pair_id,
            "split": row.split.value,
            "prompt": row.prompt,
            "response": row.response,
        }
        for row in frozen
    )
    return "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines).encode()


def read_training(path: Path, sha256: str) -> list[TrainingPair]:
    """The pairs of the frozen version that a run learns from or watches, one JSON object a line.

    Raises:
        RuleBroken: the file is not the one the run was launched with, or holds a test pair.
        BadInput: there are no train pairs.
    """
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != sha256:
        raise RuleBroken(
            "The file of pairs changed since the run was launched. Launch the run again."
        )
    pairs = [msgspec.json.decode(line, type=TrainingPair) for line in content.splitlines() if line]
    wrong = [pair.pair_id for pair in pairs if pair.split not in ("train", "validation")]
    if wrong:
        raise RuleBroken(
            f"Pair {wrong[0]} is a test pair; test pairs never train. Make the version again."
        )
    if not any(pair.split == "train" for pair in pairs):
        raise BadInput("The version has no train pairs. Approve more pairs and make a new version.")
    return pairs


def refuse_tested(pairs: Sequence[TrainingPair], tested: Sequence[str]) -> None:
    """Refuse a pair whose input is or ever was that of a test pair.

    Told by digests of the inputs without case, marks and spacing; what nearly repeats a test pair
    was refused when the run was prepared, where the words are at hand.

    Raises:
        RuleBroken: naming the first such pair.
    """
    digests = set(tested)
    wrong = [pair.pair_id for pair in pairs if duplicates.digest(pair.prompt) in digests]
    if wrong:
        raise RuleBroken(
            f"Pair {wrong[0]} asks what a test pair asks or once asked; test pairs never train. "
            "Reject it and make a new version."
        )


def read_held_out(path: Path, sha256: str | None = None) -> list[HeldOutPair]:
    """The held-out pairs, one JSON object a line.

    Raises:
        RuleBroken: the file is not the one the job was started with.
        BadInput: there are none.
    """
    content = path.read_bytes()
    if sha256 is not None and hashlib.sha256(content).hexdigest() != sha256:
        raise RuleBroken("The held-out pairs changed since the job was started. Start it again.")
    pairs = [msgspec.json.decode(line, type=HeldOutPair) for line in content.splitlines() if line]
    if not pairs:
        raise BadInput("The version has no test pairs to compare on. Make a new version.")
    return pairs


class OutputLine(JsonRecord, frozen=True, kw_only=True):
    """One line of `outputs.jsonl`: an answer and what it scored."""

    pair_id: int
    arm: str
    text: str
    valid: bool
    correct: bool
    sha256: str = always("")
    personal: list[str] | UnsetType | None = UNSET
    """Types of personal data in it: None where it could not be read whole, unset without a scan."""


Figures: TypeAlias = dict[str, object]
"""What a comparison measured, by name: some names are made from arm, metric and field."""


def answer_line(pair_id: int, arm: str, text: str, score: Score) -> OutputLine:
    """The line of an answer."""
    return OutputLine(
        pair_id=pair_id,
        arm=arm,
        text=text,
        valid=score.valid,
        correct=score.correct,
        sha256=hashlib.sha256(text.encode()).hexdigest(),
    )


def write_outputs(directory: Path, lines: Sequence[OutputLine]) -> str:
    """Freeze the answers in `outputs.jsonl`; returns its sha256."""
    content = b"".join(msgspec.json.encode(line) + b"\n" for line in lines)
    synced.write(directory / "outputs.jsonl", content)
    return hashlib.sha256(content).hexdigest()


def read_outputs(directory: Path) -> list[OutputLine]:
    """The lines that `write_outputs` wrote.

    Raises:
        msgspec.DecodeError: a line is no answer.
    """
    content = plain_files.read(directory / "outputs.jsonl", evidence.MOST_BYTES)
    return msgspec.json.Decoder(OutputLine).decode_lines(content)
