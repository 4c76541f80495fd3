"""Look through a model folder before it is loaded: no code, no pickles, a chat template.

Vetting does not show that a model is any good, or that its weights are what its name says.
"""

from pathlib import Path

from curation.model_files import (
    file_hashes,
    folder_sha256,
    json_of,
    names_sha256,
    refuse_code,
    refuse_weights,
)
from storage.errors import BadInput

__all__ = ["file_hashes", "folder_sha256", "names_sha256", "vet"]

_MODEL_TYPES = frozenset(
    {
        *("gemma", "gemma2", "gemma3_text", "granite", "llama", "mistral", "olmo2", "phi3"),
        *("qwen2", "qwen3", "smollm3"),
    }
)
_TEMPLATE_CHARACTERS = 64_000


def vet(folder: Path) -> None:
    """Refuse a model folder that could run code, or that cannot be asked in its own chat form.

    Raises:
        BadInput: says what is wrong with it.
    """
    name = folder.name
    refuse_code(folder)
    config = json_of(folder, "config.json")
    if config is None:
        raise BadInput(f"The folder {name} has no readable config.json, so it is no model folder.")
    if config.get("model_type") not in _MODEL_TYPES:
        known = ", ".join(sorted(_MODEL_TYPES))
        raise BadInput(f"The model type of {name} is not one that Assay knows ({known}).")
    refuse_weights(folder)
    _vet_template(folder)


def _vet_template(folder: Path) -> None:
    path = folder / "chat_template.jinja"
    template: object = None
    if path.exists():
        template = path.read_bytes()[: _TEMPLATE_CHARACTERS + 1].decode(errors="replace")
    else:
        template = (json_of(folder, "tokenizer_config.json") or {}).get("chat_template")
    if not template or not isinstance(template, str):
        raise BadInput(
            f"The folder {folder.name} has no chat template. Choose an instruct or chat model."
        )
    if len(template) > _TEMPLATE_CHARACTERS:
        raise BadInput(f"The chat template of {folder.name} is longer than 64,000 characters.")
