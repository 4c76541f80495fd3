"""Training end to end in job folders, on a tiny model so that a run takes seconds."""

import signal
from pathlib import Path
from typing import Any

import pytest
from msgspec import UNSET

from curation.overlap import duplicates
from curation.personal import model_files
from storage.errors import RuleBroken
from tests.support.patience import PATIENCE, until
from tests.support.tiny_model import SYSTEM, job, packaged, rows, started, tiny, training_job
from training.models import base_models, render
from training.records.record import written
from training.work import evidence
from training.work.rows import TrainingPair, refuse_tested
from training.worker import DISK_FULL, OUT_OF_MEMORY, _cause, work

pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.usefixtures("model_code")]


def _result(directory: Path) -> dict[str, Any]:
    found = evidence.read_result(directory)
    assert found is not None
    return found


@pytest.fixture(scope="module")
def trained(small: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run."""
    lines = rows(32) + rows(8, "validation", first=100)
    directory = tmp_path_factory.mktemp("jobs") / "run"
    assert work(training_job(directory, small, lines, epochs=2)) == 0
    return directory


def test_a_run_finishes_and_the_loss_falls(trained: Path) -> None:
    result = _result(trained)
    assert result["state"] == "finished", result["message"]
    assert result["train_loss"] < 0.9 * result["first_train_loss"]
    assert result["validation_loss"] < result["first_train_loss"]
    assert result["steps"] == 8
    assert result["rows"] == {"train": 32, "validation": 8}
    assert result["libraries"]["torch"].startswith("2.")
    events, _ = evidence.read_events(trained)
    steps = [event for event in events if event.loss is not UNSET]
    assert [event.step for event in steps] == list(range(1, 9))
    assert {"loss", "learning_rate", "grad_norm", "total", "at"} <= set(written(steps[0]))
    assert len([event for event in events if event.eval_loss is not UNSET]) == 2


def test_the_adapter_is_recorded_and_loads(trained: Path, small: Path) -> None:
    from peft import PeftModel

    result, folder = _result(trained), trained / "adapter"
    assert model_files.folder_sha256(folder) == result["adapter_sha256"]
    assert set(result["adapter_files"]) == {
        "adapter_config.json",
        "adapter_model.safetensors",
        "chat_template.jinja",
    }
    assert str(small) not in (folder / "adapter_config.json").read_text()
    model, _ = base_models.load(small)
    tuned = PeftModel.from_pretrained(model, str(folder))
    assert any("lora_B" in name and bool(p.abs().sum()) for name, p in tuned.named_parameters())
    assert not list(trained.glob(".adapter-*"))


def test_the_same_seed_gives_the_same_adapter(trained: Path, small: Path, tmp_path: Path) -> None:
    lines = rows(32) + rows(8, "validation", first=100)
    again = training_job(tmp_path / "again", small, lines, epochs=2)
    assert work(again) == 0
    assert _result(again)["adapter_sha256"] == _result(trained)["adapter_sha256"]


def test_padded_batches_end_where_joined_ones_do(
    trained: Path, small: Path, tmp_path: Path
) -> None:
    lines = rows(32) + rows(8, "validation", first=100)
    directory = training_job(tmp_path / "padded", small, lines, epochs=2, batching="padded")
    assert work(directory) == 0
    usual, ours = _result(directory), _result(trained)
    assert (usual["batches"], ours["batches"]) == ("padded", "joined")
    for name in ("first_train_loss", "train_loss", "validation_loss"):
        assert ours[name] == pytest.approx(usual[name], abs=1e-4)


def test_no_text_of_a_row_is_in_the_log_or_the_events(trained: Path) -> None:
    written = (trained / "events.jsonl").read_text() + (trained / "result.json").read_text()
    assert "I write about" not in written
    assert not (trained / "train.log").exists()


def test_a_test_row_never_trains(small: Path, tmp_path: Path) -> None:
    directory = training_job(tmp_path / "run", small, [*rows(4), *rows(1, "test", first=77)])
    assert work(directory) == 1
    assert _result(directory)["message"].startswith("Pair 77 is a test pair")


def test_rows_that_changed_are_refused(small: Path, tmp_path: Path) -> None:
    directory = training_job(tmp_path / "run", small, rows(4))
    with (directory / "rows.jsonl").open("a") as file:
        file.write("\n")
    assert work(directory) == 1
    assert "changed since the run was launched" in _result(directory)["message"]


@pytest.mark.parametrize(
    ("prompt", "words"),
    [("word " * 400, "longer than 128 tokens (first: pair 9)"), ("<|im_end|>", "Pair 9: The user")],
)
def test_rows_that_cannot_be_trained_whole(
    small: Path, tmp_path: Path, prompt: str, words: str
) -> None:
    line = {"pair_id": 9, "split": "train", "prompt": prompt, "response": "x"}
    directory = training_job(tmp_path / "run", small, [*rows(2), line], max_length=128)
    assert work(directory) == 1
    assert words in _result(directory)["message"]


def test_a_loss_that_is_no_number_never_finishes(tmp_path: Path) -> None:
    spoilt = tiny(tmp_path / "spoilt", poison=True)
    directory = training_job(tmp_path / "run", spoilt, rows(8))
    assert work(directory) == 1
    result = _result(directory)
    assert result["state"] == "failed"
    assert "no number at step 1" in result["message"]
    assert not (directory / "adapter").exists()
    losses = [event.loss for event in evidence.read_events(directory)[0] if event.loss is not UNSET]
    assert losses == [None]


def test_weights_that_are_no_numbers_are_not_saved() -> None:
    import torch

    from training.tuning.saving import Diverged, check_finite

    check_finite({"a": torch.ones(2)})
    with pytest.raises(Diverged, match="1 of 2"):
        check_finite({"a": torch.ones(2), "b": torch.tensor([1.0, float("inf")])})


def test_early_stop_keeps_the_best_weights(small: Path, tmp_path: Path) -> None:
    wrong = [{**row, "response": "never seen words"} for row in rows(8, "validation", first=100)]
    directory = training_job(
        tmp_path / "run", small, rows(16) + wrong, epochs=20, learning_rate=0.05, patience=1
    )
    assert work(directory) == 0
    result = _result(directory)
    assert result["stopped_early"]
    assert result["steps"] < 40
    assert result["validation_loss"] < result["last_validation_loss"]


def test_a_second_worker_is_refused_and_cancel_stops_the_first(small: Path, tmp_path: Path) -> None:
    directory = training_job(tmp_path / "run", small, rows(64), epochs=20)
    first = started(directory)
    until(lambda: any(event.loss is not UNSET for event in evidence.read_events(directory)[0]))
    assert evidence.alive(directory)
    assert started(directory).wait(PATIENCE) == 1
    launch = evidence.read_json(directory / "launch.json")
    assert launch is not None
    assert launch["pid"] == first.pid
    assert evidence.read_result(directory) is None
    evidence.request_cancel(directory)
    assert first.wait(PATIENCE) == 0
    assert _result(directory)["state"] == "cancelled"
    assert not evidence.alive(directory)
    assert not (directory / "adapter").exists()


def test_a_killed_run_is_not_alive_and_says_nothing(small: Path, tmp_path: Path) -> None:
    directory = training_job(tmp_path / "run", small, rows(64), epochs=20)
    child = started(directory)
    until(lambda: any(event.loss is not UNSET for event in evidence.read_events(directory)[0]))
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert not evidence.alive(directory)
    assert evidence.read_result(directory) is None


def test_an_unknown_kind_of_work_fails_in_words(tmp_path: Path) -> None:
    directory = job(tmp_path / "run", {"kind": "dig"})
    assert work(directory) == 1
    assert "no known kind of work" in _result(directory)["message"]


def test_an_unforeseen_error_keeps_its_trace_without_the_text(small: Path, tmp_path: Path) -> None:
    line = {"pair_id": 9, "split": "train", "prompt": "SECRET words"}
    directory = training_job(tmp_path / "run", small, [line])
    assert work(directory) == 1
    assert "did not foresee" in _result(directory)["message"]
    log = (directory / "train.log").read_text()
    assert "sft.py" in log
    assert "SECRET" not in log


def test_memory_and_disk_have_statuses_of_their_own() -> None:
    import torch

    assert _cause(torch.OutOfMemoryError("CUDA out of memory"))[0] == OUT_OF_MEMORY
    assert _cause(MemoryError(), None, {"method": "full"})[1] == (
        "The memory was not enough. Halve the batch size, or turn gradient checkpointing on, or "
        "choose LoRA, which needs a quarter of the memory or less, and launch again."
    )
    last = {"method": "qlora", "batch_size": 1, "gradient_checkpointing": True}
    assert _cause(MemoryError(), 20, last)[1] == (
        "The memory was not enough. Choose a smaller base model, and launch again. Or close what "
        "else needs memory and go on from step 20."
    )
    assert _cause(OSError(28, "No space left on device"))[0] == DISK_FULL
    cut = RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 64 vs 0")
    assert _cause(cut, 20) == (
        DISK_FULL,
        "The disk is full. Free some space and go on from step 20.",
    )
    assert _cause(ValueError("x"))[0] == 1


def test_rows_that_share_a_beginning_train_as_if_apart() -> None:
    import torch

    from training.tuning import answers, attention, batches

    model, tokenizer = base_models.load(packaged().path)
    examples = []
    for row in rows(3):
        ids, labels = render.pair_ids(
            tokenizer, SYSTEM, row["prompt"] + " x" * row["pair_id"], row["response"]
        )
        examples.append({"input_ids": ids, "labels": labels})
    assert batches.can_join(model.config, [len(one["input_ids"]) for one in examples], 3)
    with torch.no_grad():
        apart = [model(**{k: torch.tensor([v]) for k, v in one.items()}).loss for one in examples]
        attention.use(model)
        joined = answers.loss(model, batches.Collator(0, joins=True)(examples))
    learnt = [sum(x != render.IGNORED for x in one["labels"]) for one in examples]
    mean = sum(loss * n for loss, n in zip(apart, learnt, strict=True)) / sum(learnt)
    assert torch.allclose(joined, mean, atol=1e-5)


def test_a_row_that_was_ever_tested_is_refused_by_the_worker() -> None:

    rows = [
        TrainingPair(1, "train", "Where is my card?", "{}"),
        TrainingPair(2, "validation", "Hi", "{}"),
    ]
    refuse_tested(rows, [duplicates.digest("Where is my money?")])
    with pytest.raises(RuleBroken, match="Pair 1 asks what a test pair asks"):
        refuse_tested(rows, [duplicates.digest("where is MY card")])
