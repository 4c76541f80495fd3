"""The exits by name: what each is for, whether it fits an adapter, the files it writes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from training.exits import axolotl, llamafactory, ollama, torchtune, trl, vllm
from training.exits.recipe import Recipe
from training.settings import Method

Files = Mapping[str, bytes]


@dataclass(frozen=True, slots=True)
class Exit:
    """One way out."""

    name: str
    title: str
    words: str
    """What it is for, in a sentence."""
    write: Callable[[Recipe], Files]
    """Its files, by path below the folder of the export."""
    refuses: Callable[[Recipe], str | None]
    """Why it does not fit an adapter; None where it does."""


def _weights(recipe: Recipe) -> str | None:
    if recipe.kind == "provider":
        return "The model stays with the provider; there are no weights to hand on."
    return None


def _folder(recipe: Recipe) -> str | None:
    if recipe.kind == "full":
        return "All weights were trained, so the folder `model` is the whole model already."
    return _weights(recipe)


def _training(recipe: Recipe) -> str | None:
    """Configurations repeat a run, so there has to be one that others can repeat."""
    if recipe.kind == "provider":
        return "It was trained by a provider, whose settings mean nothing to other trainers."
    if recipe.imported:
        return "It was trained elsewhere, and how is not known."
    if recipe.method == Method.PREFERENCE:
        return (
            "It was taught by preference pairs on top of another adapter; the configurations "
            "repeat training on answers only."
        )
    return None


def _nothing(_recipe: Recipe) -> Files:
    """The weights themselves are added by `exports`."""
    return {}


def _both(
    *checks: Callable[[Recipe], str | None],
) -> Callable[[Recipe], str | None]:
    def refuses(recipe: Recipe) -> str | None:
        return next((why for check in checks if (why := check(recipe))), None)

    return refuses


MERGED = "merged"
"""The exit that takes a job."""
EXITS = {
    one.name: one
    for one in (
        Exit(
            "peft",
            "PEFT folder",
            "The adapter itself, for every program that reads PEFT.",
            _nothing,
            _folder,
        ),
        Exit(
            MERGED,
            "Merged model",
            "Base and adapter in one, as safetensors with the tokenizer.",
            _nothing,
            _folder,
        ),
        Exit("vllm", "vLLM command", "Serves it on a GPU, to many at once.", vllm.write, _weights),
        Exit(
            "ollama",
            "Ollama Modelfile",
            "Runs it on a laptop with Ollama.",
            ollama.write,
            _both(_weights, ollama.refuses),
        ),
        Exit(
            "axolotl",
            "Axolotl configuration",
            "Repeats the training in Axolotl.",
            axolotl.write,
            _training,
        ),
        Exit(
            "llamafactory",
            "LLaMA-Factory configuration",
            "Repeats the training in LLaMA-Factory.",
            llamafactory.write,
            _training,
        ),
        Exit(
            "torchtune",
            "torchtune configuration (legacy)",
            "Repeats the training in torchtune, which is no longer developed.",
            torchtune.write,
            _both(_training, torchtune.refuses),
        ),
        Exit(
            "trl",
            "trl script",
            "Repeats the training with trl alone, in one Python file.",
            trl.write,
            _training,
        ),
    )
}
"""Every exit, in the order in which they are listed."""
TRAINING = ("axolotl", "llamafactory", "torchtune", "trl")
"""The exits that read the rows."""


@dataclass(frozen=True, slots=True)
class Offered:
    """An exit as it stands for one adapter."""

    exit: Exit
    why_not: str | None


def offered(recipe: Recipe) -> list[Offered]:
    """Every exit, with the reason where one does not fit."""
    return [Offered(one, one.refuses(recipe)) for one in EXITS.values()]
