"""Tasks: what the process of a job is given (`spec.json` in its folder)."""

from pathlib import Path
from typing import Any, TypeVar

import msgspec

from curation.personal.pii import Config
from storage.errors import BadInput
from training import settings
from training.records import record
from training.records.parts import BaseModel, Endpoint, Prompting, ResumedFrom, StartedFrom
from training.records.record import JsonRecord, always
from training.settings import Method, MethodSettings

T = TypeVar("T")

MISSING = "The job's spec.json is missing or names no known kind of work. Start the job again."


class TaskHead(JsonRecord, frozen=True, kw_only=True):
    """What every process looks at first: which kind of work it is, and by which method."""

    kind: str = ""
    settings: dict[str, object] = always({})
    endpoint: dict[str, object] | None = None
    base: dict[str, object] | None = None

    @property
    def method(self) -> str:
        """The method of a run; LoRA where none is named."""
        return str(self.settings.get("method", Method.LORA))


class ChoreTask(JsonRecord, frozen=True, kw_only=True):
    """Do a long verb of curation; what it is stands in the job's row."""

    data_dir: str
    job_id: str


class ScanTask(ChoreTask, frozen=True, kw_only=True):
    """Look for personal data with these settings."""

    config: Config


class Example(JsonRecord, frozen=True, kw_only=True):
    """A gold pair to draft from."""

    prompt: str
    response: str


class DraftTask(JsonRecord, frozen=True, kw_only=True):
    """Write drafts."""

    topic: str
    count: int
    seed: int
    temperature: float = always(0.9)
    base: BaseModel | None = None
    endpoint: Endpoint | None = None
    system_message: str
    task: str = always("")
    output_schema: dict[str, object] | None = always(None)
    examples: tuple[Example, ...] = always(())
    data_dir: str = always("")


class TrainTask(JsonRecord, frozen=True, kw_only=True):
    """Train on `rows.jsonl`; of a probe, take a few steps."""

    rows_path: str
    rows_sha256: str
    version_sha256: str | None = always(None)
    tested_sha256: tuple[str, ...] = always(())
    """Digests of all inputs that are or were held out."""
    system_message: str
    base: BaseModel
    settings: MethodSettings
    data_dir: str
    resumed_from: ResumedFrom | None = always(None)
    name: str = always("")
    trackers: tuple[str, ...] = always(())
    endpoint: Endpoint | None = None
    started_from: StartedFrom | None = None
    adapter_path: str | None = None
    precision: str | None = None


class TunedModel(JsonRecord, frozen=True, kw_only=True):
    """A base model with what was made of it, to be asked."""

    base: BaseModel
    adapter_path: str | None = always(None)
    adapter_sha256: str | None = always(None)
    precision: str | None = always(None)
    whole_model: bool = always(False)
    data_dir: str = always("")
    output_schema: dict[str, object] | None = always(None)
    max_new_tokens: int | None = None


class EarlierAnswers(JsonRecord, frozen=True, kw_only=True):
    """What the same base answered to the same rows in another comparison."""

    file: str
    sha256: str
    base_sha256: str | None
    unended: int
    limit: int
    evaluation: int
    prompting: Prompting | None = always(None)


class PromptingFiles(JsonRecord, frozen=True, kw_only=True):
    """The files that the base model's best prompt is looked for with."""

    examples: str
    rows: str


class EvaluateTask(TunedModel, frozen=True, kw_only=True):
    """Answer the held-out rows."""

    rows: str
    rows_sha256: str | None = None
    system_message: str
    label_field: str | None = always(None)
    version_sha256: str | None = always(None)
    scan: Config | None = always(None)
    """What the scan for personal data looks for in the answers."""
    base_answers: EarlierAnswers | None = always(None)
    prompting: PromptingFiles | None = always(None)
    endpoint: Endpoint | None = None
    models: dict[str, str] | None = None


class RemoteEvaluateTask(EvaluateTask, frozen=True, kw_only=True):
    """Ask an endpoint, which keeps both models, about the held-out rows."""

    endpoint: Endpoint
    models: dict[str, str]


class MergeTask(JsonRecord, frozen=True, kw_only=True):
    """Merge an adapter into its base."""

    name: str
    base: BaseModel
    base_sha256: str | None = always(None)
    precision: str | None = always(None)
    adapter_path: str
    adapter_sha256: str | None = always(None)
    system_message: str
    prompts: tuple[str, ...]
    data_dir: str


class CheckTask(TunedModel, frozen=True, kw_only=True):
    """Ask the tasks of a check."""

    tasks: str
    tasks_sha256: str
    base_sha256: str | None = always(None)


def read(kind: type[T], directory: Path) -> T:
    """The task in a job's folder.

    Raises:
        BadInput: there is none, or a setting of the run is unknown or out of range.
        Unavailable: it cannot be read.
    """
    try:
        value = msgspec.json.decode((directory / "spec.json").read_bytes(), type=dict[str, Any])
    except (FileNotFoundError, msgspec.MsgspecError) as error:
        raise BadInput(MISSING) from error
    if kind is TrainTask:
        value["settings"] = settings.read(value.get("settings", {})).to_dict()
    return record.read(kind, value)
