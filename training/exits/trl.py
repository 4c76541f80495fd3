"""trl: a script that trains with the same settings on the same tokens, and needs nothing of Assay.

The scripts are files as they are; what is particular to a run stands in `settings.json` beside
them, so that no name can become code.
"""

from pathlib import Path

from training.exits import writing
from training.exits.exit import Exit, needs_repeatable_run
from training.exits.source import ExportSource

_HANDED = Path(__file__).with_name("handed")
TOKENS = (_HANDED / "assay_tokens.py").read_bytes()
"""The module that puts a chat into tokens as Assay does."""


def write(source: ExportSource) -> dict[str, bytes]:
    """The script, the tokens and the settings."""
    settings = {
        "base": source.base_reference,
        "revision": source.base.revision,
        "kind": source.kind,
        **source.run.to_dict(),
    }
    return {
        "trl/train.py": (_HANDED / "train.py").read_bytes(),
        "trl/assay_tokens.py": TOKENS,
        "trl/settings.json": writing.to_json(settings),
    }


EXIT = Exit(
    name="trl",
    title="trl script",
    purpose="Repeats the training with trl alone, in one Python file.",
    write=write,
    checks=(needs_repeatable_run,),
    program="trl",
    trains=True,
)
