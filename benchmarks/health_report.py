"""How long the health of a set takes to measure: the first look, and every look after it.

`python -m benchmarks.health_report [ROWS]` measures so many rows (10,000, of some 570 characters a
side) in memory, without a database: first texts never seen, then the same with the marks of their
texts at hand, in interleaved rounds. Prints medians in seconds, n, and rows a second.
"""

import json
import random
import statistics
import sys
import time

from curation.health import report, texts
from curation.health.marks import marks_of
from curation.health.measured import MeasuredPair, Set, Task, row_of
from tests.support import stories

ROUNDS = 3
_WORDS = (
    *("the", "card", "account", "transfer", "my", "is", "not", "and", "with", "from", "your"),
    *("payment", "bank", "when", "order", "because", "statement", "please", "help", "fee"),
    *("Monday", "branch", "lost", "pending", "refund", "was", "charged", "twice", "why"),
)


def rows(count: int, seed: int) -> list[MeasuredPair]:
    """Rows of random words: each is like no other."""
    draw = random.Random(seed)
    made = []
    for number in range(count):
        prompt = " ".join(draw.choices(_WORDS, k=100))
        said = {"team": draw.choice(stories.TEAMS), "why": " ".join(draw.choices(_WORDS, k=95))}
        made.append(row_of({"id": number, "prompt": prompt, "response": json.dumps(said)}))
    return made


def main() -> None:
    """Measure and print."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    properties = {**stories.SCHEMA["properties"], "why": {"type": "string"}}
    task = Task({**stories.SCHEMA, "properties": properties}, "team")
    started = time.perf_counter()
    texts.language("a" * 60)
    texts.encoding("\u00e9")
    print(f"loading the language model, once a process: {time.perf_counter() - started:.2f} s")
    first: list[float] = []
    again: list[float] = []
    for seed in range(ROUNDS):
        given = rows(count, seed)
        started = time.perf_counter()
        marks = [marks_of(row.prompt, row.response, task) for row in given]
        looked_at = Set([row.tags for row in given], task, (), marks)
        report.of_marks(looked_at)
        first.append(time.perf_counter() - started)
        started = time.perf_counter()
        report.of_marks(looked_at)
        again.append(time.perf_counter() - started)
    for name, times in (("first look", first), ("again", again)):
        middle = statistics.median(times)
        print(f"{name}: median {middle:.2f} s of {ROUNDS}, {count / middle:,.0f} rows a second")
    print(f"ratio {statistics.median(first) / statistics.median(again):.1f}")


if __name__ == "__main__":
    main()
