"""trl: a script that trains with the same settings on the same tokens, and needs nothing of Assay.

The scripts are files as they are; what is particular to a run stands in `settings.json` beside
them, so that no name can become code.
"""

from pathlib import Path

from training.exits import writing
from training.exits.recipe import Recipe

_HANDED = Path(__file__).with_name("handed")
TOKENS = (_HANDED / "assay_tokens.py").read_bytes()
"""The module that puts a chat into tokens as Assay does."""


def write(recipe: Recipe) -> dict[str, bytes]:
    """The script, the tokens and the settings."""
    settings = {
        "base": recipe.base_word,
        "revision": recipe.base.revision,
        "kind": recipe.kind,
        **recipe.settings,
        "method": recipe.method,
    }
    return {
        "trl/train.py": (_HANDED / "train.py").read_bytes(),
        "trl/assay_tokens.py": TOKENS,
        "trl/settings.json": writing.to_json(settings),
    }
