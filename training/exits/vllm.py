"""vLLM: the commands that serve an adapter on its base, or the merged model, on this computer."""

import shlex

from training.exits.exit import Exit, needs_weights
from training.exits.source import ExportSource

_RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)
"""The values that `vllm serve --max-lora-rank` takes."""
_HEAD = "#!/bin/sh\n# {}\n# Run from the folder of the export; answers on this computer only.\n"


def with_adapter(source: ExportSource, base: str, folder: str, port: int = 8000) -> list[str]:
    """The arguments that serve base and adapter; the adapter answers under its own name."""
    rank = source.rank or _RANKS[-1]
    return [
        *_serve(base, port),
        "--chat-template",
        f"{folder}/chat_template.jinja",
        "--served-model-name",
        "base",
        "--enable-lora",
        "--max-lora-rank",
        str(next((r for r in _RANKS if r >= rank), _RANKS[-1])),
        "--lora-modules",
        f"{source.served}={folder}",
    ]


def full_model(source: ExportSource, folder: str, port: int = 8000) -> list[str]:
    """The arguments that serve a whole model."""
    return [*_serve(folder, port), "--served-model-name", source.served]


def _serve(model: str, port: int) -> list[str]:
    # The generation settings of the request, not of the model's folder: what was measured was
    # greedy, and a client says so with temperature 0.
    return [
        "vllm",
        "serve",
        model,
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "--generation-config",
        "vllm",
    ]


def write(source: ExportSource) -> dict[str, bytes]:
    """One script for each way to serve it."""
    if source.kind == "full":
        return {"vllm/serve.sh": _script("The whole model.", full_model(source, "./model"))}
    files = {"vllm/serve-merged.sh": _script("The merged model.", full_model(source, "./merged"))}
    if not source.dora:  # vLLM has no DoRA; merged, it is as any other
        base = source.base_reference if source.base.kind == "hub" else "./base"
        revision = ["--revision", source.base.revision] if source.base.revision else []
        command = with_adapter(source, base, "./adapter") + revision
        files["vllm/serve-adapter.sh"] = _script("Base and adapter.", command)
    return files


def _script(purpose: str, command: list[str]) -> bytes:
    return f"{_HEAD.format(purpose)}exec {shlex.join(command)}\n".encode()


EXIT = Exit(
    name="vllm",
    title="vLLM command",
    purpose="Serves it on a GPU, to many at once.",
    write=write,
    checks=(needs_weights,),
    program="vLLM",
)
