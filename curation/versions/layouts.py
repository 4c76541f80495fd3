"""The formats a version can be exported in: what each writes, and what it cannot hold.

Every layout gives the same bytes for the same rows (Parquet and the datasets folder: for the same
pyarrow). One file stands for each split.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from curation.versions import exports
from storage.types import Split


@dataclass(frozen=True, slots=True)
class Out:
    """One row on its way out."""

    pair_id: int
    origin: str
    prompt: str
    response: str
    rejected: str = ""
    """For preference pairs: the output that a person corrected."""


@dataclass(slots=True)
class Written:
    """The files of an export's data."""

    files: dict[str, bytes] = field(default_factory=dict)
    data: dict[str, str] = field(default_factory=dict)
    """The split of each file that holds rows, by its name."""
    escapes: dict[str, int] = field(default_factory=dict)
    """What was written otherwise than it is, and is read back as it was: how many times."""


Parts: TypeAlias = Mapping[Split, Sequence[Out]]


def _anything(_parts: Parts, _system: str) -> None:
    """The check of a format that holds every text."""


@dataclass(frozen=True, slots=True)
class Layout:
    """One format."""

    name: str
    title: str
    fits: str
    """What it is read by."""
    loses: str
    """What it cannot hold, or where something stands that readers may not expect."""
    write: Callable[[Parts, str], Written]
    check: Callable[[Parts, str], None] = _anything
    """Raises `BadInput` for a row that the format cannot hold."""


def _lines(to_object: Callable[[Out, str], Any]) -> Callable[[Parts, str], Written]:
    """JSON Lines with one object a row."""

    def write(parts: Parts, system: str) -> Written:
        made = Written()
        for split, rows in parts.items():
            name = f"data/{split.value}.jsonl"
            text = "".join(exports.line(to_object(row, system)) for row in rows)
            made.files[name], made.data[name] = text.encode(), split.value
        breaks = sum(exports.breaks(f"{r.prompt}{r.response}") for p in parts.values() for r in p)
        if breaks:
            made.escapes["line separators written as \\u2028, \\u2029 or \\u0085"] = breaks
        return made

    return write


def _said(role: str, words: str) -> list[dict[str, str]]:
    return [{"role": role, "content": words}] if words or role != "system" else []


def _chat(row: Out, system: str) -> dict[str, Any]:
    said = [*_said("system", system), *_said("user", row.prompt)]
    return {"messages": [*said, *_said("assistant", row.response)]}


def _sharegpt(row: Out, system: str) -> dict[str, Any]:
    said = [("system", system)] if system else []
    said += [("human", row.prompt), ("gpt", row.response)]
    return {"conversations": [{"from": who, "value": words} for who, words in said]}


def _alpaca(row: Out, system: str) -> dict[str, Any]:
    return {"instruction": row.prompt, "input": "", "output": row.response, "system": system}


def _completion(row: Out, _system: str) -> dict[str, Any]:
    return {"prompt": row.prompt, "completion": row.response}


def _trl(row: Out, system: str) -> dict[str, Any]:
    prompt = [*_said("system", system), *_said("user", row.prompt)]
    return {"prompt": prompt, "completion": _said("assistant", row.response)}


def _preference(row: Out, system: str) -> dict[str, Any]:
    prompt = [*_said("system", system), *_said("user", row.prompt)]
    return {
        "prompt": prompt,
        "chosen": _said("assistant", row.response),
        "rejected": _said("assistant", row.rejected),
    }


COLUMNS = ("prompt", "response", "system", "origin", "pair_id")


def cells(row: Out, system: str) -> list[str]:
    """A row of a table under `COLUMNS`."""
    return [row.prompt, row.response, system, row.origin, str(row.pair_id)]


def _csv(parts: Parts, system: str) -> Written:
    made = Written()
    for split, rows in parts.items():
        name, table = f"data/{split.value}.csv", [cells(row, system) for row in rows]
        made.files[name], made.data[name] = exports.to_csv(COLUMNS, table), split.value
        count_escapes(made, table)
    return made


def count_escapes(made: Written, table: Sequence[Sequence[str]]) -> None:
    """Count the cells of a table that got an apostrophe in front."""
    risky = sum(exports.risky(cell) for row in table for cell in row)
    if risky:
        words = "cells with an apostrophe in front, so that no spreadsheet calculates them"
        made.escapes[words] = made.escapes.get(words, 0) + risky


def _parquet(parts: Parts, system: str) -> Written:
    from curation.versions.layouts_arrow import parquet

    return parquet(parts, system)


def _dataset(parts: Parts, system: str) -> Written:
    from curation.versions.layouts_arrow import dataset

    return dataset(parts, system)


def _fits_xlsx(parts: Parts, system: str) -> None:
    from curation.versions.layouts_xlsx import check

    check(parts, system)


def _xlsx(parts: Parts, system: str) -> Written:
    from curation.versions.layouts_xlsx import workbook

    return workbook(parts, system)


_NO_SYSTEM = (
    "It has no place for the system message: that stands in manifest.json, and training without "
    "it teaches another behaviour."
)
_NO_ORIGIN = "Origins and pair numbers stand in index.jsonl only."
LAYOUTS = {
    layout.name: layout
    for layout in (
        Layout(
            "chat",
            "Chat JSONL (OpenAI)",
            "OpenAI, trl, Axolotl and most trainers",
            _NO_ORIGIN,
            _lines(_chat),
        ),
        Layout(
            "trl",
            "trl, conversational",
            "trl: trains on the completion only",
            _NO_ORIGIN,
            _lines(_trl),
        ),
        Layout("sharegpt", "ShareGPT", "LLaMA-Factory, Axolotl", _NO_ORIGIN, _lines(_sharegpt)),
        Layout(
            "alpaca",
            "Alpaca",
            "LLaMA-Factory, older trainers",
            "The system message stands in a fourth key, system, which LLaMA-Factory reads and "
            f"others leave out. {_NO_ORIGIN}",
            _lines(_alpaca),
        ),
        Layout(
            "prompt-completion",
            "Prompt and completion",
            "trl and older provider formats",
            f"{_NO_SYSTEM} {_NO_ORIGIN}",
            _lines(_completion),
        ),
        Layout(
            "preference",
            "Preference pairs (DPO)",
            "trl's DPO trainer",
            "Only rows whose output a person corrected: chosen is the approved output, rejected "
            "the one that arrived. A first output that was never scanned for personal data, or "
            f"that held some, is left out. {_NO_ORIGIN}",
            _lines(_preference),
        ),
        Layout(
            "datasets",
            "Hugging Face datasets folder",
            "datasets.load_from_disk, trl",
            "Its bytes depend on the release of pyarrow.",
            _dataset,
        ),
        Layout(
            "parquet",
            "Parquet",
            "pandas, DuckDB, Spark",
            "Its bytes depend on the release of pyarrow.",
            _parquet,
        ),
        Layout(
            "csv",
            "CSV",
            "spreadsheets",
            "A cell that a spreadsheet could take for a formula gets an apostrophe in front, which "
            "only Assay's import takes away again. A spreadsheet that saves the file may change "
            "line ends and cut cells over 32,767 characters.",
            _csv,
        ),
        Layout(
            "xlsx",
            "Excel workbook",
            "spreadsheets",
            "As CSV; and a row that a workbook cannot hold (carriage returns, control characters, "
            "over 32,767 characters) is refused.",
            _xlsx,
            _fits_xlsx,
        ),
    )
}
"""Every format by its name, as the page lists them."""
