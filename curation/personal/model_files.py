"""What a folder with a model may hold: safetensors weights and JSON, neither code nor pickles.

That a folder passes does not show that its weights are what its name says.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from curation.personal import tensor_header
from storage.errors import BadInput

_FORBIDDEN_KEYS = frozenset({"auto_map", "trust_remote_code", "custom_pipelines"})
_JSON_BYTES = 64 << 20
_PICKLED = ("*.bin", "*.ckpt", "*.pickle", "*.pkl", "*.pt", "*.pth")


def file_hashes(folder: Path) -> dict[str, str]:
    """sha256 of each file that lies directly in a folder, by name, without our record of it."""
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


def json_of(folder: Path, name: str) -> Mapping[str, object] | None:
    """The JSON object in a file of the folder; None where there is none.

    Raises:
        BadInput: the file is too large, or nested too deeply to be read.
    """
    path = folder / name
    if path.exists() and path.stat().st_size > _JSON_BYTES:
        raise BadInput(f"{name} of {folder.name} is larger than 64 MB. Choose another model.")
    try:
        value = json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return None
    except RecursionError:
        raise BadInput(
            f"{name} of {folder.name} is nested too deeply. Choose another model."
        ) from None
    return value if isinstance(value, dict) else None


def refuse_code(folder: Path) -> None:
    """Refuse a folder that holds code or asks for it.

    Raises:
        BadInput: says where.
    """
    if any(folder.rglob("*.py")):
        raise BadInput(
            f"The folder {folder.name} holds Python files. Assay loads models without code only."
        )
    for file in sorted(folder.glob("*.json")):
        key = forbidden(json_of(folder, file.name))
        if key:
            raise BadInput(
                f"{file.name} of {folder.name} sets {key}, which runs code. Choose another model."
            )


def forbidden(value: object) -> str | None:
    """The first forbidden key anywhere in a JSON value."""
    waiting = [value]
    while waiting:
        current = waiting.pop()
        if isinstance(current, dict):
            keys = _FORBIDDEN_KEYS & current.keys()
            if keys:
                return min(keys)
            waiting.extend(current.values())
        elif isinstance(current, list):
            waiting.extend(current)
    return None


def refuse_weights(folder: Path) -> None:
    """Refuse a folder whose weights are not safetensors alone, are damaged or not all there.

    Raises:
        BadInput: says what is wrong with them.
    """
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
    files = index.get("weight_map") or {}
    present = {path.name for path in weights}
    if not isinstance(files, dict) or not set(map(str, files.values())) <= present:
        raise BadInput(
            f"The folder {folder.name} lacks some of the weight files that its index names."
        )
