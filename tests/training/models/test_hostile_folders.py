"""Model folders of strangers: hostile ones are refused before anything is loaded, usual ones are
not. RELIABILITY T26; adapters stand in `tests/training/lifecycle/test_imports.py`.
"""

import json
import os
import pickle
import shutil
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from storage.errors import BadInput
from tests.support import model_folders
from tests.support.proofs import Proof
from training.models import base_models, template_trial, verdicts, vetting
from training.records.parts import BaseModel

Spoil = Callable[[Path], object]


class _Canary:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, ("canary",)


PICKLED = pickle.dumps(_Canary())
CODE = b"import os; os.mkdir('canary')"
ESCAPE = "{{ ''.__class__.__mro__[1].__subclasses__()[99]('mkdir canary', shell=True) }}"
LOOP = "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}"
FLOOD = "{% for i in range(60000) %}{{ 'aaaaaaaaaaaaaaaaaaaaaaaaa' }}{% endfor %}"


def _file(name: str, content: bytes | str) -> Spoil:
    return lambda folder: model_folders.write(folder, {name: content})


def _sets(name: str = "config.json", **changes: object) -> Spoil:
    def spoil(folder: Path) -> None:
        path = folder / name
        values: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
        path.write_text(json.dumps(values | changes))

    return spoil


def _replaced(name: str, make: Callable[[Path], object]) -> Spoil:
    def spoil(folder: Path) -> None:
        (folder / name).unlink(missing_ok=True)
        make(folder / name)

    return spoil


def _sized(name: str, size: int, first: bytes = b"") -> Spoil:
    """A file that takes no room on the disk, however large it is."""

    def spoil(folder: Path) -> None:
        with (folder / name).open("wb") as file:
            file.write(first)
            file.truncate(size)

    return spoil


def _header(header: object, data: int = 16) -> Spoil:
    told = header if isinstance(header, bytes) else json.dumps(header).encode()
    content = len(told).to_bytes(8, "little") + told + bytes(data)
    return _file("model.safetensors", content)


def _tensor(**changes: object) -> dict[str, object]:
    return {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]} | changes


