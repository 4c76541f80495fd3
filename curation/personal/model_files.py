"""What a folder with a model may hold: plain files, safetensors weights, JSON that can be read, and
neither code nor anything that a loader would follow elsewhere.

Of a folder only the files of `READ` and the weights are opened, as the loaders open only those;
what else lies there (pictures, other formats, pickled weights beside the safetensors ones) is left
alone. Names that begin with a dot are not looked at. That a folder passes does not show that its
weights are what its name says.
"""

import hashlib
import os
import re
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from curation import strict_json
from curation.personal import tensor_header
from storage import plain_files
from storage.errors import BadInput

_FORBIDDEN_KEYS = frozenset(
    {
        *("auto_map", "trust_remote_code", "custom_pipelines"),
        *("transformers_weights", "fast_tokenizer_files"),
    }
)
"""The first three run code; the others have a loader open files of other names."""
_KERNELS = frozenset({"attn_implementation", "_attn_implementation", "experts_implementation"})
"""Keys that can name code on the hub: anything but a plain word is one."""
JSON_BYTES = 4 << 20
_VOCABULARY_BYTES = 64 << 20
_SETTINGS = frozenset(
    {
        *("config.json", "generation_config.json", "tokenizer_config.json"),
        *("special_tokens_map.json", "added_tokens.json", "model.safetensors.index.json"),
        *("assay.json", "modules.json", "sentence_bert_config.json", "gliner_config.json"),
        "1_Pooling/config.json",
    }
)
"""JSON that a loader acts on."""
_VOCABULARIES = frozenset(
    {
        *("tokenizer.json", "vocab.json", "vocab.txt", "merges.txt", "tokenizer.model"),
        *("spiece.model", "sentencepiece.bpe.model", "chat_template.jinja"),
    }
)
READ = _SETTINGS | _VOCABULARIES
"""The files beside the weights that are ever read; a folder may hold others."""
_CODE = re.compile(
    r"((configuration|modeling|tokenization|processing|image_processing|generation)\w*"
    r"|generate|model|__init__)\.(py|pyc|so)",
    re.IGNORECASE,
)
"""Code that a loader would look for, by its name."""
_MOST_ENTRIES = 4096


def plain(folder: Path) -> dict[str, os.stat_result]:
    """Every file in a folder by its path inside, with slashes; those below names that begin with a
    dot are left out.

    Raises:
        BadInput: there is a pipe, a device, a link that leaves the folder, or too much.
    """
    inside = _homes(folder)
    files: dict[str, os.stat_result] = {}
    for count, entry in enumerate(_entries(folder), 1):
        if count > _MOST_ENTRIES:
            raise BadInput(
                f"The folder {folder.name} holds more than {_MOST_ENTRIES} files. Choose the "
                "folder of one model."
            )
        path = Path(entry.path)
        if entry.is_symlink():
            _follow(path, folder, inside)
        elif entry.is_dir():
            continue
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise BadInput(
                f"{path.name} of {folder.name} is no plain file (a pipe, a device or a socket). "
                "Take it out."
            )
        files[path.relative_to(folder).as_posix()] = status
    return files


def state(folder: Path) -> str:
    """What stays the same while every file of a folder has the same name, size and times.

    Raises:
        BadInput: as `plain`.
    """
    lines = [
        f"{name} {status.st_size} {status.st_ino} {status.st_mtime_ns} {status.st_ctime_ns}\n"
        for name, status in sorted(plain(folder).items())
    ]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _entries(folder: Path) -> Iterator[os.DirEntry[str]]:
    """Everything below a folder but hidden names; links are not followed."""
    waiting = [folder]
    while waiting:
        with os.scandir(waiting.pop()) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                yield entry
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(Path(entry.path))


def _homes(folder: Path) -> tuple[Path, ...]:
    """Where the files of a model may lie: its folder, and in a cache of the hub the store beside it
    (models--ORGANISATION--NAME/snapshots/COMMIT and models--ORGANISATION--NAME/blobs).
    """
    place = folder.resolve()
    cache = place.parent.parent
    if place.parent.name == "snapshots" and cache.name.startswith("models--"):
        return place, cache / "blobs"
    return (place,)


