"""torchtune: a LoRA configuration for Llama-shaped bases. Legacy: torchtune is no longer developed.

torchtune has tokenizers of its own for a few families; here pairs are put into tokens by
`assay_tokens.py`, with the base model's own tokenizer and template.
"""

from collections.abc import Mapping
from typing import Literal, cast

import msgspec

from training.exits import writing
from training.exits.exit import Exit, needs_repeatable_run
from training.exits.source import ExportSource
from training.exits.trl import TOKENS
from training.settings import Lora

_ATTENTION = {"q_proj": "q_proj", "k_proj": "k_proj", "v_proj": "v_proj", "o_proj": "output_proj"}
_MLP = frozenset({"gate_proj", "up_proj", "down_proj"})


class _Rope(msgspec.Struct):
    """How a base model turns positions."""

    rope_type: str = "default"
    rope_theta: float | None = None
    factor: int | float | None = None
    low_freq_factor: float | None = None
    high_freq_factor: float | None = None

    @property
    def scale(self) -> float | None:
        """The factor by which positions are scaled, 1 for none; None where it is another way."""
        if self.rope_type == "default":
            return 1
        usual = (self.low_freq_factor, self.high_freq_factor) == (1.0, 4.0)
        return self.factor if self.rope_type == "llama3" and usual else None


class _Llama(msgspec.Struct):
    """What torchtune is told of a base model of the plain Llama shape."""

    model_type: Literal["llama"]
    vocab_size: int
    num_hidden_layers: int
    num_attention_heads: int
    hidden_size: int
    intermediate_size: int
    max_position_embeddings: int
    rms_norm_eps: float
    num_key_value_heads: int | None = None
    attention_bias: Literal[False] | None = None
    mlp_bias: Literal[False] | None = None
    tie_word_embeddings: bool | None = False
    rope_theta: float | None = None
    rope_parameters: _Rope | None = None
    rope_scaling: _Rope | None = None

    @property
    def rope(self) -> _Rope:
        return self.rope_parameters or self.rope_scaling or _Rope()


def _llama(config: Mapping[str, object]) -> _Llama | None:
    """The shape of a base model; None where it is not the plain one of Llama."""
    try:
        shape = msgspec.convert(config, _Llama)
    except msgspec.ValidationError:
        return None
    return shape if shape.rope.scale is not None else None


def _unwritable(source: ExportSource) -> str | None:
    """Why torchtune cannot repeat this run."""
    run = source.settings
    if type(run) is not Lora:
        return "The torchtune configuration is for LoRA in full precision only."
    if run.rslora:
        return "torchtune has no rsLoRA."
    layers = set(run.targets)
    if layers & _MLP not in (set(), _MLP) or not layers - _MLP:
        return "torchtune tunes the feed-forward layers all or none, and some attention with them."
    if not source.config:
        return "The base model's folder is not on this server, and torchtune needs its shape."
    if _llama(source.config) is None:
        return "The torchtune configuration is for bases of the plain Llama shape only."
    return None


def write(source: ExportSource) -> dict[str, bytes]:
    """The configuration and the module that makes the tokens."""
    usage = (
        "PYTHONPATH=torchtune tune run lora_finetune_single_device --config torchtune/lora.yaml,",
        "from the folder of the export. Made for torchtune 0.6.1.",
    )
    return {
        "torchtune/lora.yaml": writing.to_yaml(_config(source), *usage),
        "torchtune/assay_tokens.py": TOKENS,
    }


def _config(source: ExportSource) -> dict[str, object]:
    run = source.run
    shape = msgspec.convert(source.config, _Llama)
    return {
        "output_dir": "out/torchtune",
        "model": _model(source, shape),
        "tokenizer": {
            "_component_": "assay_tokens.Tokenizer",
            "folder": "base",
            "max_seq_len": run.max_length,
        },
        "checkpointer": {
            "_component_": "torchtune.training.FullModelHFCheckpointer",
            "checkpoint_dir": "base",
            "checkpoint_files": _weight_files(source),
            "recipe_checkpoint": None,
            "output_dir": "${output_dir}",
            "model_type": "LLAMA3_2" if shape.tie_word_embeddings else "LLAMA3",
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
        "seed": run.seed,
        "shuffle": True,
        "batch_size": run.batch_size,
        "optimizer": {
            "_component_": "torch.optim.AdamW",
            "lr": run.learning_rate,
            "weight_decay": 0.0,
        },
        "lr_scheduler": {
            "_component_": "transformers.optimization.get_linear_schedule_with_warmup",
            "num_warmup_steps": source.warmup_steps,
        },
        "loss": {"_component_": "torchtune.modules.loss.CEWithChunkedOutputLoss"},
        "epochs": run.epochs,
        "max_steps_per_epoch": run.max_steps,
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
        "enable_activation_checkpointing": run.gradient_checkpointing,
        "enable_activation_offloading": False,
    }


def _model(source: ExportSource, shape: _Llama) -> dict[str, object]:
    run = cast("Lora", source.run)
    targets = set(run.targets)
    return {
        "_component_": "torchtune.models.llama3_2._component_builders.lora_llama3_2",
        "lora_attn_modules": [_ATTENTION[name] for name in _ATTENTION if name in targets],
        "apply_lora_to_mlp": targets >= _MLP,
        "vocab_size": shape.vocab_size,
        "num_layers": shape.num_hidden_layers,
        "num_heads": shape.num_attention_heads,
        "num_kv_heads": shape.num_key_value_heads or shape.num_attention_heads,
        "embed_dim": shape.hidden_size,
        "intermediate_dim": shape.intermediate_size,
        "max_seq_len": shape.max_position_embeddings,
        "norm_eps": shape.rms_norm_eps,
        "rope_base": int(shape.rope.rope_theta or shape.rope_theta or 10_000),
        "scale_factor": shape.rope.scale,
        "tie_word_embeddings": bool(shape.tie_word_embeddings),
        "lora_rank": run.r,
        "lora_alpha": run.alpha,
        "lora_dropout": run.dropout,
        "use_dora": run.dora,
    }


def _weight_files(source: ExportSource) -> list[str]:
    folder = source.base_folder
    return sorted(path.name for path in folder.glob("*.safetensors")) if folder else []


EXIT = Exit(
    name="torchtune",
    title="torchtune configuration (legacy)",
    purpose="Repeats the training in torchtune, which is no longer developed.",
    write=write,
    checks=(needs_repeatable_run, _unwritable),
    trains=True,
)
