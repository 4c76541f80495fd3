"""What names a scan beside its settings: the rules of this version, the models, the libraries.

A change of any of them makes stored scans stale.
"""

from curation.personal import language, name_models

RULES = 3
"""Goes up when a pattern or a rule of this scan changes what is found."""


def identity(second_model: str = "") -> list[object]:
    """Rules, models and libraries: together with the settings they name a scan."""
    return [RULES, *language.versions(language.model()), *name_models.identity(second_model)]
