"""Scan rows for personal data in batches; each row ends with findings or quarantined."""

import multiprocessing
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import TYPE_CHECKING, Any

from curation import detect

if TYPE_CHECKING:
    from curation.analyzer import Config, Scanner

BATCH = 32
PART = 256
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


def many(
    texts: Sequence[str], config: "Config", processes: int = 1
) -> Iterator[list[detect.Span] | detect.Quarantine]:
    """Findings of each text in order, found by one process or several; see `Scanner.scan`."""
    from curation import analyzer

    parts = [texts[start : start + PART] for start in range(0, len(texts), PART)]
    if processes < 2:
        scanner = analyzer.Scanner(config)
        for part in parts:
            yield from scanner.scan(part)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, context, _take, (config,)) as pool:
        for found in pool.map(_scan, parts):
            yield from found


def _take(config: "Config") -> None:
    """Load the model in a process of its own, once."""
    from curation import analyzer

    global _scanner
    _scanner = analyzer.Scanner(config)


def _scan(texts: Sequence[str]) -> list[list[detect.Span] | detect.Quarantine]:
    return _scanner.scan(texts)
