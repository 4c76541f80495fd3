"""Which module trains by which method, by name: only the process of a run imports it."""

from training.records.tasks import TaskHead
from training.settings import Method

MODULES: dict[str, str] = {
    Method.LORA: "training.tuning.sft",
    Method.QLORA: "training.tuning.sft",
    Method.FULL: "training.tuning.sft",
    Method.PREFERENCE: "training.tuning.preference",
    Method.PROVIDER: "training.hosted.provider",
}


def module(task: TaskHead) -> str | None:
    """The module that trains by the method of a task; None where there is none."""
    return MODULES.get(task.method)
