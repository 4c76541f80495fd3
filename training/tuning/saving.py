"""Save what a run learnt, an adapter or a whole model: whole or not at all, and only with finite
weights.
"""

from pathlib import Path

import torch
from peft import PeftModel, get_peft_model_state_dict, set_peft_model_state_dict
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from curation.personal import model_files
from storage.errors import AssayError
from training.models import vetting
from training.models.precision import Precision, number_format
from training.work import evidence

Weights = dict[str, torch.Tensor]
Tuned = PeftModel | PreTrainedModel
"""A base with an adapter, or a model all of whose weights are trained."""


class Diverged(AssayError):
    """A loss, gradient or weight is no longer a finite number."""


def trained(model: Tuned) -> Weights:
    """The weights that the run trains, not copied: the adapter's, or all; shared ones once."""
    if isinstance(model, PeftModel):
        weights: Weights = get_peft_model_state_dict(model)
        return weights
    return {name: value.detach() for name, value in model.named_parameters()}


def copied(model: Tuned) -> Weights:
    """The trained weights as they are now, apart from the model."""
    return {name: value.detach().cpu().clone() for name, value in trained(model).items()}


def put(model: Tuned, weights: Weights) -> None:
    """Give the model these trained weights.

    Raises:
        KeyError: they are not this model's.
    """
    if isinstance(model, PeftModel):
        set_peft_model_state_dict(model, weights)
        return
    with torch.no_grad():
        for name, value in trained(model).items():
            value.copy_(weights[name])


def check_finite(weights: Weights) -> None:
    """Refuse weights that are not finite, whatever the losses said.

    Raises:
        Diverged: at least one number is NaN or infinite.
    """
    bad = sum(not bool(torch.isfinite(value).all()) for value in weights.values())
    if bad or not weights:
        raise Diverged(
            f"{bad} of {len(weights)} weight matrices are not finite. Lower the learning rate."
        )


def save(
    model: Tuned, tokenizer: PreTrainedTokenizerBase, base_name: str, final: Path
) -> dict[str, str]:
    """Write the adapter as a PEFT folder, or the whole model as a model folder, whole or not at
    all; returns the sha256 of each file.

    The chat template goes with it: asked in another form, the model would look broken.

    Raises:
        Diverged: a weight is not finite.
    """
    check_finite(trained(model))
    with evidence.new_folder(final, ".adapter-") as folder:
        if isinstance(model, PeftModel):
            _write_adapter(model, base_name, folder)
        else:
            # The form in which models are asked.
            model.to(dtype=number_format(Precision.USUAL).dtype)  # type: ignore[call-arg]  # its stub
            model.save_pretrained(str(folder))
            tokenizer.save_pretrained(str(folder))
        (folder / "chat_template.jinja").write_text(str(tokenizer.chat_template), encoding="utf-8")
        if not isinstance(model, PeftModel):
            vetting.vet(folder)
    return model_files.file_hashes(final)


def _write_adapter(model: PeftModel, base_name: str, folder: Path) -> None:
    model.peft_config["default"].base_model_name_or_path = base_name  # not the path on this machine
    model.save_pretrained(str(folder), selected_adapters=["default"], safe_serialization=True)
    (folder / "README.md").unlink(missing_ok=True)  # the adapter's card takes its place
