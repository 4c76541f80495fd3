"""Look for personal data in models' answers, as a project's settings have it.

Words that the model copied from the message count too. What the scan misses is listed by
`curation.personal.detect.limits`.
"""

from msgspec import structs

from curation.personal import analyzer, detect
from curation.personal.pii import Config
from storage.errors import AssayError
from training.work.evidence import Evidence
from training.work.rows import Figures, OutputLine


def check(
    lines: list[OutputLine], config: Config | None, hold: Evidence
) -> tuple[list[OutputLine], Figures]:
    """The lines of `outputs.jsonl`, each with `personal`: the types found in its answer.

    None stands for an answer that could not be read whole. Where the scan itself cannot run, the
    lines stay as they are and the figures say why; the answers are worth keeping all the same.
    """
    if config is None:
        return lines, {}
    hold.say("Looking for personal data in the answers.")
    try:
        scanned = analyzer.Scanner(config).scan([line.text for line in lines], output=True)
    except AssayError as missing:
        return lines, {"personal_unread": str(missing)}
    checked = [
        structs.replace(line, personal=_types(spans))
        for line, spans in zip(lines, scanned, strict=True)
    ]
    return checked, {"scan_sha256": config.sha256}


def _types(spans: list[detect.Span] | detect.Quarantine) -> list[str] | None:
    if isinstance(spans, detect.Quarantine):
        return None
    return sorted({span.type for span in spans})
