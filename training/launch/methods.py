"""Which module trains by which method, by name: only the process of a run imports it."""

from collections.abc import Mapping
from typing import Any

from training.settings import Method

MODULES = {
    Method.LORA: "training.tuning.sft",
    Method.QLORA: "training.tuning.sft",
    Method.FULL: "training.tuning.sft",
    Method.PREFERENCE: "training.tuning.preference",
    Method.PROVIDER: "training.hosted.provider",
}


def module(spec: Mapping[str, Any]) -> str | None:
    """The module that trains by the method of a spec's settings; None where there is none."""
    return MODULES.get(spec.get("settings", {}).get("method", Method.LORA))
