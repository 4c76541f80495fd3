"""Axolotl: one configuration with the same rows, template and settings."""

from typing import Any

from training.exits import writing
from training.exits.recipe import Recipe


def write(recipe: Recipe) -> dict[str, bytes]:
    """The configuration. Of the batches only the size is the same: Axolotl orders rows its way."""
    words = ("axolotl train axolotl/config.yaml, from the folder of the export.",)
    return {"axolotl/config.yaml": writing.to_yaml(_config(recipe), *words)}


def _config(recipe: Recipe) -> dict[str, Any]:
    chosen = recipe.settings
    config: dict[str, Any] = {"base_model": recipe.base_word}
    if recipe.base.revision:
        config["revision_of_model"] = recipe.base.revision
    config |= {"trust_remote_code": False, **_adapter(recipe)}
    config |= {
        "chat_template": "tokenizer_default",
        "datasets": [_rows("train")],
        "sequence_len": chosen["max_length"],
        "sample_packing": False,
        "micro_batch_size": chosen["batch_size"],
        "gradient_accumulation_steps": 1,
        "num_epochs": chosen["epochs"],
        "learning_rate": chosen["learning_rate"],
        "lr_scheduler": "linear",
        "warmup_steps": recipe.warmup_steps,
        "optimizer": "adamw_torch",
        "weight_decay": chosen.get("weight_decay", 0.0),
        "max_grad_norm": 1.0,
        "seed": chosen["seed"],
        "bf16": "auto",
        "gradient_checkpointing": chosen["gradient_checkpointing"],
        "output_dir": "out/axolotl",
    }
    if chosen.get("max_steps"):
        config["max_steps"] = chosen["max_steps"]
    if recipe.adapter.card["version"]["counts"].get("validation"):
        config |= {"test_datasets": [_rows("validation")], "eval_strategy": "epoch"}
    return config


def _adapter(recipe: Recipe) -> dict[str, Any]:
    chosen = recipe.settings
    if recipe.kind == "full":
        return {}
    found: dict[str, Any] = {
        "adapter": "qlora" if recipe.method == "qlora" else "lora",
        "load_in_4bit": recipe.method == "qlora",
        "lora_r": chosen["r"],
        "lora_alpha": chosen["alpha"],
        "lora_dropout": chosen["dropout"],
        "lora_target_modules": list(chosen["targets"]),
    }
    return found | {f"peft_use_{name}": True for name in ("rslora", "dora") if chosen.get(name)}


def _rows(split: str) -> dict[str, Any]:
    return {
        "path": f"{writing.ROWS}/{split}.jsonl",
        "ds_type": "json",
        "split": "train",
        "type": "chat_template",
        "field_messages": "messages",
        "message_property_mappings": {"role": "role", "content": "content"},
        "roles_to_train": ["assistant"],
        "train_on_eos": "turn",
    }
