"""Settings of a run: defaults, limits, and the way to JSON and back."""

from typing import Any

import pytest

from storage.errors import BadInput
from training.families import LAYERS
from training.settings import METHODS, Full, Lora, Method, Preference, Qlora, read


def test_the_defaults_are_those_of_practice() -> None:
    lora = Lora()
    assert (lora.r, lora.alpha, lora.dropout, lora.targets) == (16, 32, 0.05, ("q_proj", "v_proj"))
    assert (lora.bias, lora.epochs, lora.gradient_checkpointing) == ("none", 3, False)


def test_settings_survive_the_way_to_json_and_back() -> None:
    lora = Lora(r=8, targets=("o_proj",), max_steps=5)
    assert Lora.from_dict(lora.to_dict()) == lora


@pytest.mark.parametrize("method", METHODS)
def test_every_method_survives_the_way_to_json_and_back(method: Method) -> None:
    usual = METHODS[method]()
    assert usual.to_dict()["method"] == method.value
    again = read(usual.to_dict())
    assert (type(again), again) == (METHODS[method], usual)


def test_each_method_has_what_is_its_own() -> None:
    four_bit = Qlora(r=8, targets=LAYERS, double_quantisation=False)
    assert read(four_bit.to_dict()) == four_bit
    assert (Full().learning_rate, Full().weight_decay) == (2e-5, 0.0)
    assert (Preference().learning_rate, Preference().beta) == (5e-5, 0.1)
    assert not hasattr(Full(), "r")
    with pytest.raises(BadInput, match="There is no method 'magic'"):
        read({"method": "magic"})
    with pytest.raises(BadInput, match="There is no training setting 'r'"):
        read({"method": "full", "r": 8})


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"method": "qlora", "double_quantisation": "yes"}, "Double quantisation is either on"),
        ({"method": "full", "weight_decay": 2}, "The weight decay is 2; give a value from 0 to 1"),
        ({"method": "preference", "beta": 0}, "Beta is 0; give a value from 0.001 to 10"),
        ({"method": "preference", "adapter_id": 1.5}, "The adapter must be a whole number"),
    ],
)
def test_the_methods_refuse_what_makes_no_sense(values: dict[str, Any], words: str) -> None:
    with pytest.raises(BadInput, match=words):
        read(values)


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
