"""What several records have in common: the base model, an adapter, an endpoint, lines of a gate."""

from collections.abc import Mapping
from typing import Any, Literal, Self

from storage.errors import BadInput
from training.records.record import Record, always, written

PACKAGED = "smollm2-135m-instruct"
"""The base model that comes with Assay, by the name of its folder."""


class BaseModel(Record, frozen=True):
    """A base model as a run names it."""

    kind: Literal["packaged", "folder", "hub", "provider"]
    """"packaged", "folder", "hub", or "provider" for one that an endpoint keeps."""
    where: str = always(PACKAGED)
    """Name of the packaged model, absolute path of the folder, or hub id such as "org/name"."""
    revision: str | None = always(None)
    """For the hub: the commit, tag or branch asked for; the commit that came is recorded."""

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """A base model that can be loaded here.

        Raises:
            BadInput: it is of another kind.
        """
        kind = values.get("kind")
        if kind not in ("packaged", "folder", "hub"):
            raise BadInput("The base model's kind must be packaged, folder or hub.")
        where, revision = str(values.get("where") or PACKAGED), values.get("revision")
        return cls(kind=kind, where=where, revision=revision)

    def to_dict(self) -> dict[str, Any]:
        """The JSON that `from_dict` reads back."""
        return written(self)


class BaseFiles(Record, frozen=True, kw_only=True):
    """The base model that a job worked with."""

    name: str = ""
    sha256: str | None = always(None)
    """Of all its files; None where an endpoint keeps it."""


class BaseOrigin(BaseFiles, frozen=True, kw_only=True):
    """The base model that a run started from, with where it comes from."""

    licence: str | None = always(None)
    revision: str | None = always(None)


class AdapterRef(Record, frozen=True, kw_only=True):
    """An adapter as a job names it."""

    id: int
    job: str
    sha256: str


class StartedFrom(Record, frozen=True, kw_only=True):
    """The adapter that a run goes on from, as it was."""

    id: int
    name: str = always("")
    job: str = always("")
    sha256: str
    version_id: int = always(0)
    precision: str | None = always(None)


class PassedOver(Record, frozen=True, kw_only=True):
    """A checkpoint that did not verify."""

    step: int
    why: str


class ResumedFrom(Record, frozen=True, kw_only=True):
    """Where a run goes on that was interrupted."""

    job: str
    step: int
    sha256: str
    """Of the checkpoint's manifest, or of what is known of an endpoint's job."""
    refused: tuple[PassedOver, ...] = always(())
    before: "ResumedFrom | None" = always(None)


class GateLine(Record, frozen=True, kw_only=True):
    """A line of a gate as it was when somebody passed it."""

    key: str
    name: str
    met: bool
    measured: str = ""
    waiver: str | None = always(None)


class ExperimentPlace(Record, frozen=True, kw_only=True):
    """A run's place in an experiment."""

    id: str
    kind: str
    name: str
    place: int
    varies: dict[str, Any]
    """What sets it apart from the others: settings by name, or the share of the rows."""


class TuningOffer(Record, frozen=True, kw_only=True):
    """What an endpoint tunes, and what it asks for that."""

    models: tuple[str, ...]
    price: float
    """Of a million trained tokens."""
    currency: str = always("USD")
    poll_seconds: float = always(10.0)
    """Between two questions how far a run is; up to six times as long where nothing changes."""


class Endpoint(Record, frozen=True, kw_only=True):
    """An OpenAI-compatible endpoint that the server's configuration names; never its key, only the
    environment variable that holds it.
    """

    name: str
    url: str
    model: str
    api_key_env: str | None = always(None)
    private: bool = always(False)
    """Whether its host name may lead to an address inside the house."""
    tuning: TuningOffer | None = always(None)

    @property
    def environment(self) -> list[str]:
        """The environment variables that a job which asks this endpoint must be given."""
        return [self.api_key_env] if self.api_key_env else []


class Consent(Record, frozen=True, kw_only=True):
    """That the rows of one version may leave the house for one endpoint."""

    endpoint: str
    rows: int
    """Training and validation rows, which are uploaded. The inputs of the held-out rows follow when
    the tuned model is compared."""
    version_sha256: str
    given_by: str | None = None
    at: str | None = None


class Quote(Record, frozen=True, kw_only=True):
    """What a run at an endpoint was to cost when it was launched."""

    tokens: int
    epochs: int
    a_million: float
    currency: str
    made: str
    """How the tokens were counted."""
    amount: float


class Cost(Record, frozen=True, kw_only=True):
    """What a run at an endpoint cost, by the tokens that the endpoint counted."""

    amount: float
    currency: str
    made: str


class Estimate(Record, frozen=True, kw_only=True):
    """What a run will take."""

    ready: float
    """Seconds until the first step: start, libraries, base model, rows."""
    step: float
    """Seconds a step, on average over a pass."""
    low: float
    high: float
    """The 90 % interval of `step`."""
    evaluation: float
    """Seconds of one pass over the validation rows."""
    saving: float
    """Seconds to write what was learnt, once."""
    steps: int
    evaluations: int
    checkpoints: int
    memory_mb: float
    """At its highest."""
    parts: dict[str, float]
    """MB by part; they add up to `memory_mb`."""
    measured: int
    """Steps that were measured."""


class SplitCounts(Record, frozen=True, kw_only=True):
    """Rows that a run learnt from and those that it watched."""

    train: int = always(0)
    validation: int = always(0)


class Loss(Record, frozen=True, kw_only=True):
    """A loss at a step."""

    step: int
    loss: float


class PromptTrial(Record, frozen=True, kw_only=True):
    """How a number of examples did on the validation rows."""

    examples: int
    correct: int
    valid: int
    n: int


class Prompting(Record, frozen=True, kw_only=True):
    """The best prompt of a base model, and what came of the others."""

    chosen: int
    """Examples."""
    pair_ids: tuple[int, ...] = always(())
    tried: tuple[PromptTrial, ...] = always(())
