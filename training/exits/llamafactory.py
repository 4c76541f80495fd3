"""LLaMA-Factory: a training configuration and the description of the pairs that it needs."""

from training.exits import chat_forms, writing
from training.exits.exit import Exit, needs_repeatable_run
from training.exits.source import ExportSource
from training.settings import Lora, Qlora


def write(source: ExportSource) -> dict[str, bytes]:
    """The configuration and `dataset_info.json`. Where the base model's template is not one that
    Assay knows by LLaMA-Factory's name, LLaMA-Factory reads it from the tokenizer.
    """
    usage = "llamafactory-cli train llamafactory/train.yaml, from the folder of the export."
    return {
        "llamafactory/train.yaml": writing.to_yaml(_config(source), usage),
        "llamafactory/dataset_info.json": writing.to_json(
            {f"assay_{split}": _pairs(split) for split in ("train", "validation")}
        ),
    }


def _config(source: ExportSource) -> dict[str, object]:
    run = source.run
    config: dict[str, object] = {"model_name_or_path": source.base_reference}
    if source.base.revision:
        config["model_revision"] = source.base.revision
    config |= {"trust_remote_code": False, "stage": "sft", "do_train": True, **_adapter(source)}
    form = chat_forms.of(source.template)
    if form is not None:
        config["template"] = form.name
    config |= {
        "dataset_dir": "llamafactory",
        "dataset": "assay_train",
        "cutoff_len": run.max_length,
        "per_device_train_batch_size": run.batch_size,
        "gradient_accumulation_steps": 1,
        "num_train_epochs": float(run.epochs),
        "max_steps": run.max_steps or -1,
        "learning_rate": run.learning_rate,
        "lr_scheduler_type": "linear",
        "warmup_steps": source.warmup_steps,
        "weight_decay": source.weight_decay,
        "max_grad_norm": 1.0,
        "seed": run.seed,
        "disable_gradient_checkpointing": not run.gradient_checkpointing,
        "logging_steps": 1,
        "report_to": "none",
        "output_dir": "out/llamafactory",
    }
    if source.validates:
        config |= {"eval_dataset": "assay_validation", "eval_strategy": "epoch"}
    return config


def _adapter(source: ExportSource) -> dict[str, object]:
    run = source.run
    if source.kind == "full" or not isinstance(run, Lora):
        return {"finetuning_type": "full"}
    adapter: dict[str, object] = {
        "finetuning_type": "lora",
        "lora_rank": run.r,
        "lora_alpha": run.alpha,
        "lora_dropout": run.dropout,
        "lora_target": ",".join(run.targets),
        "use_rslora": run.rslora,
        "use_dora": run.dora,
    }
    if isinstance(run, Qlora):
        adapter |= {"quantization_method": "bnb", "quantization_bit": 4, "quantization_type": "nf4"}
        adapter["double_quantization"] = run.double_quantisation
    return adapter


def _pairs(split: str) -> dict[str, object]:
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


EXIT = Exit(
    name="llamafactory",
    title="LLaMA-Factory configuration",
    purpose="Repeats the training in LLaMA-Factory.",
    write=write,
    checks=(needs_repeatable_run,),
    program="LLaMA-Factory",
    trains=True,
)
