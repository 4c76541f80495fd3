"""Ollama: a Modelfile with the template in its language and the system message of the rows."""

from training.exits import chat_forms
from training.exits.recipe import Recipe
from training.families import FAMILIES

_QUOTES = '"""'


def refuses(recipe: Recipe) -> str | None:
    """Why there can be no Modelfile."""
    if chat_forms.known(recipe.template) is None:
        return (
            "Assay does not know this base model's chat template in Ollama's language, and a "
            "guessed one would make the adapter look broken."
        )
    if _QUOTES in recipe.system or recipe.system[:1] == '"' or recipe.system[-1:] == '"':
        return (
            "The system message holds quotation marks where a Modelfile cannot write them (three "
            "together, or one at its beginning or end)."
        )
    return None


def write(recipe: Recipe) -> dict[str, bytes]:
    """A Modelfile on the merged model; where Ollama reads adapters, one on base and adapter too."""
    if recipe.kind == "full":
        return {"ollama/Modelfile": _modelfile(recipe, "FROM ../model")}
    found = {"ollama/Modelfile": _modelfile(recipe, "FROM ../merged")}
    family = FAMILIES.get(str(recipe.config.get("model_type")))
    if family and family.ollama_adapter and not recipe.settings.get("dora"):
        lines = "FROM ../base\nADAPTER ../adapter"
        found["ollama/Modelfile.adapter"] = _modelfile(recipe, lines)
    return found


def _modelfile(recipe: Recipe, source: str) -> bytes:
    form = chat_forms.known(recipe.template)
    stops = form.stops if form else ()
    lines = [
        "# ollama create NAME -f Modelfile, in this folder. Greedy, as it was measured.",
        source,
        f"TEMPLATE {_QUOTES}{form.go if form else ''}{_QUOTES}",
        f"SYSTEM {_QUOTES}{recipe.system}{_QUOTES}",
        *(f'PARAMETER stop "{stop}"' for stop in stops),
        "PARAMETER temperature 0",
    ]
    return ("\n".join(lines) + "\n").encode()
