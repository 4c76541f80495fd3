"""vLLM: the commands that serve an adapter on its base, or the merged model, on this computer."""

import shlex

from training.exits.recipe import Recipe

_RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)
"""The values that `vllm serve --max-lora-rank` takes."""
_HEAD = "#!/bin/sh\n# {}\n# Run from the folder of the export; answers on this computer only.\n"


def with_adapter(recipe: Recipe, base: str, folder: str, port: int = 8000) -> list[str]:
    """The arguments that serve base and adapter; the adapter answers under its own name."""
    rank = int(recipe.settings.get("r", _RANKS[-1]))
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
        f"{recipe.served}={folder}",
    ]


def whole(recipe: Recipe, folder: str, port: int = 8000) -> list[str]:
    """The arguments that serve a whole model."""
    return [*_serve(folder, port), "--served-model-name", recipe.served]


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


def write(recipe: Recipe) -> dict[str, bytes]:
    """One script for each way to serve it."""
    if recipe.kind == "full":
        return {"vllm/serve.sh": _script("The whole model.", whole(recipe, "./model"))}
    found = {"vllm/serve-merged.sh": _script("The merged model.", whole(recipe, "./merged"))}
    if not recipe.settings.get("dora"):  # vLLM has no DoRA; merged, it is as any other
        base = recipe.base_word if recipe.base.kind == "hub" else "./base"
        revision = ["--revision", recipe.base.revision] if recipe.base.revision else []
        command = with_adapter(recipe, base, "./adapter") + revision
        found["vllm/serve-adapter.sh"] = _script("Base and adapter.", command)
    return found


def _script(words: str, command: list[str]) -> bytes:
    return f"{_HEAD.format(words)}exec {shlex.join(command)}\n".encode()
