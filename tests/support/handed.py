"""What the tests of the exits share: a real adapter of a tiny model, as a finished run left it."""

import warnings
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from curation.gate import readiness
from curation.personal import model_files
from storage import settings
from storage.engine import reading, writing
from storage.types import Adapter
from tests.support import tuned
from tests.support.tiny_model import tiny
from training import asks, reconcile
from training.launch import runs
from training.models import adapters, base_models
from training.records.parts import BaseModel
from training.settings import Lora, Tuning

CHOSEN = Lora(
    r=4,
    alpha=8,
    dropout=0.0,
    targets=("q_proj", "v_proj", "gate_proj", "up_proj", "down_proj"),
    batch_size=2,
)


@pytest.fixture(scope="session")
def models(model_code: None, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A tiny base model and an adapter on it, that nobody changes."""
    del model_code
    folder = tmp_path_factory.mktemp("models")
    base = tiny(folder / "base")
    saved(base, folder / "adapter")
    return base, folder / "adapter"


def saved(base: Path, folder: Path, chosen: Lora = CHOSEN) -> dict[str, str]:
    """An adapter with random weights that is far from doing nothing; sha256 of its files."""
    import torch
    from peft import LoraConfig, get_peft_model

    from training.tuning import saving

    model, tokenizer = base_models.load(base)
    torch.manual_seed(1)
    config = LoraConfig(
        task_type="CAUSAL_LM",
        r=chosen.r,
        lora_alpha=chosen.alpha,
        target_modules=list(chosen.targets),
        init_lora_weights=False,
        use_rslora=chosen.rslora,
        use_dora=chosen.dora,
    )
    folder.parent.mkdir(parents=True, exist_ok=True)
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a worker has them off as well
        patch.setenv("HF_HUB_OFFLINE", "1")  # as in a worker; peft would look for the base there
        return saving.save(get_peft_model(model, config), tokenizer, base.name, folder)


def launched(engine: Engine, story: tuned.Frozen, base: Path, chosen: Tuning) -> Any:  # noqa: ANN401
    """A queued run on a model folder, with every line waived that can be."""
    with reading(engine) as session:
        unmet = readiness.unmet(readiness.report(session, story.project.id))
    if unmet:
        tuned.waive(engine, story.lead, story.project)
    with writing(engine) as session:
        wish = runs.RunPlan(story.version.id, "First run", BaseModel("folder", str(base)), chosen)
        return asks.launch(session, story.lead, wish)


def adapter(
    engine: Engine, story: tuned.Frozen, base: Path, weights: Path, chosen: Tuning = CHOSEN
) -> Adapter:
    """The adapter of a finished run whose worker saved the files in `weights`."""
    job = launched(engine, story, base, chosen)
    files = {
        f"adapter/{path.name}": path.read_bytes() for path in weights.iterdir() if path.is_file()
    }
    result = {
        "steps": 10,
        "libraries": {},
        "base": {"name": "tiny", "sha256": model_files.folder_sha256(base), "revision": None},
        "adapter_sha256": model_files.folder_sha256(weights),
    }
    tuned.finished(engine, job, files, result)
    with reading(engine) as session:
        return next(a for a in adapters.listing(session, story.project.id) if a.job_id == job.id)


def worked(engine: Engine, job: Any) -> None:  # noqa: ANN401
    """Do a job to its end."""
    here = settings.current()
    for one in reconcile.finish_all(engine, here, job.id):
        job = one
    assert job.state == "finished", job.message
