"""Axolotl: one configuration with the same pairs, template and settings."""

from training.exits import writing
from training.exits.exit import Exit, needs_repeatable_run
from training.exits.source import ExportSource
from training.settings import Lora, Qlora


def write(source: ExportSource) -> dict[str, bytes]:
    """The configuration. Of the batches only the size is the same: Axolotl orders pairs its way."""
    usage = "axolotl train axolotl/config.yaml, from the folder of the export."
    return {"axolotl/config.yaml": writing.to_yaml(_config(source), usage)}


def _config(source: ExportSource) -> dict[str, object]:
    run = source.run
    config: dict[str, object] = {"base_model": source.base_reference}
    if source.base.revision:
        config["revision_of_model"] = source.base.revision
    config |= {"trust_remote_code": False, **_adapter(source)}
    config |= {
        "chat_template": "tokenizer_default",
        "datasets": [_pairs("train")],
        "sequence_len": run.max_length,
        "sample_packing": False,
        "micro_batch_size": run.batch_size,
        "gradient_accumulation_steps": 1,
        "num_epochs": run.epochs,
        "learning_rate": run.learning_rate,
        "lr_scheduler": "linear",
        "warmup_steps": source.warmup_steps,
        "optimizer": "adamw_torch",
        "weight_decay": source.weight_decay,
        "max_grad_norm": 1.0,
        "seed": run.seed,
        "bf16": "auto",
        "gradient_checkpointing": run.gradient_checkpointing,
        "output_dir": "out/axolotl",
    }
    if run.max_steps:
        config["max_steps"] = run.max_steps
    if source.validates:
        config |= {"test_datasets": [_pairs("validation")], "eval_strategy": "epoch"}
    return config


def _adapter(source: ExportSource) -> dict[str, object]:
    run = source.run
    if source.kind == "full" or not isinstance(run, Lora):
        return {}
    in_4_bits = isinstance(run, Qlora)
    adapter: dict[str, object] = {
        "adapter": "qlora" if in_4_bits else "lora",
        "load_in_4bit": in_4_bits,
        "lora_r": run.r,
        "lora_alpha": run.alpha,
        "lora_dropout": run.dropout,
        "lora_target_modules": list(run.targets),
    }
    variants = {"peft_use_rslora": run.rslora, "peft_use_dora": run.dora}
    return adapter | {name: True for name, used in variants.items() if used}


def _pairs(split: str) -> dict[str, object]:
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


EXIT = Exit(
    name="axolotl",
    title="Axolotl configuration",
    purpose="Repeats the training in Axolotl.",
    write=write,
    checks=(needs_repeatable_run,),
    program="Axolotl",
    trains=True,
)
