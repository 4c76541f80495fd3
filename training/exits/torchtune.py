"""torchtune: a LoRA configuration for Llama-shaped bases. Legacy: torchtune is no longer developed.

torchtune has tokenizers of its own for a few families; here rows are put into tokens by
`assay_tokens.py`, with the base model's own tokenizer and template.
"""

from typing import Any

from training.exits import writing
from training.exits.recipe import Recipe
from training.exits.trl import TOKENS

_ATTENTION = {"q_proj": "q_proj", "k_proj": "k_proj", "v_proj": "v_proj", "o_proj": "output_proj"}
_MLP = frozenset({"gate_proj", "up_proj", "down_proj"})


def refuses(recipe: Recipe) -> str | None:
    """Why torchtune cannot repeat this run."""
    chosen = recipe.settings
    if recipe.method != "lora":
        return "The torchtune configuration is for LoRA in full precision only."
    if chosen.get("rslora"):
        return "torchtune has no rsLoRA."
    if set(chosen["targets"]) & _MLP not in (set(), _MLP) or not set(chosen["targets"]) - _MLP:
        return "torchtune tunes the feed-forward layers all or none, and some attention with them."
    return _shape(recipe)


def _shape(recipe: Recipe) -> str | None:
    config = recipe.config
    if not config:
        return "The base model's folder is not on this server, and torchtune needs its shape."
    plain = not config.get("attention_bias") and not config.get("mlp_bias")
    if config.get("model_type") != "llama" or not plain or _scale(config) is None:
        return "The torchtune configuration is for bases of the plain Llama shape only."
    return None


def _rope(config: Any) -> dict[str, Any]:  # noqa: ANN401 - a model's own JSON
    found = config.get("rope_parameters") or config.get("rope_scaling") or {}
    return found if isinstance(found, dict) else {}


def _scale(config: Any) -> float | None:  # noqa: ANN401 - a model's own JSON
    """The factor by which positions are scaled, 1 for none; None where it is another way."""
    rope = _rope(config)
    kind = rope.get("rope_type", "default")
    if kind == "default":
        return 1
    usual = (rope.get("low_freq_factor"), rope.get("high_freq_factor")) == (1.0, 4.0)
    return rope.get("factor") if kind == "llama3" and usual else None


def write(recipe: Recipe) -> dict[str, bytes]:
    """The configuration and the module that makes the tokens."""
    words = (
        "PYTHONPATH=torchtune tune run lora_finetune_single_device --config torchtune/lora.yaml,",
        "from the folder of the export. Made for torchtune 0.6.1.",
    )
    return {
        "torchtune/lora.yaml": writing.to_yaml(_config(recipe), *words),
        "torchtune/assay_tokens.py": TOKENS,
    }


def _config(recipe: Recipe) -> dict[str, Any]:
    chosen = recipe.settings
    return {
        "output_dir": "out/torchtune",
        "model": _model(recipe),
        "tokenizer": {
            "_component_": "assay_tokens.Tokenizer",
            "folder": "base",
            "max_seq_len": chosen["max_length"],
        },
        "checkpointer": {
            "_component_": "torchtune.training.FullModelHFCheckpointer",
            "checkpoint_dir": "base",
            "checkpoint_files": _weight_files(recipe),
            "recipe_checkpoint": None,
            "output_dir": "${output_dir}",
            "model_type": "LLAMA3_2" if recipe.config.get("tie_word_embeddings") else "LLAMA3",
        },
        "resume_from_checkpoint": False,
        "save_adapter_weights_only": True,
        "dataset": {
            "_component_": "torchtune.datasets.chat_dataset",
            "source": "json",
            "data_files": f"{writing.ROWS}/train.jsonl",
            "conversation_column": "messages",
            "conversation_style": "openai",
            "split": "train",
        },
        "seed": chosen["seed"],
        "shuffle": True,
        "batch_size": chosen["batch_size"],
        "optimizer": {
            "_component_": "torch.optim.AdamW",
            "lr": chosen["learning_rate"],
            "weight_decay": 0.0,
        },
        "lr_scheduler": {
            "_component_": "transformers.optimization.get_linear_schedule_with_warmup",
            "num_warmup_steps": recipe.warmup_steps,
        },
        "loss": {"_component_": "torchtune.modules.loss.CEWithChunkedOutputLoss"},
        "epochs": chosen["epochs"],
        "max_steps_per_epoch": chosen.get("max_steps"),
        "gradient_accumulation_steps": 1,
        "clip_grad_norm": 1.0,
        "compile": False,
        "metric_logger": {
            "_component_": "torchtune.training.metric_logging.DiskLogger",
            "log_dir": "${output_dir}/logs",
        },
        "log_every_n_steps": 1,
        "log_peak_memory_stats": False,
        "device": "cuda",
        "dtype": "bf16",
        "enable_activation_checkpointing": chosen["gradient_checkpointing"],
        "enable_activation_offloading": False,
    }


def _model(recipe: Recipe) -> dict[str, Any]:
    config, chosen = recipe.config, recipe.settings
    targets = set(chosen["targets"])
    return {
        "_component_": "torchtune.models.llama3_2._component_builders.lora_llama3_2",
        "lora_attn_modules": [_ATTENTION[name] for name in _ATTENTION if name in targets],
        "apply_lora_to_mlp": targets >= _MLP,
        "vocab_size": config["vocab_size"],
        "num_layers": config["num_hidden_layers"],
        "num_heads": config["num_attention_heads"],
        "num_kv_heads": config.get("num_key_value_heads", config["num_attention_heads"]),
        "embed_dim": config["hidden_size"],
        "intermediate_dim": config["intermediate_size"],
        "max_seq_len": config["max_position_embeddings"],
        "norm_eps": config["rms_norm_eps"],
        "rope_base": int(_rope(config).get("rope_theta") or config.get("rope_theta") or 10_000),
        "scale_factor": _scale(config),
        "tie_word_embeddings": bool(config.get("tie_word_embeddings")),
        "lora_rank": chosen["r"],
        "lora_alpha": chosen["alpha"],
        "lora_dropout": chosen["dropout"],
        "use_dora": bool(chosen.get("dora")),
    }


def _weight_files(recipe: Recipe) -> list[str]:
    folder = recipe.base_folder
    return sorted(path.name for path in folder.glob("*.safetensors")) if folder else []
