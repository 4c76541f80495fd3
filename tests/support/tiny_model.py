"""What tests load: a tiny model, an adapter of it, the packaged model; and folders of jobs."""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from storage.settings import ROOT
from training.models.base_models import ModelFolder, prepare
from training.records.parts import BaseModel

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as in a worker; read when torch is imported

SYSTEM = "You sort messages to a desk. Answer with JSON only, keys team and urgency."
TEAMS = ("cards", "loans", "fraud", "online")
SETTINGS: dict[str, Any] = {
    "learning_rate": 0.02,
    "dropout": 0.0,
    "batch_size": 8,
    "targets": ["q_proj", "v_proj", "o_proj", "down_proj"],
}
"""For the tiny model; more targets than usual, as random weights learn little from attention."""
SCHEMA: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["team", "urgency"],
    "properties": {
        "team": {"enum": list(TEAMS)},
        "urgency": {"enum": ["low", "high"]},
    },
}


def models_folder() -> Path:
    """Where the packaged model is converted once for all tests; kept between runs."""
    named = os.environ.get("ASSAY_TEST_MODELS")
    folder = Path(named) if named else ROOT / "data" / "test-models"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def packaged() -> ModelFolder:
    """The packaged model, converted by whichever test comes first."""
    return prepare(BaseModel("packaged"), models_folder())


@pytest.fixture(scope="session")
def small(model_code: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a tiny base model that nobody changes."""
    del model_code
    return tiny(tmp_path_factory.mktemp("models") / "small")


def tiny(folder: Path, *, poison: bool = False) -> Path:
    """A Llama of two small layers with random weights and the packaged model's tokenizer.

    `poison` makes one weight NaN, so that the first loss is. Made once in a process, then copied.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in _tiny(poison=poison).items():
        (folder / name).write_bytes(content)
    return folder


@cache
def _tiny(*, poison: bool) -> dict[str, bytes]:
    with TemporaryDirectory() as folder:
        _save_tiny(Path(folder), poison=poison)
        return {path.name: path.read_bytes() for path in Path(folder).iterdir()}


def _save_tiny(folder: Path, *, poison: bool) -> None:
    import torch
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    tokenizer = AutoTokenizer.from_pretrained(packaged().path)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=2,
        tie_word_embeddings=True,
        initializer_range=0.2,
    )
    model = LlamaForCausalLM(config)
    if poison:
        with torch.no_grad():
            model.model.layers[0].self_attn.o_proj.weight[0, 0] = float("nan")
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def rows(count: int, split: str = "train", first: int = 1) -> list[dict[str, Any]]:
    """Rows in which the team follows from the message."""
    return [
        {
            "pair_id": first + i,
            "split": split,
            "prompt": f"Number {i}: I write about {TEAMS[i % 4]}, and it can wait.",
            "response": json.dumps({"team": TEAMS[i % 4], "urgency": "low"}),
        }
        for i in range(count)
    ]


def job(directory: Path, spec: Mapping[str, Any], lines: Sequence[Mapping[str, Any]] = ()) -> Path:
    """A job directory as the launcher makes it."""
    directory.mkdir(parents=True)
    content = "".join(json.dumps(line) + "\n" for line in lines).encode()
    (directory / "rows.jsonl").write_bytes(content)
    whole = {
        "system_message": SYSTEM,
        "data_dir": str(directory.parent / "data"),
        "rows_sha256": hashlib.sha256(content).hexdigest(),
        **spec,
    }
    (directory / "spec.json").write_text(json.dumps(whole))
    return directory


def training_job(
    directory: Path, base: Path, lines: Sequence[Mapping[str, Any]], **settings: object
) -> Path:
    """A training job on a model folder."""
    spec = {
        "kind": "train",
        "rows_path": "rows.jsonl",
        "version_sha256": "0" * 64,
        "base": {"kind": "folder", "where": str(base)},
        "settings": SETTINGS | settings,
    }
    return job(directory, spec, lines)


def started(directory: Path) -> subprocess.Popen[bytes]:
    """A worker in a process of its own."""
    code = (
        "import sys; from pathlib import Path; from training.worker import work; "
        "sys.exit(work(Path(sys.argv[1])))"
    )
    with (directory / "train.log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-c", code, str(directory)],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def encoder(folder: Path, texts: Sequence[str]) -> Path:
    """A BERT of two small layers with random weights that knows the words of these texts.

    Places do not count, so that texts with the same words are close.
    """
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    words = sorted({word for text in texts for word in text.split()})
    names = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *words]
    plain = Tokenizer(
        models.WordLevel({word: at for at, word in enumerate(names)}, unk_token="[UNK]")
    )
    plain.pre_tokenizer = pre_tokenizers.Whitespace()
    marks = dict(zip(("pad", "unk", "cls", "sep"), names, strict=False))
    tokenizer = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=plain, **{f"{mark}_token": name for mark, name in marks.items()}
    )
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(names),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=64,
    )
    model = BertModel(config)
    with torch.no_grad():
        model.embeddings.position_embeddings.weight.zero_()
        model.embeddings.token_type_embeddings.weight.zero_()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
