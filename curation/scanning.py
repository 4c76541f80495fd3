"""Scan rows for personal data in batches; each row ends with findings or quarantined."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from curation import detect
from curation.pii import Config

if TYPE_CHECKING:
    from curation.analyzer import Scanner

BATCH = 32


def results(
    rows: Sequence[Mapping[str, Any]],
    config: Config,
    ready: Callable[[], None] = lambda: None,
) -> Iterator[list[dict[str, Any]]]:
    """Lines for `curation.scrub.store`, a batch at a time.

    Each row has `pair_id`, `content_sha256` and `texts`: what is scanned, by place. `ready` is
    called once the language model is loaded.
    """
    from curation import analyzer

    scanner = analyzer.Scanner(config)
    ready()
    for start in range(0, len(rows), BATCH):
        yield list(_scanned(scanner, config.sha256, rows[start : start + BATCH]))


def _scanned(
    scanner: "Scanner", config_sha256: str, rows: Sequence[Mapping[str, Any]]
) -> Iterator[dict[str, Any]]:
    found: list[dict[str, list[detect.Span] | detect.Quarantine]] = [{} for _ in rows]
    for output in (False, True):
        places = [
            (number, place)
            for number, row in enumerate(rows)
            for place in row["texts"]
            if (place == "response") is output
        ]
        texts = [rows[number]["texts"][place] for number, place in places]
        for (number, place), spans in zip(
            places, scanner.scan(texts, output=output) if texts else (), strict=True
        ):
            found[number][place] = spans
    for row, spans_by_place in zip(rows, found, strict=True):
        yield {
            "pair_id": row["pair_id"],
            "content_sha256": row["content_sha256"],
            "config_sha256": config_sha256,
            **_found(spans_by_place),
        }


def _found(by_place: Mapping[str, list[detect.Span] | detect.Quarantine]) -> dict[str, Any]:
    findings = []
    for place, spans in by_place.items():
        if isinstance(spans, detect.Quarantine):
            return {"quarantined": spans.reason}
        field, _, key = place.partition(":")
        findings += [
            {
                "field": field, "key": key or None, "start": s.start, "end": s.end,
                "type": s.type, "score": s.score,
            }
            for s in spans
        ]  # fmt: skip
    return {"findings": findings}
