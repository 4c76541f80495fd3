"""Base models: the packaged one is converted once, folders that could run code are refused."""

import json
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from curation.personal import model_files
from storage.errors import AssayError, BadInput, Unavailable
from storage.settings import ROOT
from tests.support.tiny_model import models_folder, packaged
from training.families import FAMILIES, LAYERS, Family
from training.models import base_models, fetching, render
from training.models.base_models import prepare
from training.models.vetting import vet
from training.records.parts import BaseModel
from training.settings import Lora

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")


@pytest.fixture
def folder(small: Path, tmp_path: Path) -> Path:
    """A copy to spoil."""
    return Path(shutil.copytree(small, tmp_path / "spoilt"))


def test_the_packaged_model_is_offered_before_it_is_converted(tmp_path: Path) -> None:
    (offer,) = base_models.listing(tmp_path)
    assert (offer.name, offer.licence, offer.ready) == (
        "SmolLM2-135M-Instruct",
        "Apache-2.0",
        False,
    )


def test_the_list_needs_no_torch() -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from training import worker; from training.models import base_models\n"
        "from training.work import evidence\n"
        "base_models.listing(Path('.'))\n"
        "sys.exit(bool({'torch', 'transformers'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_the_layers_to_tune_come_from_the_base_model(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = BaseModel("folder", str(folder))
    assert base_models.tunable_layers(base, folder.parent) == Lora(targets=LAYERS).targets
    fused = Family("llama", ("qkv_proj", "o_proj"))
    monkeypatch.setitem(FAMILIES, "llama", fused)
    assert base_models.tunable_layers(base, folder.parent) == ("qkv_proj", "o_proj")
    not_fetched = BaseModel("hub", "some/model")
    assert base_models.tunable_layers(not_fetched, folder.parent) == LAYERS


@pytest.mark.usefixtures("model_code")
def test_the_packaged_model_is_whole_and_ends_its_turn() -> None:
    folder = packaged()
    assert {"model.safetensors", "chat_template.jinja", "config.json"} <= {
        path.name for path in folder.path.iterdir()
    }
    assert packaged() == folder, "preparing again changes nothing"
    model, tokenizer = base_models.load(folder.path)
    assert tokenizer.eos_token == "<|im_end|>"
    assert model.generation_config.eos_token_id == tokenizer.eos_token_id == 2
    assert str(model.dtype) == "torch.float32"
    turns = render.chat_text(tokenizer, render.messages("S", "P")).split("<|im_start|>")
    assert turns == ["", "system\nS<|im_end|>\n", "user\nP<|im_end|>\n", "assistant\n"]


def test_a_killed_conversion_leaves_nothing_that_counts(tmp_path: Path) -> None:
    final = tmp_path / "model"
    (tmp_path / ".model-making-old").mkdir()
    (tmp_path / ".model-making-old" / "config.json").write_text("{}")
    with pytest.raises(FileNotFoundError), fetching._atomic_folder(final) as temporary:
        (temporary / "absent").unlink()
    assert list(tmp_path.iterdir()) == []
    with fetching._atomic_folder(final) as temporary:
        (temporary / "config.json").write_text("{}")
    assert [path.name for path in tmp_path.rglob("*")] == ["model", "config.json"]


def test_a_good_folder_is_listed_and_prepared(small: Path) -> None:
    data = small.parent.parent
    renamed = data / "models"
    if not renamed.exists():
        small.parent.rename(renamed)
    try:
        offers = base_models.listing(data)
        assert [(o.name, o.ready) for o in offers[1:]] == [("small", True)]
        ready = prepare(offers[1].base, data)
        assert ready.sha256 == model_files.folder_sha256(renamed / "small")
    finally:
        renamed.rename(small.parent)


def _spoil(folder: Path, name: str, **changes: object) -> None:
    path = folder / name
    values: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps(values | changes))


class _Canary:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, ("canary",)


def _pickled(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(_Canary()))


def _no_template(folder: Path) -> None:
    (folder / "chat_template.jinja").unlink()


def _long_template(folder: Path) -> None:
    (folder / "chat_template.jinja").write_text("x" * 70_000)


def _code(folder: Path) -> None:
    (folder / "sub").mkdir()
    (folder / "sub" / "modeling_x.py").write_text("")


def _auto_map(folder: Path) -> None:
    _spoil(folder, "config.json", auto_map={"AutoModelForCausalLM": "evil.Model"})


