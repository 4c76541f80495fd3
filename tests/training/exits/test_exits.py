"""The exits: each written from one run, refused where it does not fit, hostile names stay data."""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from sqlalchemy import Engine

from curation.personal import model_files
from storage import settings
from storage.engine import reading, writing
from storage.errors import BadInput, RuleBroken, Unavailable
from storage.settings import ROOT
from storage.types import Adapter
from tests.support import handed, tuned
from training import asks
from training.exits import exports, source as sources
from training.exits.registry import EXITS, offered
from training.exits.source import ExportSource
from training.models import adapters, vetting
from training.records.parts import BaseModel
from training.settings import Preference, Qlora
from training.work import jobs

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")

HOSTILE = 'x" !!python/object/apply:os.mkdir ["canary"]\n- a: &b {{ 1 }} $(touch canary) `id` \'; #'


@pytest.fixture
def story(engine: Engine) -> tuned.Frozen:
    return tuned.frozen(engine, 20)


@pytest.fixture
def adapter(engine: Engine, story: tuned.Frozen, models: tuple[Path, Path]) -> Adapter:
    return handed.adapter(engine, story, *models)


@pytest.fixture
def source(engine: Engine, adapter: Adapter) -> Iterator[ExportSource]:
    with reading(engine) as session:
        yield sources.of(session, adapter, settings.current())


def test_every_exit_is_written_from_the_run(engine: Engine, adapter: Adapter) -> None:
    with reading(engine) as session:
        export = exports.build(session, adapter.id, settings.current())
    assert set(export.exits) == set(EXITS) - {"merged"}
    axolotl = yaml.safe_load(export.files["axolotl/config.yaml"])
    factory = yaml.safe_load(export.files["llamafactory/train.yaml"])
    tune = yaml.safe_load(export.files["torchtune/lora.yaml"])
    plain = json.loads(export.files["trl/settings.json"])
    assert {axolotl["lora_r"], factory["lora_rank"], tune["model"]["lora_rank"], plain["r"]} == {4}
    assert axolotl["lora_target_modules"] == factory["lora_target"].split(",") == plain["targets"]
    rates = {axolotl["learning_rate"], factory["learning_rate"], tune["optimizer"]["lr"]}
    assert rates == {plain["learning_rate"]} == {1e-3}
    assert {axolotl["seed"], factory["seed"], tune["seed"], plain["seed"]} == {0}
    assert b"--max-lora-rank 8" in export.files["vllm/serve-adapter.sh"]
    rows = export.files["rows/data/train.jsonl"].decode().splitlines()
    assert len(rows) == adapter.card["version"]["counts"]["train"]
    assert "rows/data/test.jsonl" not in export.files


def test_the_manifest_names_every_file(engine: Engine, adapter: Adapter) -> None:
    with reading(engine) as session:
        export = exports.build(session, adapter.id, settings.current(), ["peft", "vllm"])
    listed = json.loads(export.files["manifest.json"])["files"]
    inside = {f"adapter/{file.name}" for file in export.folders["adapter"].iterdir()}
    assert set(listed) == (set(export.files) - {"manifest.json"}) | inside
    assert export.zipped()[:2] == b"PK"


@pytest.mark.usefixtures("in_process")
def test_a_merged_model_answers_as_base_and_adapter(
    engine: Engine, story: tuned.Frozen, adapter: Adapter, tmp_path: Path
) -> None:
    present = settings.current()
    with writing(engine) as session:
        job = asks.merge(session, story.lead, adapter.id, present)
    handed.worked(engine, job)
    with reading(engine) as session:
        check = (jobs.get(session, job.id).result or {})["check"]
        reasons = exports.merged(session, adapter, present)
        export = exports.build(session, adapter.id, present, ["merged"], base=True)
    assert check["agrees"]
    assert check["same_answers"] == check["prompts"] >= 2
    assert 0 <= check["largest_difference"] < 1e-4
    assert reasons is not None
    assert {"model.safetensors", "chat_template.jinja", "generation_config.json"} <= {
        file.name for file in reasons.iterdir()
    }
    exports.write(export, tmp_path / "out")
    vetting.vet(tmp_path / "out" / "merged")
    assert (tmp_path / "out" / "base" / "config.json").exists()
    with writing(engine) as session, pytest.raises(RuleBroken, match="merged already"):
        asks.merge(session, story.lead, adapter.id, present)
    (reasons / "model.safetensors").write_bytes(b"other")
    with reading(engine) as session, pytest.raises(Unavailable, match="not merged yet"):
        exports.build(session, adapter.id, present, ["merged"])


@pytest.mark.usefixtures("model_code")
def test_a_merge_on_another_base_is_refused() -> None:
    from training.exits import merging

    merging.check_base("a" * 64, None)
    with pytest.raises(RuleBroken, match="not the one that the adapter was trained on"):
        merging.check_base("a" * 64, "b" * 64)


