"""Hostile adapters: each is refused before anything is loaded, and no code runs.

RELIABILITY T26; base models stand in `tests/training/models/test_hostile_folders.py`. All go
through `keep`, which the verb calls with the folder or zip that a person named. A canary file would
tell if any of them ran.
"""

import io
import json
import os
import pickle
import shutil
import stat
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from storage import settings
from storage.engine import reading, writing
from storage.errors import BadInput, RuleBroken, Unavailable
from storage.settings import ROOT
from storage.types import Adapter, JobKind
from tests.support import tuned
from tests.support.proofs import Proof
from training import asks
from training.exits import exports
from training.lifecycle import adapter_cards, adapter_files, imports, standing
from training.models import base_models
from training.records.parts import BaseModel
from training.work import jobs

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")

WEIGHTS, CONFIG = "adapter_model.safetensors", "adapter_config.json"
Spoil = Callable[[Path], object]


@pytest.fixture
def came(models: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the adapter's folder to spoil; what runs would leave its canary beside it."""
    monkeypatch.chdir(tmp_path)
    return Path(shutil.copytree(models[1], tmp_path / "came"))


class _Canary:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, ("canary",)


PICKLED = pickle.dumps(_Canary())
CODE = b"import os; os.mkdir('canary')"


def _file(name: str, content: bytes) -> Spoil:
    def spoil(folder: Path) -> None:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)

    return spoil


def _sets(name: str = CONFIG, **changes: object) -> Spoil:
    def spoil(folder: Path) -> None:
        path = folder / name
        values: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
        path.write_text(json.dumps(values | changes))

    return spoil


def _header(change: Callable[[dict[str, Any]], object], name: str = WEIGHTS) -> Spoil:
    """Write the weights with another header, its length set right."""

    def spoil(folder: Path) -> None:
        content = (folder / name).read_bytes()
        length = int.from_bytes(content[:8], "little")
        header = json.loads(content[8 : 8 + length])
        made = change(header)
        told = made if isinstance(made, bytes) else json.dumps(header).encode()
        whole = len(told).to_bytes(8, "little") + told + content[8 + length :]
        (folder / name).write_bytes(whole)

    return spoil