def _nested_trust(folder: Path) -> None:
    _spoil(folder, "config.json", text_config={"list": [{"trust_remote_code": True}]})


def _tokenizer_map(folder: Path) -> None:
    _spoil(folder, "tokenizer_config.json", auto_map={"AutoTokenizer": ["evil.T", None]})


def _unknown_type(folder: Path) -> None:
    _spoil(folder, "config.json", model_type="evil")


def _no_config(folder: Path) -> None:
    (folder / "config.json").write_text("[" * 200_000)


def _huge_header(folder: Path) -> None:
    with (folder / "model.safetensors").open("r+b") as file:
        file.write((2 << 30).to_bytes(8, "little"))


def _index_elsewhere(folder: Path) -> None:
    _spoil(folder, "model.safetensors.index.json", weight_map={"a": "../../else.safetensors"})


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_pickled, "no safetensors"),
        (_no_template, "no chat template"),
        (_long_template, "longer than 64,000"),
        (_code, "Python files"),
        (_auto_map, "config.json of spoilt sets auto_map"),
        (_nested_trust, "sets trust_remote_code"),
        (_tokenizer_map, "tokenizer_config.json of spoilt sets auto_map"),
        (_unknown_type, "model type"),
        (_no_config, "config.json"),
        (_huge_header, "header does not fit"),
        (_index_elsewhere, "lacks some of the weight files"),
    ],
)
def test_hostile_folders_are_refused_before_loading(folder: Path, spoil: Any, message: str) -> None:  # noqa: ANN401 - any of the functions above
    vet(folder)
    spoil(folder)
    with pytest.raises(BadInput, match=message):
        prepare(BaseModel("folder", str(folder)), folder.parent)
    assert not Path("canary").exists()


@pytest.mark.T26
def test_pickles_and_code_beside_the_weights_are_never_opened(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What vetting leaves alone is left alone by the loader too: the canary would tell."""
    monkeypatch.chdir(tmp_path)
    for name in ("pytorch_model.bin", "training_args.bin", "original/consolidated.00.pth"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(pickle.dumps(_Canary()))
    (folder / "evaluate.py").write_text("import os; os.mkdir('canary')")
    ready = prepare(BaseModel("folder", str(folder)), tmp_path)
    base_models.load(ready.path)
    assert not Path("canary").exists()


def test_the_template_that_was_judged_is_the_one_that_is_rendered(folder: Path) -> None:
    """Others in the folder would take its place, were the library asked."""
    others = folder / "additional_chat_templates"
    others.mkdir()
    (others / "default.jinja").write_text("{{ 'evil' }}")
    (folder / "chat_template.jinja").write_text(
        "{%- for m in messages %}\r\n{{ m['content'] }}!{% endfor %}", newline=""
    )
    _, tokenizer = base_models.load(folder)
    assert render.chat_text(tokenizer, render.messages("S", "P")) == "S!P!"


def test_a_template_without_end_is_stopped(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loops = "{% for i in range(9999) %}{% for j in range(9999) %}{% endfor %}{% endfor %}"
    (folder / "chat_template.jinja").write_text(loops)
    monkeypatch.setattr(base_models, "TEMPLATE_SECONDS", 0.3)
    with pytest.raises(BadInput, match="takes too long"):
        base_models.load(folder)


@pytest.mark.parametrize(
    ("base", "message"),
    [
        (BaseModel("folder", "relative"), "whole path"),
        (BaseModel("folder", "/nowhere/at/all"), "no folder of that name"),
        (BaseModel("hub", "../../etc"), "no hub id"),
        (BaseModel("hub", "org/name/more"), "no hub id"),
    ],
)
def test_places_that_are_none(base: BaseModel, message: str, tmp_path: Path) -> None:
    with pytest.raises(AssayError, match=message):
        prepare(base, tmp_path)


def test_the_hub_offline_is_one_sentence(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from training.models.base_models import BaseModel, prepare\n"
        "from storage.errors import Unavailable\n"
        "try: prepare(BaseModel('hub', 'org/name'), Path(sys.argv[1]))\n"
        "except Unavailable as error: print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        cwd=ROOT,
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith("org/name could not be fetched from the Hugging Face hub")
    assert not list((tmp_path / "models").glob("[!.]*"))


def test_a_missing_package_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "_GGUF", "another.gguf")
    with pytest.raises(Unavailable, match="make install"):
        prepare(BaseModel("packaged"), tmp_path)


def test_the_shared_models_are_where_tests_look() -> None:
    assert models_folder().is_dir()