def _follow(link: Path, folder: Path, inside: tuple[Path, ...]) -> None:
    """Refuse a link that is none to a file of the model."""
    try:
        target = link.resolve(strict=True)
    except (OSError, RuntimeError) as error:
        raise BadInput(
            f"The link {link.name} of {folder.name} leads nowhere. Download the model again."
        ) from error
    if not any(target.is_relative_to(place) for place in inside) or target.is_dir():
        raise BadInput(
            f"The link {link.name} of {folder.name} leads out of the folder. Put the file itself "
            "there."
        )


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
        BadInput: the file is no plain one, too large, or holds something else.
    """
    try:
        content = plain_files.read(folder / name, JSON_BYTES, links=True)
        value = strict_json.loads(content.decode())
    except FileNotFoundError:
        return None
    except (BadInput, UnicodeDecodeError) as error:
        reason = str(error) if isinstance(error, BadInput) else "It is no text."
        raise BadInput(f"{name} of {folder.name} cannot be read. {reason}") from error
    return value if isinstance(value, dict) else None


def readable(folder: Path, name: str) -> dict[str, Any]:
    """The JSON object in a file of the folder; empty where there is none that can be read."""
    try:
        return dict(json_of(folder, name) or {})
    except (BadInput, OSError):
        return {}


def refuse_files(folder: Path) -> None:
    """Refuse a folder of anything but plain files, and files that are read and too large.

    Raises:
        BadInput: names the file.
    """
    for name, status in plain(folder).items():
        if name in _VOCABULARIES and status.st_size > _VOCABULARY_BYTES:
            raise BadInput(
                f"{name} of {folder.name} is larger than {_VOCABULARY_BYTES >> 20} MB. Choose "
                "another model."
            )
    if (folder / "adapter_config.json").exists():
        raise BadInput(
            f"The folder {folder.name} holds an adapter (adapter_config.json) that would be loaded "
            "with the model. Name a base model alone; adapters are taken in on the page Adapters."
        )


def is_model_code(name: str) -> bool:
    """Whether a file's name is that of code that belongs to a model."""
    return _CODE.fullmatch(name.rpartition("/")[2]) is not None


def refuse_code(folder: Path, *, any_python: bool = True) -> None:
    """Refuse a folder that holds code or asks for it: any Python file, or only those that bear the
    name of a part of a model.

    Raises:
        BadInput: says where.
    """
    if any(name.endswith(".py") if any_python else is_model_code(name) for name in plain(folder)):
        raise BadInput(
            f"The folder {folder.name} holds Python files. Assay loads models without code only. "
            "Take them out."
        )
    for name in sorted(_SETTINGS):
        key = forbidden(json_of(folder, name))
        if key:
            raise BadInput(
                f"{name} of {folder.name} sets {key}, which runs code or opens other files. "
                "Choose another model."
            )


def forbidden(value: object) -> str | None:
    """The first forbidden key anywhere in a JSON value."""
    waiting = [value]
    while waiting:
        current = waiting.pop()
        if isinstance(current, dict):
            keys = _FORBIDDEN_KEYS & current.keys()
            keys |= {key for key in _KERNELS & current.keys() if not _is_word(current[key])}
            if keys:
                return min(keys)
            waiting.extend(current.values())
        elif isinstance(current, list):
            waiting.extend(current)
    return None


def _is_word(value: object) -> bool:
    return value is None or (isinstance(value, str) and value.isidentifier())


def refuse_weights(folder: Path) -> None:
    """Refuse a folder without whole safetensors weights under the names that are loaded. Pickled
    ones beside them are never opened.

    Raises:
        BadInput: says what is wrong with them.
    """
    weights = tensor_header.weights(folder)
    if not weights:
        raise BadInput(
            f"The folder {folder.name} has no safetensors weights. Pickled ones (.bin, .pt, .pkl) "
            "can run code and are refused; convert them to safetensors first."
        )
    for path in weights:
        tensor_header.read(path)
    index = json_of(folder, "model.safetensors.index.json") or {}
    files = index.get("weight_map") or {}
    present = {path.name for path in folder.glob("*.safetensors")}
    if not isinstance(files, dict) or not set(map(str, files.values())) <= present:
        raise BadInput(
            f"The folder {folder.name} lacks some of the weight files that its index names."
        )
    if "model.safetensors" not in present and not files:
        raise BadInput(
            f"The folder {folder.name} has no model.safetensors, and no index that names its "
            "weights. Download the model again."
        )
