"""The benchmark of training: each contender runs, and its figures are of the same rows."""

from typing import Any

import pytest

from benchmarks import train_throughput
from tests.support.tiny_model import packaged
from training.models import base_models

pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.usefixtures("model_code")]

SMALL: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 16,
}


@pytest.mark.parametrize("name", ["assay", "trl-padding-free"])
def test_the_large_model_s_setting_runs_small(name: str) -> None:
    _, tokenizer = base_models.load(packaged().path)
    rows = train_throughput.random_rows(tokenizer, 16, 24)
    model = train_throughput.large(tokenizer, SMALL)
    found = train_throughput.contend(name, model, tokenizer, rows, gpu=True)
    assert (found["rows"], found["shared"]) == (16, 24)
    assert len(found["seconds"]) == len(found["cpu_seconds"]) == 1
    assert found["loss"] == pytest.approx(10.8, abs=0.2), "a random model knows nothing"
