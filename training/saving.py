"""Save an adapter as a PEFT folder: whole or not at all, and only with finite weights."""

import shutil
import tempfile
from pathlib import Path

import torch
from peft import PeftModel, get_peft_model_state_dict, set_peft_model_state_dict
from transformers import PreTrainedTokenizerBase

from storage.errors import AssayError
from training import evidence
from training.vetting import file_hashes

Weights = dict[str, torch.Tensor]


class Diverged(AssayError):
    """A loss, gradient or weight is no longer a finite number."""


def copied(model: PeftModel) -> Weights:
    """The adapter's weights as they are now, apart from the model."""
    return {
        name: value.detach().cpu().clone()
        for name, value in get_peft_model_state_dict(model).items()
    }


def put(model: PeftModel, weights: Weights) -> None:
    """Give the model these adapter weights."""
    set_peft_model_state_dict(model, weights)


def check_finite(weights: Weights) -> None:
    """Refuse weights that are not finite, whatever the losses said.

    Raises:
        Diverged: at least one number is NaN or infinite.
    """
    bad = sum(not bool(torch.isfinite(value).all()) for value in weights.values())
    if bad or not weights:
        raise Diverged(
            f"{bad} of {len(weights)} adapter matrices are not finite. Lower the learning rate."
        )


def save_adapter(
    model: PeftModel, tokenizer: PreTrainedTokenizerBase, base_name: str, final: Path
) -> dict[str, str]:
    """Write the adapter as a PEFT folder, whole or not at all; returns the sha256 of each file.

    The chat template goes with it: asked in another form, the adapter would look broken.
    """
    check_finite(copied(model))
    model.peft_config["default"].base_model_name_or_path = base_name  # not the path on this machine
    temporary = Path(tempfile.mkdtemp(prefix=".adapter-", dir=final.parent))
    try:
        model.save_pretrained(str(temporary), safe_serialization=True)
        (temporary / "README.md").unlink(missing_ok=True)  # the adapter's card takes its place
        (temporary / "chat_template.jinja").write_text(
            str(tokenizer.chat_template), encoding="utf-8"
        )
        evidence.sync_tree(temporary)
        hashes = file_hashes(temporary)
        temporary.chmod(0o755)
        evidence.publish(temporary, final)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return hashes
