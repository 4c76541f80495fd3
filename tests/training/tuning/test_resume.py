"""Runs that are killed and go on: the same adapter to the last bit, or a refusal that says why."""

import json
import math
import random
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
from msgspec import UNSET

from tests.support.patience import until
from tests.support.tiny_model import rows, started, training_job
from training.tuning import checkpoints
from training.work import evidence
from training.worker import DISK_FULL, work

pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.usefixtures("model_code")]

LINES = rows(26) + rows(7, "validation", first=100)
"""26 rows in batches of 4: the last step of a pass has 2."""
CHOSEN: dict[str, Any] = {
    "epochs": 3,
    "batch_size": 4,
    "dropout": 0.2,
    "patience": 3,
    "checkpoint_steps": 3,
    "learning_rate": 0.03,
}


@pytest.fixture(scope="module")
def whole(small: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run that was never interrupted."""
    directory = tmp_path_factory.mktemp("jobs") / "whole"
    assert work(training_job(directory, small, LINES, **CHOSEN)) == 0
    return directory


def _result(directory: Path) -> dict[str, Any]:
    found = evidence.read_result(directory)
    assert found is not None
    return found


def _steps(directory: Path) -> int:
    return max(
        (e.step for e in evidence.read_events(directory)[0] if e.loss is not UNSET), default=0
    )


def _killed_at(directory: Path, step: int) -> None:
    """Run in a process of its own until it has done this step, then kill it."""
    child = started(directory)
    until(lambda: _steps(directory) >= step or child.poll() is not None)
    child.send_signal(signal.SIGKILL)
    child.wait()


def _going_on(source: Path, directory: Path) -> Path:
    """A job directory that goes on from the newest checkpoint of another, as `runs` makes it."""
    spec = json.loads((source / "spec.json").read_text())
    found, _refused = checkpoints.newest(source)
    assert found is not None
    directory.mkdir()
    shutil.copy(source / "rows.jsonl", directory)
    checkpoints.adopt(source, found.step, found.sha256, directory)
    evidence.copy_events(source, directory, found.step)
    spec["resumed_from"] = {"job": source.name, "step": found.step, "sha256": found.sha256}
    (directory / "spec.json").write_text(json.dumps(spec))
    return directory


def _furthest(one: Path, other: Path) -> float:
    """The largest difference between the weights of two adapters."""
    from safetensors.torch import load_file

    first, second = (load_file(d / "adapter" / "adapter_model.safetensors") for d in (one, other))
    assert set(first) == set(second)
    return max(float((first[name] - second[name]).abs().max()) for name in first)


def _same_course(one: Path, other: Path) -> None:
    kept = (
        "steps",
        "train_loss",
        "validation_curve",
        "validation_loss",
        "stopped_early",
        "epochs",
        "trained_tokens",
        "adapter_sha256",
    )
    first, second = _result(one), _result(other)
    assert {name: first[name] for name in kept} == {name: second[name] for name in kept}


def _only(source: Path, step: int, directory: Path) -> Path:
    """A job directory as it was when this checkpoint was the last."""
    shutil.copytree(source, directory)
    (one,) = (one for one in checkpoints.recorded(source) if one.step == step)
    line = {"step": step, "sha256": one.sha256, "size": one.size}
    evidence.write_json(directory / "checkpoints.json", {"checkpoints": [line]})
    return directory


@pytest.fixture(scope="module")
def every(small: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same run with a checkpoint after every step, all kept."""
    directory = tmp_path_factory.mktemp("jobs") / "every"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoints, "RETAINED", 1000)
        job = training_job(directory, small, LINES, **(CHOSEN | {"checkpoint_steps": 1}))
        assert work(job) == 0
    return directory


def test_a_killed_run_goes_on_to_the_same_weights(small: Path, whole: Path, tmp_path: Path) -> None:
    """Killed at some step of the second pass, with dropout and joined batches."""
    part = training_job(tmp_path / "part", small, LINES, **CHOSEN)
    _killed_at(part, random.Random(7).randint(9, 13))
    assert evidence.read_result(part) is None
    last = _going_on(part, tmp_path / "last")
    assert work(last) == 0, _result(last)["message"]
    assert _furthest(whole, last) == 0.0
    _same_course(whole, last)
    events = [e.step for e in evidence.every_event(last) if e.loss is not UNSET]
    assert events == [e.step for e in evidence.every_event(whole) if e.loss is not UNSET]


@pytest.mark.parametrize("step", [7, 10, 20])
def test_each_checkpoint_leads_to_the_same_end(
    every: Path, whole: Path, tmp_path: Path, step: int
) -> None:
    """At the end of a pass (after its evaluation), within a later one, before the last step."""
    assert _furthest(whole, every) == 0.0, "writing checkpoints changes nothing"
    last = _going_on(_only(every, step, tmp_path / "only"), tmp_path / "last")
    assert work(last) == 0, _result(last)["message"]
    assert _furthest(whole, last) == 0.0
    _same_course(every, last)


def test_the_best_weights_and_the_patience_are_known_again(small: Path, tmp_path: Path) -> None:
    """The best weights are those of an early pass, and the run stops early in the part that went
    on.
    """
    wrong = [{**row, "response": "never seen words"} for row in rows(7, "validation", first=100)]
    chosen = CHOSEN | {"epochs": 20, "patience": 2, "learning_rate": 0.05, "checkpoint_steps": 7}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoints, "RETAINED", 1000)
        early = training_job(tmp_path / "early", small, rows(26) + wrong, **chosen)
        assert work(early) == 0
    result = _result(early)
    assert result["stopped_early"]
    best = min(result["validation_curve"], key=lambda point: point["loss"])["step"]
    step = max(one.step for one in checkpoints.recorded(early))
    assert best <= step < result["steps"]
    last = _going_on(_only(early, step, tmp_path / "only"), tmp_path / "last")
    assert work(last) == 0
    assert _furthest(early, last) == 0.0
    _same_course(early, last)


