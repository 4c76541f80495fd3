"""Near-duplicates in 100,000 rows: Assay against rensa and datasketch, from file to pairs.

`python -m benchmarks.duplicates` needs the extra `benchmarks` and about ten minutes. Every
contender is a process of its own that reads the same file with one thread; rounds alternate, and
times and peak memory are of the whole process. datasketch is run once, on two thousand rows, and
scaled up, which flatters it. `--million` adds ten times the rows, for Assay alone.

The rows are made up: 570 characters of 20,000 invented words at the frequencies of a language, a
tenth of them copies of earlier rows with one to six words changed, an eighth from templates of
which six words change.
"""

import argparse
import json
import os
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, combinations
from pathlib import Path

import numpy as np

THRESHOLD = 0.8
SAMPLE, BY_HAND, COLD = 2_000, 3_000, 1_000
Found = set[tuple[int, int]]


def rows(count: int, seed: int = 7) -> Iterator[str]:
    """The texts described above."""
    dice = random.Random(seed)
    words = [
        "".join(dice.choices("etaoinshrdlucmfwypvbgk", k=max(2, min(12, int(dice.gauss(5, 2.2))))))
        for _ in range(20_000)
    ]
    often = list(accumulate(1 / (rank + 10) for rank in range(len(words))))
    templates = [dice.choices(words, cum_weights=often, k=92) for _ in range(max(1, count // 800))]
    made: list[list[str]] = []
    for number in range(count):
        kind = dice.random()
        if kind < 0.1 and number:
            row = list(dice.choice(made))
            for _ in range(dice.randint(1, 6)):
                row[dice.randrange(len(row))] = dice.choice(words)
        elif kind < 0.225:
            row = list(dice.choice(templates))
            for _ in range(6):
                row[dice.randrange(len(row))] = dice.choice(words)
        else:
            row = dice.choices(words, cum_weights=often, k=dice.randint(80, 105))
        made.append(row)
        yield " ".join(row)


def write(path: Path, count: int) -> Path:
    """The rows as a file, a third of each as the response."""
    with path.open("w", encoding="utf-8") as file:
        for number, text in enumerate(rows(count)):
            cut = len(text) * 2 // 3
            row = {"id": number, "prompt": text[:cut], "response": text[cut:]}
            file.write(json.dumps(row) + "\n")
    return path


# --- the contenders, each in a process of its own


def _sets(path: Path) -> list[list[str]]:
    """What every library asks for first: the shingles of each row as strings."""
    made = []
    for line in path.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        words = re.findall(r"\w+", f"{row['prompt']}\n{row['response']}".lower())
        made.append([" ".join(words[at : at + 3]) for at in range(len(words) - 2)])
    return made


def with_rensa(path: Path) -> Found:
    """rensa's LSH, 16 bands of 8, and its estimate of the similarity."""
    from rensa import RMinHash, RMinHashLSH

    sketches = RMinHash.from_token_sets(_sets(path), num_perm=128, seed=42)
    index = RMinHashLSH(threshold=THRESHOLD, num_perm=128, num_bands=16)
    index.insert_many(sketches)
    return {
        (a, b)
        for a, others in enumerate(index.query_all(sketches))
        for b in others
        if a < b and sketches[a].jaccard(sketches[b]) >= THRESHOLD
    }


def with_datasketch(path: Path) -> Found:
    """datasketch as its README shows: one update per shingle, the default bands."""
    from datasketch import MinHash, MinHashLSH

    index = MinHashLSH(threshold=THRESHOLD, num_perm=128)
    found = set()
    for number, shingles in enumerate(_sets(path)):
        sketch = MinHash(num_perm=128)
        for shingle in set(shingles):
            sketch.update(shingle.encode())
        found |= {(other, number) for other in index.query(sketch)}
        index.insert(number, sketch)
    return found


def live(path: Path) -> None:
    """Put rows one by one into an index of all of them, each asked for its nearest row first."""
    from curation.overlap.near.live_index import LiveIndex

    texts = [" ".join(json.loads(line).values()) for line in _without_ids(path)]
    before = _resident()
    begun = time.perf_counter()
    index = LiveIndex()
    index.put(enumerate(texts, 1))
    built, size = time.perf_counter() - begun, _resident() - before
    dice, times = random.Random(1), []
    for number in range(2_000):
        words = dice.choice(texts).split()
        words[dice.randrange(len(words))] = "edited"
        text = " ".join(words)
        begun = time.perf_counter()
        index.alike(text, 0.6)
        index.put([(len(texts) + number, text)])
        times.append(1000 * (time.perf_counter() - begun))
    p50, p95, p99 = np.percentile(times, [50, 95, 99])
    print(
        f"add one row to {len(texts):,}: p50 {p50:.1f}, p95 {p95:.1f}, p99 {p99:.1f} ms "
        f"(n {len(times):,}); index {size:.0f} MB; built anew in {built:.1f} s"
    )


def _without_ids(path: Path) -> Iterator[str]:
    for line in path.read_text(encoding="utf-8").splitlines():
        yield re.sub(r'"id": \d+, ', "", line)


def _resident() -> float:
    """Megabytes of memory that this process holds now (Linux)."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


# --- measuring


@dataclass(frozen=True, slots=True)
class Run:
    """One process from start to end."""

    seconds: float
    cpu: float
    """Seconds of processor time, which a busy machine changes less."""
    peak_mb: float
    found: Found


def run(name: str, source: Path) -> Run:
    """Let one contender find the pairs of a file."""
    out = source.with_suffix(f".{name}")
    ours = ["curation", "duplicates", str(source), "--out", str(out)]
    theirs = ["benchmarks.duplicates", "--only", name, str(source), str(out)]
    begun = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", *(ours if name == "assay" else theirs)],
        stderr=subprocess.DEVNULL,
        env={**os.environ, **_ONE_THREAD},
    )
    _, status, used = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - begun
    if status:
        raise SystemExit(f"{name} failed. Install the extra: pip install -e .[benchmarks]")
    found = {(pair["a"], pair["b"]) for pair in map(json.loads, out.open(encoding="utf-8"))}
    return Run(seconds, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024, found)


_ONE_THREAD = {"RAYON_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


def by_hand(source: Path) -> Found:
    """Every row with every other, in plain Python."""
    sets = [set(shingles) for shingles in _sets(source)]
    return {
        (a, b)
        for (a, one), (b, other) in combinations(enumerate(sets), 2)
        if len(shared := one & other) / (len(one) + len(other) - len(shared)) >= THRESHOLD
    }


def _head(source: Path, count: int) -> Path:
    """The first rows in a file of their own."""
    path = source.with_name(f"{count}.jsonl")
    with source.open(encoding="utf-8") as file:
        path.write_text("".join(line for line, _ in zip(file, range(count), strict=False)))
    return path


def _compare(source: Path, count: int, rounds: int) -> None:
    runs: dict[str, list[Run]] = {"assay": [], "rensa": []}
    for _ in range(rounds):
        for name, done in runs.items():
            done.append(run(name, source))
    truth = runs["assay"][0].found
    for name, done in runs.items():
        _report(name, done)
        _quality(done[0].found, truth)
    sample = run("datasketch", _head(source, SAMPLE))
    scale = count / SAMPLE
    ours = _times(runs["assay"])
    both = list(zip(runs["rensa"], runs["assay"], strict=True))
    wall = statistics.median(theirs.seconds / mine.seconds for theirs, mine in both)
    cpu = statistics.median(theirs.cpu / mine.cpu for theirs, mine in both)
    print(
        f"rensa / assay: {wall:.1f}x, processor time {cpu:.1f}x "
        f"(medians of {rounds} rounds, {count:,} rows)\n"
        f"datasketch / assay: {scale * sample.seconds / ours[0]:.0f}x, processor time "
        f"{scale * sample.cpu / ours[1]:.0f}x (one run of {SAMPLE:,} rows, scaled)"
    )
    everything = run("assay", _head(source, SAMPLE)).found
    _quality(sample.found, everything)


def _times(runs: Sequence[Run]) -> tuple[float, float]:
    """Medians of wall and of processor time."""
    return statistics.median(r.seconds for r in runs), statistics.median(r.cpu for r in runs)


def _report(name: str, runs: Sequence[Run]) -> None:
    seconds, cpu = _times(runs)
    peak = max(run.peak_mb for run in runs)
    spread = ", ".join(f"{run.seconds:.2f}" for run in runs)
    print(f"{name:8} median {seconds:.2f} s of {spread}; processor {cpu:.2f} s; peak {peak:.0f} MB")


def _quality(found: Found, truth: Found) -> None:
    right = len(found & truth)
    print(
        f"         recall {right / max(1, len(truth)):.4f} of {len(truth):,} pairs, "
        f"precision {right / max(1, len(found)):.4f} of {len(found):,}"
    )


def main() -> None:
    """Measure and print."""
    ask = argparse.ArgumentParser(description=__doc__)
    ask.add_argument("--rows", type=int, default=100_000)
    ask.add_argument("--rounds", type=int, default=3)
    ask.add_argument("--million", action="store_true", help="Also ten times the rows.")
    ask.add_argument("--only", nargs=3, metavar=("NAME", "IN", "OUT"), help=argparse.SUPPRESS)
    asked = ask.parse_args()
    if asked.only:
        _child(*asked.only)
        return
    with tempfile.TemporaryDirectory() as folder:
        source = write(Path(folder) / "rows.jsonl", asked.rows)
        _compare(source, asked.rows, asked.rounds)
        few = _head(source, BY_HAND)
        same = run("assay", few).found == by_hand(few)
        print(f"{BY_HAND:,} rows compared by hand: {'the same pairs' if same else 'DIFFERENT'}")
        cold = [run("assay", _head(source, COLD)) for _ in range(9)]
        wall, cpu = _times(cold)
        print(f"{COLD:,} rows cold: median {wall:.2f} s, processor {cpu:.2f} s, n {len(cold)}")
        subprocess.run(
            [sys.executable, "-m", "benchmarks.duplicates", "--only", "live", str(source), "-"],
            check=True,
        )
        if asked.million:
            _ten_times(source, asked.rows)


def _ten_times(source: Path, count: int) -> None:
    small, large = run("assay", source), run("assay", write(source, 10 * count))
    print(
        f"{10 * count:,} rows: {large.seconds:.1f} s, {large.seconds / small.seconds:.1f}x of "
        f"{count:,}; peak {large.peak_mb / (10 * count) * 100_000:.0f} MB per 100,000"
    )


def _child(name: str, source: str, out: str) -> None:
    if name == "live":
        live(Path(source))
        return
    found = {"rensa": with_rensa, "datasketch": with_datasketch}[name](Path(source))
    lines = (json.dumps({"a": a, "b": b}) + "\n" for a, b in found)
    Path(out).write_text("".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
