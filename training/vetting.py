"""Look through a model folder before it is loaded: no code, no pickles, a chat template.

Vetting does not show that a model is any good, or that its weights are what its name says.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from storage.errors import BadInput
from training import evidence, tensor_header

_MODEL_TYPES = frozenset(
    {
        *("gemma", "gemma2", "gemma3_text", "granite", "llama", "mistral", "olmo2", "phi3"),
        *("qwen2", "qwen3", "smollm3"),
    }
)
_ENCODER_TYPES = frozenset(
    {"bert", "camembert", "distilbert", "electra", "modernbert", "mpnet", "roberta", "xlm-roberta"}
)
_FORBIDDEN_KEYS = frozenset({"auto_map", "trust_remote_code", "custom_pipelines"})
_JSON_BYTES = 64 << 20
_TEMPLATE_CHARACTERS = 64_000
_PICKLED = ("*.bin", "*.ckpt", "*.pickle", "*.pkl", "*.pt", "*.pth")


def file_hashes(folder: Path) -> dict[str, str]:
    """sha256 of each file that lies directly in a folder, by name; our own record of it left
    out.
    """
    hashes: dict[str, str] = {}
    for path in sorted(folder.iterdir()):
        if path.is_file() and path.name != "assay.json" and not path.name.startswith("."):
            with path.open("rb") as file:
                hashes[path.name] = hashlib.file_digest(file, "sha256").hexdigest()
    return hashes


def names_sha256(hashes: Mapping[str, str]) -> str:
    """One sha256 over the sorted lines "name sha256"."""
    lines = "".join(f"{name} {sha}\n" for name, sha in sorted(hashes.items()))
    return hashlib.sha256(lines.encode()).hexdigest()


def folder_sha256(folder: Path) -> str:
    """One sha256 over a folder's files."""
    return names_sha256(file_hashes(folder))


def vet(folder: Path) -> None:
    """Refuse a model folder that could run code, or that cannot be asked in its own chat form.

    Raises:
        BadInput: says what is wrong with it.
    """
    _vet_shell(folder, _MODEL_TYPES)
    _vet_template(folder)


def vet_encoder(folder: Path) -> None:
    """Refuse a folder of a model for sentence vectors that could run code, or is of another kind.

    Raises:
        BadInput: says what is wrong with it.
    """
    _vet_shell(folder, _ENCODER_TYPES)
    if not (folder / "tokenizer.json").exists():
        raise BadInput(f"The folder {folder.name} has no tokenizer.json. Choose another model.")
    steps = _list_of(folder, "modules.json")
    known = {"Transformer", "Pooling", "Normalize"}
    other = {str(one.get("type")).rpartition(".")[2] for one in steps} - known
    if other:
        raise BadInput(
            f"The model {folder.name} ends with a step that Assay does not know ({min(other)}). "
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


def _list_of(folder: Path, name: str) -> list[dict[str, Any]]:
    """A small JSON file that holds a list of objects; empty where it is missing."""
    path = folder / name
    if not path.exists():
        return []
    try:
        found = json.loads(path.read_text(encoding="utf-8")[:_TEMPLATE_CHARACTERS])
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise BadInput(f"{name} of {folder.name} cannot be read. Choose another model.")
    return found


def _vet_shell(folder: Path, types: frozenset[str]) -> None:
    """What holds for every model: no code, a known type, whole safetensors weights."""
    name = folder.name
    if any(folder.rglob("*.py")):
        raise BadInput(
            f"The folder {name} holds Python files. Assay loads models without code only."
        )
    config = json_of(folder, "config.json")
    if config is None:
        raise BadInput(f"The folder {name} has no readable config.json, so it is no model folder.")
    for file in sorted(folder.glob("*.json")):
        found = forbidden(json_of(folder, file.name))
        if found:
            raise BadInput(
                f"{file.name} of {name} sets {found}, which runs code. Choose another base."
            )
    if config.get("model_type") not in types:
        known = ", ".join(sorted(types))
        raise BadInput(f"The model type of {name} is not one that Assay knows ({known}).")
    _vet_weights(folder)


def json_of(folder: Path, name: str) -> dict[str, Any] | None:
    """The JSON object in a file of a folder; None where there is none.

    Raises:
        BadInput: it is too large, or nested too deeply.
    """
    path = folder / name
    if path.exists() and path.stat().st_size > _JSON_BYTES:
        raise BadInput(f"{name} of {folder.name} is larger than 64 MB. Choose another base.")
    try:
        return evidence.read_json(path)
    except RecursionError:
        raise BadInput(
            f"{name} of {folder.name} is nested too deeply. Choose another base."
        ) from None


def forbidden(value: object) -> str | None:
    """The first forbidden key anywhere in a JSON value."""
    waiting = [value]
    while waiting:
        current = waiting.pop()
        if isinstance(current, dict):
            found = _FORBIDDEN_KEYS & current.keys()
            if found:
                return min(found)
            waiting.extend(current.values())
        elif isinstance(current, list):
            waiting.extend(current)
    return None


def _vet_weights(folder: Path) -> None:
    weights = sorted(folder.glob("*.safetensors"))
    if not weights:
        raise BadInput(
            f"The folder {folder.name} has no safetensors weights. Pickled ones (.bin, .pt, .pkl) "
            "can run code and are refused; convert them to safetensors first."
        )
    pickled = sorted(path.name for end in _PICKLED for path in folder.rglob(end))
    if pickled:
        raise BadInput(
            f"The folder {folder.name} holds a pickled file ({pickled[0]}), which can run code. "
            "Take it out; the safetensors weights are enough."
        )
    for path in weights:
        tensor_header.read(path)
    index = json_of(folder, "model.safetensors.index.json") or {}
    present = {path.name for path in weights}
    if not set(map(str, (index.get("weight_map") or {}).values())) <= present:
        raise BadInput(
            f"The folder {folder.name} lacks some of the weight files that its index names."
        )


def template(folder: Path) -> str | None:
    """The chat template of a folder, up to a character more than is allowed; None for none."""
    path = folder / "chat_template.jinja"
    if path.exists():
        with path.open("rb") as file:
            return file.read(4 * _TEMPLATE_CHARACTERS + 4).decode(errors="replace")
    found = (json_of(folder, "tokenizer_config.json") or {}).get("chat_template")
    return found if isinstance(found, str) else None


def _vet_template(folder: Path) -> None:
    found = template(folder)
    if not found:
        raise BadInput(
            f"The folder {folder.name} has no chat template. Choose an instruct or chat model."
        )
    if len(found) > _TEMPLATE_CHARACTERS:
        raise BadInput(f"The chat template of {folder.name} is longer than 64,000 characters.")
