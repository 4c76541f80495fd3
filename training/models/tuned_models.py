"""Put an adapter that a run saved on its base model, once its files are proved to be those."""

from pathlib import Path
from typing import cast

from peft import PeftModel
from transformers import PreTrainedModel

from curation.personal import model_files
from storage.errors import BadInput, RuleBroken

_ADAPTER_FILES = frozenset(
    {"adapter_config.json", "adapter_model.safetensors", "chat_template.jinja"}
)


def with_adapter(
    model: PreTrainedModel, folder: Path, sha256: str | None, *, trained: bool = False
) -> PreTrainedModel:
    """Put an adapter on a loaded model, to be asked or to be trained further.

    Raises:
        BadInput: the folder is missing or holds more than an adapter that Assay saved.
        RuleBroken: it is not the adapter that was recorded.
    """
    if not (folder / "adapter_model.safetensors").is_file():
        raise BadInput(f"The adapter folder {folder.name} has no adapter_model.safetensors.")
    if not set(model_files.file_hashes(folder)) <= _ADAPTER_FILES:
        raise BadInput(f"The adapter folder {folder.name} holds files that Assay did not write.")
    check_recorded(folder, sha256)
    tuned = PeftModel.from_pretrained(
        model, str(folder), is_trainable=trained, use_safetensors=True, local_files_only=True
    )
    return cast(
        "PreTrainedModel", tuned
    )  # it answers like one, with an adapter that can be put off


def check_recorded(folder: Path, sha256: str | None) -> None:
    """Refuse an adapter or a whole model that is not the one its run recorded.

    Raises:
        RuleBroken: a file was changed, added or taken away.
    """
    if sha256 is not None and model_files.folder_sha256(folder) != sha256:
        raise RuleBroken("The adapter's files changed since it was trained. Train it again.")
