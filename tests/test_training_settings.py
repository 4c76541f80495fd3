"""Settings of a run: defaults, limits, and the way to JSON and back."""

from typing import Any

import pytest

from storage.errors import BadInput
from training.settings import Lora


def test_the_defaults_are_those_of_practice() -> None:
    lora = Lora()
    assert (lora.r, lora.alpha, lora.dropout, lora.targets) == (16, 32, 0.05, ("q_proj", "v_proj"))
    assert (lora.bias, lora.epochs, lora.gradient_checkpointing) == ("none", 3, False)


def test_settings_survive_the_way_to_json_and_back() -> None:
    lora = Lora(r=8, targets=("o_proj",), max_steps=5)
    assert Lora.from_dict(lora.to_dict()) == lora


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"r": 0}, "The rank r is 0; give a value from 1 to 256."),
        ({"r": True}, "The rank r must be a whole number from 1 to 256."),
        ({"epochs": 1.5}, "The number of epochs must be a whole number"),
        ({"learning_rate": float("nan")}, "The learning rate is nan"),
        ({"learning_rate": "fast"}, "The learning rate must be a number"),
        ({"bias": "all"}, "Bias must be"),
        ({"targets": []}, "The LoRA targets must be"),
        ({"targets": ["lm_head"]}, "The LoRA targets must be"),
        ({"max_steps": 0}, "The step limit is 0"),
        ({"gradient_checkpointing": 1}, "Gradient checkpointing"),
        ({"batching": "packed"}, "The batching must be one of joined, padded."),
        ({"rank": 4}, "There is no training setting 'rank'"),
    ],
)
def test_what_makes_no_sense_is_refused(values: dict[str, Any], words: str) -> None:
    with pytest.raises(BadInput, match=words.replace("(", r"\(")):
        Lora.from_dict(values)
