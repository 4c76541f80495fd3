"""Ollama: a Modelfile with the template in its language and the system message of the pairs."""

from training.exits import chat_forms
from training.exits.exit import Exit, needs_weights
from training.exits.source import ExportSource
from training.families import FAMILIES

_QUOTES = '"""'


def _unwritable(source: ExportSource) -> str | None:
    """Why there can be no Modelfile."""
    if chat_forms.of(source.template) is None:
        return (
            "Assay does not know this base model's chat template in Ollama's language, and a "
            "guessed one would make the adapter look broken."
        )
    if _QUOTES in source.system or source.system[:1] == '"' or source.system[-1:] == '"':
        return (
            "The system message holds quotation marks where a Modelfile cannot write them (three "
            "together, or one at its beginning or end)."
        )
    return None


def write(source: ExportSource) -> dict[str, bytes]:
    """A Modelfile on the merged model; where Ollama reads adapters, one on base and adapter too."""
    if source.kind == "full":
        return {"ollama/Modelfile": _modelfile(source, "FROM ../model")}
    files = {"ollama/Modelfile": _modelfile(source, "FROM ../merged")}
    family = FAMILIES.get(str(source.config.get("model_type")))
    if family and family.ollama_adapter and not source.dora:
        lines = "FROM ../base\nADAPTER ../adapter"
        files["ollama/Modelfile.adapter"] = _modelfile(source, lines)
    return files


def _modelfile(source: ExportSource, start: str) -> bytes:
    form = chat_forms.of(source.template)
    stops = form.stops if form else ()
    lines = [
        "# ollama create NAME -f Modelfile, in this folder. Greedy, as it was measured.",
        start,
        f"TEMPLATE {_QUOTES}{form.go if form else ''}{_QUOTES}",
        f"SYSTEM {_QUOTES}{source.system}{_QUOTES}",
        *(f'PARAMETER stop "{stop}"' for stop in stops),
        "PARAMETER temperature 0",
    ]
    return ("\n".join(lines) + "\n").encode()


EXIT = Exit(
    name="ollama",
    title="Ollama Modelfile",
    purpose="Runs it on a laptop with Ollama.",
    write=write,
    checks=(needs_weights, _unwritable),
    program="Ollama",
)