def test_a_run_stopped_on_request_is_kept_and_can_go_on(
    small: Path, whole: Path, tmp_path: Path
) -> None:
    part = training_job(tmp_path / "part", small, LINES, **CHOSEN)
    evidence.request_stop(part)
    assert work(part) == 0
    result = _result(part)
    assert result["state"] == "finished"
    assert result["message"] == (
        "Stopped by request at step 1 of 21; the weights of the lowest validation loss are kept."
    )
    assert [point["step"] for point in result["validation_curve"]] == [1]
    assert (part / "adapter" / "adapter_model.safetensors").exists()
    last = _going_on(part, tmp_path / "last")
    assert work(last) == 0
    assert _furthest(whole, last) == 0.0
    assert len(_result(last)["validation_curve"]) == 3


def test_nothing_goes_on_from_a_changed_checkpoint_or_with_other_rows(
    every: Path, tmp_path: Path
) -> None:
    changed = _going_on(_only(every, 7, tmp_path / "only"), tmp_path / "changed")
    path = changed / "checkpoints" / "checkpoint-7" / "optimizer.pt"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    assert work(changed) == 1
    assert "optimizer.pt of checkpoint 7 has changed" in _result(changed)["message"]
    other = _going_on(tmp_path / "only", tmp_path / "other")
    spec = json.loads((other / "spec.json").read_text())
    spec["settings"]["learning_rate"] = 0.01
    (other / "spec.json").write_text(json.dumps(spec))
    assert work(other) == 1
    assert "the settings changed since" in _result(other)["message"]


def test_a_run_that_diverges_keeps_the_checkpoint_before(small: Path, tmp_path: Path) -> None:
    """The loss becomes no number at step 5; nothing of it is kept, and what was before is."""
    from transformers import TrainerControl, TrainerState, TrainingArguments

    from training.tuning.watch import Watch

    went = Watch.on_log

    def spoilt(
        self: Watch,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **more: object,
    ) -> None:
        lost = {"loss": math.nan} if state.global_step == 5 and "loss" in (logs or {}) else {}
        went(self, args, state, control, (logs or {}) | lost, **more)

    directory = training_job(tmp_path / "run", small, LINES, **CHOSEN)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Watch, "on_log", spoilt)
        assert work(directory) == 1
    result = _result(directory)
    assert (result["state"], result["diverged"]) == ("failed", True)
    assert "no number at step 5" in result["message"]
    assert not (directory / "adapter").exists()
    found, refused = checkpoints.newest(directory)
    assert found is not None
    assert (found.step, refused) == (3, [])


def test_a_full_disk_ends_the_run_and_names_the_last_checkpoint(
    small: Path, tmp_path: Path
) -> None:
    from training.tuning.trainer import Trainer

    went = Trainer._save_optimizer_and_scheduler

    def full(self: Trainer, folder: str) -> None:
        if self.state.global_step > 3:
            raise OSError(28, "No space left on device")
        went(self, folder)

    directory = training_job(tmp_path / "run", small, LINES, **CHOSEN)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Trainer, "_save_optimizer_and_scheduler", full)
        assert work(directory) == DISK_FULL
    assert _result(directory)["message"] == (
        "The disk is full. Free some space and go on from step 3."
    )
    found, _refused = checkpoints.newest(directory)
    assert found is not None
    assert found.step == 3


def test_losses_of_exactly_zero_are_told_in_the_record(tmp_path: Path) -> None:
    from training.tuning.watch import Watch

    with evidence.Evidence(tmp_path) as held:
        watch = Watch(held, 2, 10, 4)
        for step, loss in enumerate([1.0, 0.0, 0.0, 0.0, 1.0], 1):
            watch._count_zeros(step, loss)
        assert watch.figures().warnings == ()
        for step in range(6, 11):
            watch._count_zeros(step, 0.0)
        assert "from step 6" in watch.figures().warnings[0]


@pytest.mark.parametrize(
    ("step", "in_pass", "after_pass"),
    [(6, True, False), (7, False, True), (8, True, False), (21, False, False)],
)
def test_at_the_end_of_a_pass_a_checkpoint_waits_for_the_evaluation(
    tmp_path: Path, step: int, in_pass: bool, after_pass: bool
) -> None:
    from transformers import TrainerControl, TrainerState, TrainingArguments

    from training.tuning.trainer import Saves
    from training.tuning.watch import Watch

    watch = Watch(evidence.Evidence(tmp_path), 2, 26, 4)
    saves, state = Saves(1, 7, watch), TrainerState(global_step=step, max_steps=21)
    arguments = TrainingArguments(output_dir=str(tmp_path), use_cpu=True)
    asked = []
    for look in (saves.on_step_end, saves.on_epoch_end):
        control = TrainerControl()
        look(arguments, state, control)
        asked.append(control.should_save)
    assert asked == [in_pass, after_pass]
    watch.cancelled = True
    control = TrainerControl()
    saves.on_step_end(arguments, state, control)
    assert not control.should_save, "nothing is written of a run that is thrown away"