def _pickled(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(PICKLED)


def _template_in_settings(folder: Path) -> None:
    (folder / "chat_template.jinja").unlink()
    _sets("tokenizer_config.json", chat_template=ESCAPE)(folder)


def _socket(path: Path) -> None:
    at = Path.cwd()
    os.chdir(path.parent)  # the name of a socket may not be long
    try:
        with socket.socket(socket.AF_UNIX) as opened:
            opened.bind(path.name)
    finally:
        os.chdir(at)


TWICE = {"a": _tensor(), "b": _tensor()}
HOSTILE: dict[str, tuple[Spoil, str]] = {
    "pickled weights alone": (_pickled, "no safetensors weights"),
    "a pickle under another name": (_file("model.safetensors", PICKLED), "header"),
    "code of a model": (_file("x/modeling_evil.py", CODE), "Python files"),
    "auto_map and code": (_sets(auto_map={"AutoModel": "m.X"}), "sets auto_map"),
    "auto_map of a tokenizer": (
        _sets("tokenizer_config.json", auto_map={"AutoTokenizer": ["e.T", None]}),
        "sets auto_map",
    ),
    "auto_map of another's code": (_sets(auto_map={"AutoModel": "org/m--m.X"}), "sets auto_map"),
    "nested trust": (_sets(text_config={"a": [{"trust_remote_code": True}]}), "trust_remote"),
    "pipelines": (_sets(custom_pipelines={"x": {"impl": "e.P"}}), "custom_pipelines"),
    "a kernel of the hub": (_sets(attn_implementation="org/evil-kernel"), "attn_implementation"),
    "weights of another name": (_sets(transformers_weights="../x.safetensors"), "transformers_w"),
    "a tokenizer of another name": (
        _sets("tokenizer_config.json", fast_tokenizer_files=["../../tokenizer.4.0.json"]),
        "fast_tokenizer_files",
    ),
    "an unknown type": (_sets(model_type="evil"), "model type"),
    "an adapter in it": (
        _file("adapter_config.json", '{"base_model_name_or_path": "/etc"}'),
        "holds an adapter",
    ),
    "a deep configuration": (_file("config.json", b"[" * 200_000), "nested more than 32"),
    "a configuration with a name twice": (
        _file("config.json", '{"model_type": "llama", "x": 1, "x": 2}'),
        "appears twice",
    ),
    "a configuration of 5 MB": (_sized("config.json", 5 << 20, b"{"), "larger than 4 MB"),
    "a configuration that is a pipe": (_replaced("config.json", os.mkfifo), "no plain file"),
    "a template that is a pipe": (_replaced("chat_template.jinja", os.mkfifo), "no plain file"),
    "weights that are a pipe": (_replaced("model.safetensors", os.mkfifo), "no plain file"),
    "a pipe beside": (_replaced("README.md", os.mkfifo), "no plain file"),
    "a socket": (_replaced("README.md", _socket), "no plain file"),
    "a device": (
        _replaced("vocab.json", lambda path: path.symlink_to("/dev/zero")),
        "leads out of the folder",
    ),
    "weights elsewhere": (
        _replaced("model.safetensors", lambda path: path.symlink_to("/etc/passwd")),
        "leads out of the folder",
    ),
    "a folder elsewhere": (
        _replaced("1_Pooling", lambda path: path.symlink_to("/etc")),
        "leads out of the folder",
    ),
    "a link to itself": (
        _replaced("vocab.json", lambda path: path.symlink_to("vocab.json")),
        "leads nowhere",
    ),
    "a vocabulary of 65 MB": (_sized("tokenizer.json", 65 << 20), "larger than 64 MB"),
    "more files than a model has": (
        lambda folder: model_folders.write(folder, {f"{at}.txt": "" for at in range(4097)}),
        "more than 4096 files",
    ),
    "a header of 2 GB in a file of 3": (
        _sized("model.safetensors", 3 << 30, (2 << 30).to_bytes(8, "little")),
        "header is longer than 16 MB",
    ),
    "a header of 16 EB": (
        _file("model.safetensors", (2**64 - 1).to_bytes(8, "little") + bytes(64)),
        "does not fit",
    ),
    "a deep header": (_header(b'{"a": ' + b"[" * 100_000), "cannot be read"),
    "overlapping tensors": (_header(TWICE), "overlap"),
    "a tensor outside": (
        _header({"a": _tensor(data_offsets=[1 << 40, (1 << 40) + 16])}),
        "more or less",
    ),
    "a shape that lies": (_header({"a": _tensor(shape=[1 << 40])}), "fit its shape"),
    "a polyglot: zip behind": (
        lambda folder: model_folders.write(
            folder,
            {"model.safetensors": model_folders.tensors("a") + b"PK\x05\x06" + bytes(18)},
        ),
        "more or less",
    ),
    "an index elsewhere": (
        _sets("model.safetensors.index.json", weight_map={"a": "../../x.safetensors"}),
        "lacks",
    ),
    "a template without end": (_file("chat_template.jinja", "x" * 99_000), "longer than 64,000"),
    "a template of 3 GB": (
        _file("chat_template.jinja", "{{ 'a' * 3000000000 }}"),
        "needs too much memory",
    ),
    "a template that loops": (_file("chat_template.jinja", LOOP), "takes too long"),
    "a template that floods": (_file("chat_template.jinja", FLOOD), "writes far too much"),
    "a template that escapes": (_file("chat_template.jinja", ESCAPE), "cannot write a chat"),
    "a template that is none": (_file("chat_template.jinja", "{% if %}"), "cannot write a chat"),
    "a template in the settings": (
        _template_in_settings,
        "cannot write a chat",
    ),
}


@pytest.mark.T26
def test_hostile_models_are_refused_before_anything_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, proof: Proof
) -> None:
    monkeypatch.chdir(tmp_path)
    taken: list[str] = []
    for name, (spoil, reason) in HOSTILE.items():
        folder = model_folders.base(tmp_path / "m" / str(len(taken)))
        spoil(folder)
        with pytest.raises(BadInput) as refused:
            base_models.prepare(BaseModel("folder", str(folder)), tmp_path)
        assert (name, reason in str(refused.value)) == (name, True), str(refused.value)
        taken.append(name)
        shutil.rmtree(folder)
    assert not (tmp_path / "canary").exists()
    proof(hostile_models=len(HOSTILE), refused=len(taken), canaries=0)


PICTURE = b"\x89PNG\r\n"
USUAL: dict[str, dict[str, bytes | str]] = {
    "a snapshot of Qwen": {
        "generation_config.json": "{}",
        "vocab.json": json.dumps({str(at): at for at in range(300_000)}),
        "merges.txt": "a b",
        "README.md": "# Qwen",
        "LICENSE": "Apache",
        ".gitattributes": "*.safetensors filter=lfs",
    },
    "a snapshot of Gemma": {
        "tokenizer.model": bytes(4_700_000),
        "tokenizer.json": b'{"x": "' + b"a" * 34_000_000 + b'"}',
        "added_tokens.json": "{}",
        "special_tokens_map.json": json.dumps({"bos_token": {"content": "<bos>"}}),
    },
    "a snapshot of Llama with its original": {
        "original/params.json": "{}",
        "original/consolidated.00.pth": PICKLED,
        "original/tokenizer.model": b"x",
        "USE_POLICY.md": "x",
    },
    "weights in two formats, and training remains": {
        "pytorch_model.bin": PICKLED,
        "pytorch_model.bin.index.json": "{}",
        "training_args.bin": PICKLED,
        "trainer_state.json": "[" * 100,
        "all_results.json": '{"a": NaN}',
        "runs/Jan01/events.out.tfevents.1": b"x",
    },
    "other formats beside": {
        "onnx/model.onnx": b"x",
        "onnx/config.json": '{"auto_map": {}}',
        "model.Q4_K_M.gguf": b"GGUF",
        "tf_model.h5": b"x",
        "flax_model.msgpack": b"x",
        "consolidated.safetensors": b"of another loader",
        "tekken.json": "{}",
        "image.png": PICTURE,
    },
    "a clone by git": {
        ".git/hooks/pre-commit": "x",
        ".cache/huggingface/download/config.json.metadata": "x",
        ".DS_Store": b"x",
        "evaluate.py": CODE,
        "requirements.txt": "x",
    },
}


