"""LLaMA-Factory: a training configuration and the description of the rows that it needs."""

from typing import Any

from training.exits import chat_forms, writing
from training.exits.recipe import Recipe


def write(recipe: Recipe) -> dict[str, bytes]:
    """The configuration and `dataset_info.json`. Where the base model's template is not one that
    Assay knows by LLaMA-Factory's name, LLaMA-Factory reads it from the tokenizer.
    """
    words = ("llamafactory-cli train llamafactory/train.yaml, from the folder of the export.",)
    return {
        "llamafactory/train.yaml": writing.to_yaml(_config(recipe), *words),
        "llamafactory/dataset_info.json": writing.to_json(
            {f"assay_{split}": _rows(split) for split in ("train", "validation")}
        ),
    }


def _config(recipe: Recipe) -> dict[str, Any]:
    chosen = recipe.settings
    config: dict[str, Any] = {"model_name_or_path": recipe.base_word}
    if recipe.base.revision:
        config["model_revision"] = recipe.base.revision
    config |= {"trust_remote_code": False, "stage": "sft", "do_train": True, **_adapter(recipe)}
    form = chat_forms.known(recipe.template)
    if form is not None:
        config["template"] = form.name
    config |= {
        "dataset_dir": "llamafactory",
        "dataset": "assay_train",
        "cutoff_len": chosen["max_length"],
        "per_device_train_batch_size": chosen["batch_size"],
        "gradient_accumulation_steps": 1,
        "num_train_epochs": float(chosen["epochs"]),
        "max_steps": chosen.get("max_steps") or -1,
        "learning_rate": chosen["learning_rate"],
        "lr_scheduler_type": "linear",
        "warmup_steps": recipe.warmup_steps,
        "weight_decay": chosen.get("weight_decay", 0.0),
        "max_grad_norm": 1.0,
        "seed": chosen["seed"],
        "disable_gradient_checkpointing": not chosen["gradient_checkpointing"],
        "logging_steps": 1,
        "report_to": "none",
        "output_dir": "out/llamafactory",
    }
    if recipe.adapter.card["version"]["counts"].get("validation"):
        config |= {"eval_dataset": "assay_validation", "eval_strategy": "epoch"}
    return config


def _adapter(recipe: Recipe) -> dict[str, Any]:
    chosen = recipe.settings
    if recipe.kind == "full":
        return {"finetuning_type": "full"}
    found: dict[str, Any] = {
        "finetuning_type": "lora",
        "lora_rank": chosen["r"],
        "lora_alpha": chosen["alpha"],
        "lora_dropout": chosen["dropout"],
        "lora_target": ",".join(chosen["targets"]),
        "use_rslora": bool(chosen.get("rslora")),
        "use_dora": bool(chosen.get("dora")),
    }
    if recipe.method == "qlora":
        double = bool(chosen.get("double_quantisation", True))
        found |= {"quantization_method": "bnb", "quantization_bit": 4, "quantization_type": "nf4"}
        found["double_quantization"] = double
    return found


def _rows(split: str) -> dict[str, Any]:
    return {
        "file_name": f"../{writing.ROWS}/{split}.jsonl",
        "formatting": "sharegpt",
        "columns": {"messages": "messages"},
        "tags": {
            "role_tag": "role",
            "content_tag": "content",
            "user_tag": "user",
            "assistant_tag": "assistant",
            "system_tag": "system",
        },
    }
