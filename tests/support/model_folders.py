"""Folders that vetting takes for a model, made without a model library: nothing loads them."""

import json
from collections.abc import Mapping
from pathlib import Path

TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] "
    "+ '<|im_end|>\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}"
    "{% endif %}"
)


def tensors(*names: str) -> bytes:
    """A safetensors file of small matrices."""
    header = {
        name: {"dtype": "F32", "shape": [2, 2], "data_offsets": [16 * at, 16 * at + 16]}
        for at, name in enumerate(names)
    }
    told = json.dumps(header).encode()
    return len(told).to_bytes(8, "little") + told + bytes(16 * len(names))


def base(folder: Path) -> Path:
    """A folder of the least that vetting asks for."""
    content: Mapping[str, bytes | str] = {
        "config.json": json.dumps({"model_type": "llama", "hidden_size": 2}),
        "tokenizer_config.json": json.dumps({"eos_token": "<|im_end|>"}),
        "tokenizer.json": "{}",
        "chat_template.jinja": TEMPLATE,
        "model.safetensors": tensors("model.layers.0.mlp.up_proj.weight"),
    }
    write(folder, content)
    return folder


def write(folder: Path, files: Mapping[str, bytes | str]) -> None:
    """Write files by their path inside a folder."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
