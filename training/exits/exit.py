"""What an exit is, and why one does not fit an adapter."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from training.exits.source import ExportSource
from training.settings import Preference

Files = Mapping[str, bytes]
Check = Callable[[ExportSource], str | None]
"""Why an exit does not fit an adapter; None where it does."""


@dataclass(frozen=True, slots=True)
class Exit:
    """One way out."""

    name: str
    title: str
    purpose: str
    """What it is for, in a sentence."""
    write: Callable[[ExportSource], Files]
    """Its files, by path below the folder of the export."""
    checks: tuple[Check, ...]
    program: str = ""
    """The program that reads it, where people look for it by that name."""
    trains: bool = False
    """Whether it repeats the training, and so needs the pairs."""

    def refuses(self, source: ExportSource) -> str | None:
        """Why it does not fit an adapter; None where it does."""
        return next((reason for check in self.checks if (reason := check(source))), None)


def needs_weights(source: ExportSource) -> str | None:
    """The weights have to be here."""
    if source.kind == "provider":
        return "The model stays with the provider; there are no weights to hand on."
    return None


def needs_adapter(source: ExportSource) -> str | None:
    """The weights have to be those of an adapter."""
    if source.kind == "full":
        return "All weights were trained, so the folder `model` is the whole model already."
    return needs_weights(source)


def needs_repeatable_run(source: ExportSource) -> str | None:
    """Configurations repeat a run, so there has to be one that others can repeat."""
    if source.kind == "provider":
        return "It was trained by a provider, whose settings mean nothing to other trainers."
    if source.settings is None:
        return "It was trained elsewhere, and how is not known."
    if isinstance(source.settings, Preference):
        return (
            "It was taught by preference pairs on top of another adapter; the configurations "
            "repeat training on answers only."
        )
    return None
