"""Scan rows for personal data in batches; each row ends with findings or quarantined."""

import multiprocessing
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from itertools import chain
from typing import TYPE_CHECKING, Any

from curation import detect

if TYPE_CHECKING:
    from curation.analyzer import Config, Scanner

BATCH = 32
PART = 64
"""Texts that a process takes at once."""

_scanner: "Scanner"


def results(
    rows: Sequence[Mapping[str, Any]],
    allow: Sequence[str] = (),
    ready: Callable[[], None] = lambda: None,
) -> Iterator[list[dict[str, Any]]]:
    """Lines for `curation.scrub.store`, a batch at a time.

    Each row has `pair_id`, `content_sha256`, `prompt` and `response`; words in `allow` (the
    schema's vocabulary) are not personal data. `ready` is called once the language model is loaded.
    """
    from curation import analyzer

    config = analyzer.Config(allow=tuple(allow))
    scanner = analyzer.Scanner(config)
    ready()
    for start in range(0, len(rows), BATCH):
        yield list(_scanned(scanner, config.sha256, rows[start : start + BATCH]))


def _scanned(
    scanner: "Scanner", config_sha256: str, rows: Sequence[Mapping[str, Any]]
) -> Iterator[dict[str, Any]]:
    prompts = scanner.scan([row["prompt"] for row in rows])
    responses = scanner.scan([row["response"] for row in rows], output=True)
    for row, prompt, response in zip(rows, prompts, responses, strict=True):
        yield {
            "pair_id": row["pair_id"],
            "content_sha256": row["content_sha256"],
            "config_sha256": config_sha256,
            **_found({"prompt": prompt, "response": response}),
        }


def _found(fields: Mapping[str, list[detect.Span] | detect.Quarantine]) -> dict[str, Any]:
    findings = []
    for field, spans in fields.items():
        if isinstance(spans, detect.Quarantine):
            return {"quarantined": spans.reason}
        findings += [
            {"field": field, "start": s.start, "end": s.end, "type": s.type, "score": s.score}
            for s in spans
        ]
    return {"findings": findings}


@contextmanager
def scanners(
    config: "Config", processes: int = 1
) -> Iterator[Callable[[Sequence[str]], Iterator[list[detect.Span] | detect.Quarantine]]]:
    """A function that gives what is found in each text, in order: one process or several.

    See `curation.analyzer.Scanner.scan`. The processes load the model with the first texts.
    """
    if processes == 1:
        from curation import analyzer

        scanner = analyzer.Scanner(config)
        yield lambda texts: chain.from_iterable(map(scanner.scan, _parts(texts)))
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, context, _take, (config,)) as pool:
        yield lambda texts: chain.from_iterable(pool.map(_scan, _parts(texts)))


def _parts(texts: Sequence[str]) -> Iterator[Sequence[str]]:
    return (texts[start : start + PART] for start in range(0, len(texts), PART))


def _take(config: "Config") -> None:
    """Load the model in a process of its own, once."""
    from curation import analyzer

    global _scanner
    _scanner = analyzer.Scanner(config)


def _scan(texts: Sequence[str]) -> list[list[detect.Span] | detect.Quarantine]:
    return _scanner.scan(texts)
