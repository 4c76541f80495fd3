"""Merge an adapter into its base and prove that the merged model answers as the two did.

Merged in the base model's own number format, on the CPU, saved as safetensors and read back from
the disk; only then compared. What it does not show: that another program, with other kernels or a
quantised copy, answers the same.
"""

import gc
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from peft import PeftModel
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from curation.personal import model_files
from storage.errors import BadInput, RuleBroken
from training.models import base_models, fetching, render, tuned_models, vetting
from training.models.precision import Precision
from training.proving import generate
from training.records import tasks
from training.records.parts import BaseFiles
from training.records.record import written
from training.records.results import MergeCheck, MergeResult
from training.records.tasks import MergeTask
from training.work import evidence
from training.work.evidence import Evidence

_FLOAT32, _HALF = 1e-4, 5e-2
"""How far a score may be off, as a share of the largest: rounding in 32 bits, and in 16."""
_TOKENS = 24
"""Tokens of each answer that are compared."""


@dataclass(frozen=True, slots=True)
class _Answers:
    """Scores of every token of the inputs, and the greedy answers to them."""

    logits: list[torch.Tensor]
    texts: list[str]


def main(directory: Path, hold: Evidence) -> None:
    """Merge as `spec.json` says; leave `merged/` and `result.json`.

    Raises:
        RuleBroken: the base or the adapter is not the one recorded.
        BadInput: the merged model does not answer as base and adapter do.
    """
    task = tasks.read(MergeTask, directory)
    base = base_models.prepare(task.base, Path(task.data_dir), hold.say)
    check_base(base.sha256, task.base_sha256)
    adapter = Path(task.adapter_path)
    hold.say("Loading base and adapter.")
    model, tokenizer = _loaded(base.path)
    tokenizer.chat_template = (adapter / "chat_template.jinja").read_text(encoding="utf-8")
    with render.time_limit(base_models.TEMPLATE_SECONDS):
        ids = [render.prompt_ids(tokenizer, task.system_message, p) for p in task.prompts]
    tuned = tuned_models.with_adapter(model, adapter, task.adapter_sha256)
    before = _answers(tuned, tokenizer, ids)
    hold.say("Merging.")
    merged = cast("PeftModel", tuned).merge_and_unload(safe_merge=True)
    final = directory / "merged"
    _save(merged, tokenizer, final, task.name, base.licence)
    dtype = str(merged.dtype).removeprefix("torch.")
    del model, tuned, merged
    gc.collect()
    hold.say("Reading it back and comparing.")
    check = _compared(before, final, ids, dtype)
    if not check.agrees:
        shutil.rmtree(final)
        raise BadInput(
            "The merged model does not answer as base and adapter do (scores differ by "
            f"{check.largest_difference:.1e} of the largest, {check.same_answers} of "
            f"{check.prompts} answers are equal). Serve base and adapter instead."
        )
    hold.finish(
        "finished",
        _ending(check, task.precision),
        written(
            MergeResult(
                exit="merged",
                check=check,
                adapter_sha256=task.adapter_sha256,
                base=BaseFiles(name=base.name, sha256=base.sha256),
                merged_sha256=model_files.folder_sha256(final),
            )
        ),
    )


def check_base(sha256: str, recorded: str | None) -> None:
    """Refuse a base model that is not the one an adapter was made on.

    Raises:
        RuleBroken: it is another.
    """
    if recorded is not None and sha256 != recorded:
        raise RuleBroken(
            "The base model on this machine is not the one that the adapter was trained on. "
            "Restore that one."
        )


def _loaded(folder: Path) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """A vetted model in its own number format, on the CPU."""
    fetching.hush()
    tokenizer = AutoTokenizer.from_pretrained(
        folder, trust_remote_code=False, local_files_only=True
    )
    model = AutoModelForCausalLM.from_pretrained(
        folder, dtype="auto", trust_remote_code=False, use_safetensors=True, local_files_only=True
    )
    return model, tokenizer


@torch.inference_mode()
def _answers(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, ids: Sequence[list[int]]
) -> _Answers:
    model.train(False)
    logits = [model(input_ids=torch.tensor([row])).logits[0].float() for row in ids]
    answers = generate.complete(model, tokenizer, ids, _TOKENS)
    return _Answers(logits, [answer.text for answer in answers])


def _save(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, final: Path, name: str, licence: str
) -> None:
    """Write the model with tokenizer, chat template, generation settings and a manifest of hashes,
    whole or not at all.
    """
    with evidence.new_folder(final, ".merged-") as folder:
        model.config.name_or_path = name  # not the path on this machine
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        (folder / "chat_template.jinja").write_text(str(tokenizer.chat_template), encoding="utf-8")
        files = model_files.file_hashes(folder)
        evidence.write_json(folder / "manifest.json", {"files": files, "hash": "sha256"})
        evidence.write_json(folder / "assay.json", {"name": name, "licence": licence})


def _compared(before: _Answers, folder: Path, ids: Sequence[list[int]], dtype: str) -> MergeCheck:
    vetting.vet(folder)
    model, tokenizer = _loaded(folder)
    after = _answers(model, tokenizer, ids)
    pairs = list(zip(before.logits, after.logits, strict=True))
    off = max(float((a - b).abs().max() / a.abs().max()) for a, b in pairs)
    equal = sum(a == b for a, b in zip(before.texts, after.texts, strict=True))
    allowed = _FLOAT32 if dtype == "float32" else _HALF
    # In 16 bits a near tie may fall the other way, so only the scores decide there.
    texts_agree = equal == len(ids) or dtype != "float32"
    return MergeCheck(
        prompts=len(ids),
        tokens=_TOKENS,
        dtype=dtype,
        largest_difference=off,
        allowed=allowed,
        same_answers=equal,
        agrees=off <= allowed and texts_agree,
    )


def _ending(check: MergeCheck, precision: str | None) -> str:
    coarse = precision in (Precision.NF4, Precision.NF4_DOUBLE)
    return (
        f"Merged in {check.dtype}. On {check.prompts} inputs the scores differ from base "
        f"and adapter by at most {check.largest_difference:.1e} of the largest, and "
        f"{check.same_answers} of {check.prompts} greedy answers are equal."
        + (" It was trained on a base in 4 bits, and may answer otherwise on this one." * coarse)
    )
