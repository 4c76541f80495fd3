"""Train with trl as Assay did: the same pairs, tokens and settings. Needs trl, peft, transformers.

    python trl/train.py, from the folder of the export (or: python trl/train.py --max-steps 2)

Pairs are padded here and shuffled by trl, so the weights are not those of Assay to the last digit.
"""

import argparse
import json
import math
from pathlib import Path
from typing import Any

import torch
from assay_tokens import IGNORED, pair_ids  # type: ignore[import-not-found]
from datasets import Dataset
from peft import LoraConfig, prepare_model_for_kbit_training
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    BitsAndBytesConfig,
    DataCollatorForSeq2Seq as Padded,
)
from trl.trainer.sft_config import SFTConfig
from trl.trainer.sft_trainer import SFTTrainer

FOLDER = Path(__file__).resolve().parent


def rows(split: str, tokenizer: Any, longest: int) -> Dataset:  # noqa: ANN401
    """The pairs of a split as tokens and labels; one that is too long is refused, never cut."""
    path = FOLDER.parent / "rows" / "data" / f"{split}.jsonl"
    lines = path.read_text(encoding="utf-8").split("\n") if path.exists() else []
    pairs = [pair_ids(tokenizer, json.loads(line)["messages"]) for line in lines if line]
    if any(len(ids) > longest for ids, _labels in pairs):
        raise SystemExit(f"A pair is longer than {longest} tokens.")
    return Dataset.from_dict(
        {"input_ids": [ids for ids, _ in pairs], "labels": [labels for _, labels in pairs]}
    )


def model_of(chosen: dict[str, Any], base: str) -> Any:  # noqa: ANN401
    """The base model: in 4 bits for QLoRA, else in bfloat16 on a GPU that has it, or in float32."""
    cuda = torch.cuda.is_available()
    half = torch.bfloat16 if cuda and torch.cuda.is_bf16_supported() else torch.float32
    place: dict[str, Any] = {"revision": chosen["revision"], "trust_remote_code": False}
    if chosen["method"] == "qlora":
        place["quantization_config"] = BitsAndBytesConfig(  # type: ignore[no-untyped-call]
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_compute_dtype=half,
            bnb_4bit_use_double_quant=chosen["double_quantisation"],
        )
    model = AutoModelForCausalLM.from_pretrained(base, dtype=half, use_safetensors=True, **place)
    if chosen["method"] != "qlora":
        return model
    return prepare_model_for_kbit_training(  # type: ignore[no-untyped-call]
        model, use_gradient_checkpointing=chosen["gradient_checkpointing"]
    )


def arguments(chosen: dict[str, Any], count: int, watched: int, steps: int) -> SFTConfig:
    """The settings of the run in trl's words; `steps` of 0 trains to the end."""
    cuda = torch.cuda.is_available()
    limit = steps or chosen["max_steps"] or 0
    total = limit or chosen["epochs"] * math.ceil(count / chosen["batch_size"])
    return SFTConfig(
        output_dir=str(FOLDER.parent / "out" / "trl"),
        per_device_train_batch_size=chosen["batch_size"],
        per_device_eval_batch_size=chosen["batch_size"],
        num_train_epochs=chosen["epochs"],
        max_steps=limit or -1,
        learning_rate=chosen["learning_rate"],
        warmup_steps=math.ceil(chosen["warmup"] * total),
        lr_scheduler_type="linear",
        weight_decay=chosen.get("weight_decay", 0.0),
        max_grad_norm=1.0,
        max_length=None,
        dataset_kwargs={"skip_prepare_dataset": True},
        gradient_checkpointing=chosen["gradient_checkpointing"],
        use_cpu=not cuda,
        bf16=cuda and torch.cuda.is_bf16_supported(),
        dataloader_pin_memory=cuda,
        logging_steps=1,
        logging_nan_inf_filter=False,
        eval_strategy="epoch" if watched else "no",
        save_strategy="no",
        report_to=[],
        seed=chosen["seed"],
        data_seed=chosen["seed"],
    )


def lora(chosen: dict[str, Any]) -> LoraConfig | None:
    """The adapter; None where all weights are trained."""
    if chosen["kind"] == "full":
        return None
    return LoraConfig(
        task_type="CAUSAL_LM",
        r=chosen["r"],
        lora_alpha=chosen["alpha"],
        lora_dropout=chosen["dropout"],
        target_modules=list(chosen["targets"]),
        bias="none",
        use_rslora=chosen.get("rslora", False),
        use_dora=chosen.get("dora", False),
    )


def main() -> None:
    """Train and save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--max-steps", type=int, default=0, help="stop after so many steps")
    steps = parser.parse_args().max_steps
    chosen = json.loads((FOLDER / "settings.json").read_text(encoding="utf-8"))
    base = str(FOLDER.parent / "base") if chosen["base"] == "base" else chosen["base"]
    tokenizer = AutoTokenizer.from_pretrained(
        base, revision=chosen["revision"], trust_remote_code=False
    )
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    train, watched = (
        rows(split, tokenizer, chosen["max_length"]) for split in ("train", "validation")
    )
    trainer = SFTTrainer(
        model=model_of(chosen, base),
        args=arguments(chosen, len(train), len(watched), steps),
        train_dataset=train,
        eval_dataset=watched if len(watched) else None,
        processing_class=tokenizer,
        peft_config=lora(chosen),
        data_collator=Padded(tokenizer, label_pad_token_id=IGNORED),
    )
    trainer.train()
    trainer.save_model(str(FOLDER.parent / "out" / "trl" / "final"))


if __name__ == "__main__":
    main()