def _first(header: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = header[min(name for name in header if name != "__metadata__")]
    return found


def _appended(extra: bytes, name: str = WEIGHTS) -> Spoil:
    def spoil(folder: Path) -> None:
        with (folder / name).open("ab") as file:
            file.write(extra)

    return spoil


def _zip_of(member: str, content: bytes) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr(member, content)
    return made.getvalue()


def _length(value: int, name: str = WEIGHTS) -> Spoil:
    def spoil(folder: Path) -> None:
        with (folder / name).open("r+b") as file:
            file.write(value.to_bytes(8, "little"))

    return spoil


def _pickled_weights(folder: Path) -> None:
    (folder / WEIGHTS).unlink()
    (folder / "adapter_model.bin").write_bytes(PICKLED)


def _linked(folder: Path) -> None:
    (folder / WEIGHTS).unlink()
    (folder / WEIGHTS).symlink_to("/etc/passwd")


def _pipe(folder: Path) -> None:
    os.mkfifo(folder / "README.md")


def _other_template(folder: Path) -> None:
    (folder / "chat_template.jinja").unlink()
    _sets("tokenizer_config.json", chat_template=ESCAPE.decode())(folder)


def _nan(folder: Path) -> None:
    content = bytearray((folder / WEIGHTS).read_bytes())
    content[-4:] = b"\x00\x00\xc0\x7f"
    (folder / WEIGHTS).write_bytes(content)


def _overlap(header: dict[str, Any]) -> None:
    by_shape: dict[str, str] = {}
    for name, one in header.items():
        if name != "__metadata__":
            twin = by_shape.setdefault(str(one["shape"]), name)
            one["data_offsets"] = header[twin]["data_offsets"]


def _outside(header: dict[str, Any]) -> None:
    one = _first(header)
    size = one["data_offsets"][1] - one["data_offsets"][0]
    one["data_offsets"] = [1 << 40, (1 << 40) + size]


LOOP = b"{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}"
ESCAPE = b"{{ ''.__class__.__mro__[1].__subclasses__()[99]('mkdir canary', shell=True) }}"

ADAPTERS: dict[str, tuple[Spoil, str]] = {
    "pickled weights": (_pickled_weights, "pickled file"),
    "a pickle under another name": (_file(WEIGHTS, PICKLED), "header"),
    "pickled training arguments": (_file("training_args.bin", PICKLED), "pickled file"),
    "a pickled optimizer": (_file("checkpoint-5/optimizer.pt", PICKLED), "pickled file"),
    "code": (_file("modeling_x.py", CODE), "holds code"),
    "compiled code, deeper": (_file("a/b/__init__.cpython-311.so", CODE), "holds code"),
    "auto_map with code": (
        lambda f: (_file("m.py", CODE)(f), _sets(auto_map={"AutoModel": "m.X"})(f)),
        "holds code",
    ),
    "auto_map without code": (_sets(auto_map={"AutoModel": "org/m--m.X"}), "sets auto_map"),
    "nested trust_remote_code": (
        _sets(loftq_config={"x": [{"trust_remote_code": True}]}),
        "sets trust_remote_code",
    ),
    "auto_mapping": (
        _sets(auto_mapping={"base_model_class": "X", "parent_library": "antigravity"}),
        "sets auto_mapping",
    ),
    "a module to import": (_sets(megatron_config={}, megatron_core="antigravity"), "megatron_core"),
    "modules saved beside": (_sets(modules_to_save=["lm_head"]), "modules_to_save"),
    "a pattern for layers": (_sets(target_modules="(a+)+$"), "target_modules"),
    "layers of no model": (_sets(target_modules=["__class__"]), "target_modules"),
    "another kind of adapter": (_sets(peft_type="PROMPT_TUNING"), "peft_type"),
    "an enormous rank": (_sets(r=10**9), "give r as a number"),
    "a rank that is no number": (_sets(r="4; import os"), "give r as a number"),
    "a path as base": (_sets(base_model_name_or_path="/etc"), "is a path"),
    "a path upwards as base": (_sets(base_model_name_or_path="a/../../b"), "is a path"),
    "an address as base": (_sets(base_model_name_or_path="https://e.example/m"), "is a path"),
    "a share as base": (_sets(base_model_name_or_path="\\\\host\\share"), "is a path"),
    "a bottomless configuration": (_file(CONFIG, b"[" * 200_000), "nested more than 32"),
    "a configuration that is none": (_file(CONFIG, b"[]"), "no JSON object"),
    "a header of 2 GB": (_length(2 << 30), "header does not fit"),
    "a header of 16 EB": (_length(2**64 - 1), "header does not fit"),
    "a header that is no JSON": (_header(lambda _h: b"\x80\x04x."), "cannot be read"),
    "a header with a name twice": (_header(lambda _h: b'{"a": {}, "a": {}}'), "cannot be read"),
    "a polyglot: zip behind": (_appended(_zip_of("m.py", CODE)), "more or less"),
    "a polyglot: pickle behind": (_appended(PICKLED), "more or less"),
    "tensors that overlap": (_header(_overlap), "overlap"),
    "a tensor outside the file": (_header(_outside), "something between"),
    "a shape that lies": (_header(lambda h: _first(h).update(shape=[1 << 40])), "fit its shape"),
    "a negative place": (_header(lambda h: _first(h).update(data_offsets=[-8, 0])), "impossible"),
    "numbers of no kind": (_header(lambda h: _first(h).update(dtype="OBJ")), "unknown kind"),
    "notes that are no words": (_header(lambda h: h.update(__metadata__={"a": [1]})), "notes"),
    "tensors of no layer": (
        _header(
            lambda h: h.update(
                {
                    "base_model.model.os.lora_A.weight": h.pop(
                        min(n for n in h if n != "__metadata__")
                    )
                }
            )
        ),
        "have no place",
    ),
    "weights that are not finite": (_nan, "not a finite number"),
    "a template that never ends": (_file("chat_template.jinja", LOOP), "another chat template"),
    "a template that escapes": (_file("chat_template.jinja", ESCAPE), "another chat template"),
    "a template in the tokenizer's settings": (
        _other_template,
        "another chat template",
    ),
    "a link": (_linked, "holds a link"),
    "a pipe": (_pipe, "no plain file"),
}


def _take(engine: Engine, story: tuned.Frozen, source: Path, base: Path) -> Adapter:
    """Looked through while others may write, then taken in."""
    named, present = BaseModel("folder", str(base)), settings.current()
    with reading(engine) as session:
        files = imports.look_through(session, story.lead, story.project.id, source, named, present)
    with writing(engine) as session:
        return imports.take(session, story.lead, story.project.id, files, "Theirs", present)


@pytest.fixture(scope="module")
def vetted_without_torch() -> set[str]:
    """The model libraries that are imported once everything that vets is."""
    code = (
        "import sys; from training.lifecycle import imports, adapter_vetting, incoming\n"
        "print([m for m in ('torch', 'transformers', 'peft', 'safetensors') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return set(json.loads(done.stdout.replace("'", '"')))


def test_vetting_loads_no_model_library(vetted_without_torch: set[str]) -> None:
    assert vetted_without_torch == set()


@pytest.mark.T26
def test_hostile_adapters_are_refused(came: Path, models: tuple[Path, Path], proof: Proof) -> None:
    for name, (spoil, words) in ADAPTERS.items():
        folder = Path(shutil.copytree(came, came.parent / "spoilt"))
        spoil(folder)
        home = came.parent / "jobs" / "x"
        home.parent.mkdir(exist_ok=True)
        with pytest.raises(BadInput) as refused:
            imports.keep(folder, models[0], home / "adapter", BaseModel("folder", str(models[0])))
        assert (name, words in str(refused.value)) == (name, True), str(refused.value)
        assert str(refused.value).endswith(".")
        assert not (home / "adapter").exists()
        shutil.rmtree(folder)
    assert not Path("canary").exists()
    proof(hostile_adapters=len(ADAPTERS), refused=len(ADAPTERS), canaries=0)


def _zipped(folder: Path, target: Path, **extra: bytes) -> Path:
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(folder.iterdir()):
            archive.write(file, f"theirs/{file.name}")
        for name, content in extra.items():
            archive.writestr(name, content)
    return target


def _link(archive: zipfile.ZipFile) -> None:
    one = zipfile.ZipInfo("theirs/README.md")
    one.external_attr = (stat.S_IFLNK | 0o777) << 16
    archive.writestr(one, "/etc/passwd")


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda a: a.writestr("../evil.json", "{}"), "outside its folder"),
        (lambda a: a.writestr("/etc/evil.json", "{}"), "outside its folder"),
        (lambda a: a.writestr("C:evil.json", "{}"), "outside its folder"),
        (lambda a: a.writestr("theirs\\evil.json", "{}"), "outside its folder"),
        (lambda a: a.writestr("theirs/README.md", b"0" * 80_000_000), "times its size"),
        (lambda a: [a.writestr(f"theirs/{i}.txt", "") for i in range(80)], "more than 64 files"),
        (lambda a: a.writestr(f"theirs/{CONFIG.upper()}", "{}"), "a file twice"),
        (_link, "holds a link"),
        (lambda a: a.writestr("theirs/x.py", CODE), "holds code"),
        (lambda a: a.writestr("theirs/inner.zip", b""), "no adapter needs"),
    ],
)
def test_a_hostile_zip_is_refused(
    came: Path,
    models: tuple[Path, Path],
    spoil: Any,  # noqa: ANN401 - any of the functions above
    words: str,
) -> None:
    source = _zipped(came, came.parent / "came.zip")
    with zipfile.ZipFile(source, "a", zipfile.ZIP_DEFLATED) as archive:
        spoil(archive)
    (came.parent / "jobs").mkdir()
    home = came.parent / "jobs" / "x" / "adapter"
    with pytest.raises(BadInput, match=words):
        imports.keep(source, models[0], home, BaseModel("folder", str(models[0])))
    assert not home.exists()
    assert not (came.parent / "evil.json").exists()


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", PICKLED, b"PK\x05\x06" + b"\0" * 18])
def test_what_is_no_zip_is_refused(
    tmp_path: Path, models: tuple[Path, Path], content: bytes
) -> None:
    source = tmp_path / "x.zip"
    source.write_bytes(content)
    with pytest.raises(BadInput, match=r"no zip|There is no adapter_config"):
        imports.keep(source, models[0], tmp_path / "x" / "adapter", BaseModel("packaged"))