def test_the_trl_script_trains(engine: Engine, adapter: Adapter, tmp_path: Path) -> None:
    with reading(engine) as session:
        export = exports.build(session, adapter.id, settings.current(), ["trl"], base=True)
    exports.write(export, tmp_path / "out")
    done = subprocess.run(
        [sys.executable, "trl/train.py", "--max-steps", "2"],
        cwd=tmp_path / "out",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    final = tmp_path / "out" / "out" / "trl" / "final"
    config = json.loads((final / "adapter_config.json").read_text())
    assert (config["r"], config["lora_alpha"]) == (4, 8)
    assert set(config["target_modules"]) == set(handed.CHOSEN.targets)
    assert (final / "adapter_model.safetensors").stat().st_size > 0


def test_hostile_names_stay_data(source: ExportSource, tmp_path: Path) -> None:
    spoilt = replace(
        source,
        base=BaseModel("hub", HOSTILE, HOSTILE),
        system=HOSTILE + "\n!!python/none",
        served=HOSTILE,
        template=source.template,
    )
    for offer in offered(spoilt):
        for path, content in offer.exit.write(spoilt).items():
            if path.endswith(".yaml"):
                values = yaml.safe_load(content)
                named = {values.get("base_model"), values.get("model_name_or_path")} - {None}
                assert named <= {HOSTILE}
            elif path.endswith("settings.json"):
                assert json.loads(content)["base"] == HOSTILE
            elif path.endswith(".py"):
                assert HOSTILE[:8].encode() not in content
            elif path.endswith(".sh"):
                _named_as_one_word(content, tmp_path)


def _named_as_one_word(script: bytes, folder: Path) -> None:
    """Run the script with a `vllm` that only tells its arguments."""
    fake = folder / "vllm"
    fake.write_text("#!/bin/sh\nfor one; do printf '%s\\0' \"$one\"; done\n")
    fake.chmod(0o755)
    done = subprocess.run(
        ["/bin/sh", "-c", script.decode()],
        cwd=folder,
        capture_output=True,
        check=True,
        env={"PATH": f"{folder}:/usr/bin:/bin"},
    )
    reason = done.stdout.decode().split("\0")
    assert HOSTILE in reason or any(HOSTILE in word and "=" in word for word in reason)
    assert not (folder / "canary").exists()


def test_a_modelfile_closes_its_quotes(source: ExportSource) -> None:
    content = EXITS["ollama"].write(source)["ollama/Modelfile"].decode()
    assert content.count('"""') == 4
    assert "FROM ../merged" in content
    for system in ('a """ b', '"quoted"'):
        assert "quotation marks" in (EXITS["ollama"].refuses(replace(source, system=system)) or "")
    unknown_template = replace(source, template=source.template + " ")
    assert "does not know" in (EXITS["ollama"].refuses(unknown_template) or "")


@pytest.mark.parametrize(
    ("changes", "exit_", "reason"),
    [
        ({"kind": "full"}, "merged", "whole model already"),
        ({"kind": "full"}, "peft", "whole model already"),
        ({"kind": "provider"}, "vllm", "stays with the provider"),
        ({"settings": None}, "axolotl", "trained elsewhere"),
        ({"settings": Preference()}, "trl", "preference pairs"),
        ({"settings": Qlora()}, "torchtune", "full precision only"),
        ({"config": {}}, "torchtune", "not on this server"),
        ({"config": {"model_type": "gemma"}}, "torchtune", "plain Llama shape"),
    ],
)
def test_what_does_not_fit_is_not_offered(
    source: ExportSource, changes: dict[str, Any], exit_: str, reason: str
) -> None:
    reasons = {offer.exit.name: offer.why_not for offer in offered(replace(source, **changes))}
    assert reason in (reasons[exit_] or "")
    assert all(why is None for why in (offer.why_not for offer in offered(source)))


def test_a_whole_model_needs_no_merging(source: ExportSource) -> None:
    full = replace(source, kind="full")
    assert b"vllm serve ./model" in EXITS["vllm"].write(full)["vllm/serve.sh"]
    assert b"FROM ../model" in EXITS["ollama"].write(full)["ollama/Modelfile"]
    assert "adapter" not in yaml.safe_load(EXITS["axolotl"].write(full)["axolotl/config.yaml"])


def test_unknown_names_and_changed_files_are_refused(
    engine: Engine, adapter: Adapter, tmp_path: Path
) -> None:
    present = settings.current()
    with reading(engine) as session:
        with pytest.raises(BadInput, match="no exit onnx"):
            exports.build(session, adapter.id, present, ["onnx"])
        export = exports.build(session, adapter.id, present, ["peft"])
        with pytest.raises(BadInput, match="Name a new folder"):
            exports.write(export, tmp_path)
        (present.data / adapter.path / "adapter_model.safetensors").write_bytes(b"other")
        with pytest.raises(Unavailable, match="missing or changed"):
            exports.build(session, adapter.id, present, ["peft"])


def test_the_command_writes_a_folder(adapter: Adapter, tmp_path: Path) -> None:
    command = [
        "export",
        f"adapter@{adapter.number}",
        "--to",
        str(tmp_path / "out"),
        "--exit",
        "ollama",
    ]
    done = subprocess.run(
        [sys.executable, "-m", "training", *command],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Saved ollama" in done.stdout
    listed = json.loads((tmp_path / "out" / "manifest.json").read_text())["files"]
    for name in ("ollama/Modelfile", "adapter/adapter_model.safetensors", "card.md"):
        assert (tmp_path / "out" / name).exists()
    hashes = model_files.file_hashes(tmp_path / "out" / "adapter")
    assert listed["adapter/adapter_model.safetensors"] == hashes["adapter_model.safetensors"]


def test_served_names_are_plain_words(engine: Engine, adapter: Adapter) -> None:
    assert sources.served_name("Desk", adapter) == f"assay/desk/adapter@{adapter.number}"
    assert sources.served_name("../../ö;`x`", adapter) == f"assay/x/adapter@{adapter.number}"
    assert sources.served_name("日本", adapter).startswith("assay/project-")
    with reading(engine) as session:
        assert adapters.get(session, adapter.id).name
