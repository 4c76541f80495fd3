"""Look through a model folder before it is loaded: no code, no pickles, a chat template.

Vetting does not show that a model is any good, or that its weights are what its name says.
"""

from collections.abc import Set as AbstractSet
from contextlib import suppress
from pathlib import Path

import msgspec

from curation.personal.model_files import json_of, refuse_code, refuse_files, refuse_weights
from storage import plain_files
from storage.errors import BadInput
from training.families import FAMILIES
from training.models import template_trial

_ENCODER_TYPES = frozenset(
    {"bert", "camembert", "distilbert", "electra", "modernbert", "mpnet", "roberta", "xlm-roberta"}
)
_TEMPLATE_CHARACTERS = 64_000


def vet(folder: Path) -> None:
    """Refuse a model folder that could run code, or that cannot be asked in its own chat form.

    Raises:
        BadInput: says what is wrong with it.
    """
    _vet_shell(folder, FAMILIES.keys(), any_python=False)
    _vet_template(folder)


def vet_encoder(folder: Path) -> None:
    """Refuse a folder of a model for sentence vectors that could run code, or is of another kind.

    Raises:
        BadInput: says what is wrong with it.
    """
    _vet_shell(folder, _ENCODER_TYPES, any_python=True)
    if not (folder / "tokenizer.json").exists():
        raise BadInput(f"The folder {folder.name} has no tokenizer.json. Choose another model.")
    unknown = _modules(folder) - {"Transformer", "Pooling", "Normalize"}
    if unknown:
        raise BadInput(
            f"The model {folder.name} ends with a step that Assay does not know ({min(unknown)}). "
            "Choose another."
        )
    pools_first_token(folder)


def pools_first_token(folder: Path) -> bool:
    """Whether a vetted encoder's vector is that of the first token; else it is the mean of all.

    Raises:
        BadInput: it is made in another way.
    """
    pooling = json_of(folder / "1_Pooling", "config.json") or {"pooling_mode_mean_tokens": True}
    modes = {key for key, value in pooling.items() if key.startswith("pooling_mode") and value}
    modes |= {f"pooling_mode_{mode}" for mode in [pooling.get("pooling_mode")] if mode}
    modes.discard("pooling_mode")
    if modes <= {"pooling_mode_mean_tokens", "pooling_mode_mean"}:
        return False
    if modes <= {"pooling_mode_cls_token", "pooling_mode_cls"}:
        return True
    raise BadInput(
        f"The model {folder.name} pools its tokens in a way that Assay does not know. Choose "
        "another."
    )


class _Module(msgspec.Struct):
    """One step of an encoder, as `modules.json` lists it."""

    type: object = None
    """The dotted name of its class; only the last part is looked at."""


def _modules(folder: Path) -> set[str]:
    """The kinds of steps of an encoder; empty where `modules.json` is missing."""
    path = folder / "modules.json"
    if not path.exists():
        return set()
    try:
        content = plain_files.read(path, _TEMPLATE_CHARACTERS, links=True)
        modules = msgspec.json.decode(content, type=list[_Module])
    except (BadInput, ValueError, RecursionError) as error:
        raise BadInput(
            f"modules.json of {folder.name} cannot be read. Choose another model."
        ) from error
    return {str(module.type).rpartition(".")[2] for module in modules}


def _vet_shell(folder: Path, types: AbstractSet[str], *, any_python: bool) -> None:
    """What holds for every model: plain files, no code, a known type, whole safetensors weights."""
    refuse_files(folder)
    refuse_code(folder, any_python=any_python)
    config = json_of(folder, "config.json")
    if config is None:
        raise BadInput(
            f"The folder {folder.name} has no readable config.json, so it is no model folder."
        )
    if config.get("model_type") not in types:
        names = ", ".join(sorted(types))
        raise BadInput(f"The model type of {folder.name} is not one that Assay knows ({names}).")
    refuse_weights(folder)


def template(folder: Path) -> str | None:
    """The chat template of a folder, up to a character more than is allowed; None for none."""
    with (
        suppress(FileNotFoundError),
        plain_files.opened(folder / "chat_template.jinja", links=True) as file,
    ):
        content = file.read(4 * _TEMPLATE_CHARACTERS + 4).decode(errors="replace")
        return content.replace("\r\n", "\n").replace("\r", "\n")  # as the library reads it
    text = (json_of(folder, "tokenizer_config.json") or {}).get("chat_template")
    return text if isinstance(text, str) else None


def _vet_template(folder: Path) -> None:
    text = template(folder)
    if not text:
        raise BadInput(
            f"The folder {folder.name} has no chat template. Choose an instruct or chat model."
        )
    if len(text) > _TEMPLATE_CHARACTERS:
        raise BadInput(f"The chat template of {folder.name} is longer than 64,000 characters.")
    template_trial.require(folder.name, text, _special_tokens(folder))


def _special_tokens(folder: Path) -> dict[str, str]:
    """The tokens that a template may name, as `bos_token`; each is text or an object with it."""
    tokens: dict[str, str] = {}
    for name in ("special_tokens_map.json", "tokenizer_config.json"):
        for key, value in (json_of(folder, name) or {}).items():
            content = value.get("content") if isinstance(value, dict) else value
            if key.endswith("_token") and isinstance(content, str):
                tokens[key] = content
    return tokens