def test_an_adapter_is_taken_in_and_judged_like_others(
    engine: Engine, came: Path, models: tuple[Path, Path]
) -> None:
    story = tuned.frozen(engine, 20)
    source = _zipped(came, came.parent / "came.zip", **{"theirs/README.md": b"# Theirs"})
    made = _take(engine, story, source, models[0])
    here = settings.current()
    folder = adapter_files.intact(made, here)
    assert {file.name for file in folder.iterdir()} == {CONFIG, WEIGHTS, "chat_template.jinja"}
    assert (folder / WEIGHTS).read_bytes() == (came / WEIGHTS).read_bytes()
    config = json.loads((folder / CONFIG).read_text())
    assert config.keys() >= {"r", "lora_alpha", "target_modules"}
    assert (config["r"], config["lora_alpha"]) == (4, 8)
    assert "auto_mapping" not in config
    with reading(engine) as session:
        assert jobs.listing(session, story.project.id, JobKind.TRAIN) == []
        card = adapter_cards.build(session, made)
        words = adapter_cards.markdown(card)
        assert standing.troubles(session, made, here) == []
        export = exports.build(session, made.id, here)
    assert "pairs and steps are not known" in words
    assert "Approvals" not in words
    assert "held-out pairs may be among them" in card["limits"][0]
    assert set(export.exits) == {"peft", "vllm", "ollama"}
    assert "how is not known" in export.left_out["axolotl"]
    with writing(engine) as session:
        job = asks.evaluate(session, story.lead, story.version.id, BaseModel("packaged"), made.id)
    assert job.spec["adapter"]["sha256"] == made.sha256
    _answers_alike(models, folder, made.sha256)
    with pytest.raises(RuleBroken, match="here already"):
        _take(engine, story, source, models[0])
    assert len(list(here.jobs.glob("*/adapter"))) == 1


def _answers_alike(models: tuple[Path, Path], folder: Path, sha256: str) -> None:
    """The files written anew say what the ones that came say."""
    from training.models import tuned_models
    from training.proving import generate

    said = []
    for one, known in ((models[1], None), (folder, sha256)):
        model, tokenizer = base_models.load(models[0])
        tuned_model = tuned_models.with_adapter(model, one, known)
        said.append(generate.answers(tuned_model, tokenizer, "S", ["a", "b"], 8))
    assert said[0] == said[1]


def test_what_is_missing_is_said(engine: Engine, came: Path, models: tuple[Path, Path]) -> None:
    story = tuned.frozen(engine, 20)
    with pytest.raises(Unavailable, match="not on this server yet"):
        _take(engine, story, came, came.parent / "nowhere")
    with pytest.raises(BadInput, match="no such folder or zip"):
        _take(engine, story, came.parent / "nothing.zip", models[0])
    _sets(r=8)(came)
    with pytest.raises(BadInput, match="other sizes"):
        _take(engine, story, came, models[0])
    assert not list(settings.current().jobs.glob("*/adapter"))
