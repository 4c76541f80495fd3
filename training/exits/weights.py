"""The weights themselves: the adapter as it is, or merged into its base (the work of `merging`)."""

from training.exits.exit import Exit, Files, needs_adapter
from training.exits.source import ExportSource


def _no_files(_source: ExportSource) -> Files:
    """The folders are added by `exports`."""
    return {}


PEFT = Exit(
    name="peft",
    title="PEFT folder",
    purpose="The adapter itself, for every program that reads PEFT.",
    write=_no_files,
    checks=(needs_adapter,),
)
MERGED = Exit(
    name="merged",
    title="Merged model",
    purpose="Base and adapter in one, as safetensors with the tokenizer.",
    write=_no_files,
    checks=(needs_adapter,),
)
"""The exit that takes a job."""
