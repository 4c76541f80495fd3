"""Recall of leaks planted between training and test rows, by how they were edited (T30c).

`python -m benchmarks.leakage FILE.jsonl [--field text] [--each 500]` plants so many leaks of each
kind: the same text, another case, 5 % of the characters edited, 5 % of the words edited (at least
one). It prints the recall of each kind with its n and 95 % interval, of shared word runs alone next
to it, and how many rows are called leaks that nobody planted. Rows that repeat each other as they
are in the file are taken out first.
"""

import random
import time
from pathlib import Path
from typing import Annotated

import typer

from curation import statistics
from curation.exchange.reading import file_rows
from curation.overlap import duplicates, leakage
from curation.overlap.leakage import SourcedInput
from tests.support import leaks


def main(
    file: Path,
    field: Annotated[str, typer.Option(help="Field with the text.")] = "",
    each: Annotated[int, typer.Option(help="Leaks planted of each kind.")] = 500,
    seed: int = 7,
) -> None:
    """Plant, look, and print."""
    texts = [file_rows.prompt(row, field, need=True) for row in file_rows.read(file)]
    near = {
        at
        for members in leakage.families([SourcedInput(at, text) for at, text in enumerate(texts)])
        for at in members[1:]
    }
    alone = [text for at, text in enumerate(texts) if at not in near]
    random.Random(seed).shuffle(alone)
    cut = max(each, len(alone) // 5)
    planted = leaks.planted(alone[cut:], alone[:cut], each, seed)
    sides = [
        [SourcedInput(at, row["prompt"]) for at, row in enumerate(rows)]
        for rows in (planted.train, planted.test)
    ]
    begun = time.perf_counter()
    found = {
        (planted.train[one.train_id]["id"], planted.test[one.test_id]["id"])
        for one in leakage.leaks(sides[0], sides[1])
    }
    took = time.perf_counter() - begun
    prompts = {row["id"]: row["prompt"] for row in planted.train + planted.test}
    print(f"{file.name}: {len(texts):,} rows, {len(near):,} that repeat others left out;")
    print(f"{len(sides[0]):,} training and {len(sides[1]):,} test rows compared in {took:.1f} s")
    print(f"{'edit':12} {'found':>12} {'95 % interval':>18} {'word runs alone':>18}")
    for kind, pairs in planted.leaks.items():
        hits = sum(pair in found for pair in pairs)
        runs = sum(duplicates.similarity(prompts[a], prompts[b]) >= 0.8 for a, b in pairs)
        low, high = statistics.clopper_pearson(hits, len(pairs))
        print(f"{kind:12} {hits:>5} of {len(pairs)} {low:>8.1%} to {high:.1%} {runs:>10}")
    others = {a for a, b in found if a.startswith("r")}
    print(f"rows called leaks that were not planted: {len(others)} of {len(alone[cut:]):,}")


if __name__ == "__main__":
    typer.run(main)