@pytest.mark.parametrize("name", USUAL)
def test_a_usual_download_is_not_refused(tmp_path: Path, name: str) -> None:
    folder = model_folders.base(tmp_path / "model")
    model_folders.write(folder, USUAL[name])
    vetting.vet(folder)


def test_weights_in_shards_are_whole_with_their_index(tmp_path: Path) -> None:
    folder = model_folders.base(tmp_path / "model")
    (folder / "model.safetensors").unlink()
    shards = {f"model-0000{n}-of-00002.safetensors": f"model.layers.{n}.weight" for n in (1, 2)}
    model_folders.write(folder, {file: model_folders.tensors(t) for file, t in shards.items()})
    with pytest.raises(BadInput, match="no index that names its weights"):
        vetting.vet(folder)
    index = json.dumps({"weight_map": {tensor: file for file, tensor in shards.items()}})
    (folder / "model.safetensors.index.json").write_text(index)
    vetting.vet(folder)
    (folder / min(shards)).unlink()
    with pytest.raises(BadInput, match="lacks some of the weight files"):
        vetting.vet(folder)


def test_weights_that_git_did_not_fetch_are_told_as_such(tmp_path: Path) -> None:
    folder = model_folders.base(tmp_path / "model")
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"
    (folder / "model.safetensors").write_text(pointer)
    with pytest.raises(BadInput, match="git lfs pull"):
        vetting.vet(folder)


def test_a_snapshot_in_the_cache_of_the_hub_is_taken(tmp_path: Path) -> None:
    """Its files are links to a store beside it; a link to any other place is refused."""
    cache = tmp_path / "hub" / "models--org--name"
    folder = model_folders.base(cache / "blobs" / "x")
    snapshot = cache / "snapshots" / ("0" * 40)
    (snapshot / "original").mkdir(parents=True)
    for file in folder.iterdir():
        file.rename(cache / "blobs" / f"{file.name}-sha")
        (snapshot / file.name).symlink_to(f"../../blobs/{file.name}-sha")
    (snapshot / "original" / "params.json").symlink_to("../../../blobs/config.json-sha")
    folder.rmdir()
    vetting.vet(snapshot)
    assert verdicts.judge(snapshot, tmp_path).problem == ""
    other = tmp_path / "hub" / "models--org--other" / "blobs"
    other.mkdir(parents=True)
    (other / "sha").write_text("# other")
    (snapshot / "README.md").symlink_to("../../../models--org--other/blobs/sha")
    with pytest.raises(BadInput, match="leads out of the folder"):
        vetting.vet(snapshot)


def test_a_verdict_stands_until_a_file_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = model_folders.base(tmp_path / "models" / "small")
    vetted: list[Path] = []

    def vet(place: Path) -> None:
        vetted.append(place)
        vetting.vet(place)

    monkeypatch.setattr(verdicts, "vet", vet)
    assert verdicts.of(folder, tmp_path) is None
    (offer,) = base_models.listing(tmp_path)[1:]
    assert (offer.ready, "looked through before" in offer.note) == (True, True)
    assert verdicts.judge(folder, tmp_path).problem == ""
    assert verdicts.judge(folder, tmp_path).problem == ""
    assert vetted == [folder]
    (folder / "adapter_config.json").write_text("{}")
    assert verdicts.of(folder, tmp_path) is None
    assert "holds an adapter" in verdicts.judge(folder, tmp_path).problem
    (offer,) = base_models.listing(tmp_path)[1:]
    assert (offer.ready, "holds an adapter" in offer.note) == (False, True)
    assert len(vetted) == 2, "the list reads what is kept"


def test_a_template_is_rendered_once_for_what_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    template = "{{ messages[0]['content'] }} once {% generation %}{% endgeneration %}"
    template_trial.require("m", template, {"bos_token": "<s>"})
    monkeypatch.setattr(template_trial, "_CHILD", Path("/nowhere"))
    template_trial.require("other", template, {"bos_token": "<s>"})


def test_a_child_that_the_system_does_not_limit_is_ended_by_its_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(template_trial, "_MEMORY", 20 << 20)
    grows = "{% for i in range(99999999) %}{% endfor %}"
    with pytest.raises(BadInput, match="too much memory"):
        template_trial.require("m", grows, {})
