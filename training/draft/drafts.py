"""Drafts: ask a model for new rows from gold examples and a topic; people decide about each."""

import hashlib
import random
from dataclasses import dataclass
from pathlib import Path

import msgspec
from sqlalchemy.orm import Session

from curation.overlap import ledger
from storage import events, pairs, plain_files, projects
from storage.blank import trim
from storage.errors import BadInput, RuleBroken
from storage.settings import Settings
from storage.types import Job, Origin, Pair, PairStatus, User
from training.hosted import endpoints
from training.records import specs
from training.records.parts import BaseModel
from training.records.results import DraftLine, DraftResult
from training.records.specs import DraftSpec
from training.records.tasks import DraftTask, Example
from training.work import evidence

EXAMPLES = 6
_AT_ONCE = 60
"""Gold pairs that are looked at together for examples."""
MOST = 200


@dataclass(frozen=True, slots=True)
class DraftPlan:
    """What to draft."""

    topic: str
    count: int
    seed: int
    temperature: float
    endpoint: str | None = None
    """Name of a configured endpoint; None for the local base model."""


def request(session: Session, project_id: int, wish: DraftPlan) -> DraftSpec:
    """The spec of a drafting job.

    Raises:
        BadInput: the topic is empty, the count out of range, or the endpoint unknown.
        RuleBroken: there are no gold examples to draft from.
    """
    if not trim(wish.topic) or len(wish.topic) > 200:
        raise BadInput("Name the topic to draft about in 1 to 200 characters.")
    if not 1 <= wish.count <= MOST:
        raise BadInput(f"Ask for 1 to {MOST} drafts.")
    if not _examples(session, project_id, wish.seed):
        raise RuleBroken("Drafts are made from approved gold pairs. Write and approve some first.")
    endpoint = endpoints.named(wish.endpoint) if wish.endpoint is not None else None
    return DraftSpec(
        topic=trim(wish.topic),
        count=wish.count,
        seed=wish.seed,
        temperature=wish.temperature,
        base=BaseModel("packaged") if endpoint is None else None,
        endpoint=endpoint,
        environment=tuple(endpoint.environment) if endpoint is not None else None,
    )


def _examples(session: Session, project_id: int, seed: int) -> tuple[Example, ...]:
    """Approved gold pairs, never test rows or what repeats one, drawn by the seed."""
    ids = pairs.ids(
        session, project_id, status=PairStatus.APPROVED, origin=Origin.GOLD, held_out=False
    )
    random.Random(seed).shuffle(ids)  # noqa: S311 - reproducible
    drawn: list[Pair] = []
    for start in range(0, len(ids), _AT_ONCE):  # most are fit: the first few are enough
        some = ids[start : start + _AT_ONCE]
        gold = pairs.listing(session, project_id, ids=some)
        gold.sort(key=lambda pair: some.index(pair.id))
        drawn += ledger.untested(session, project_id, gold)
        if len(drawn) >= EXAMPLES:
            break
    return tuple(Example(prompt=pair.prompt, response=pair.response) for pair in drawn[:EXAMPLES])


def prepare(session: Session, job: Job, directory: Path, settings: Settings) -> DraftTask:  # noqa: ARG001 - one shape for all kinds
    """The spec with its examples."""
    project = projects.get(session, job.project_id)
    spec = specs.draft(job)
    return DraftTask(
        topic=spec.topic,
        count=spec.count,
        seed=spec.seed,
        temperature=spec.temperature,
        base=spec.base,
        endpoint=spec.endpoint,
        system_message=project.system_message,
        task=project.task,
        output_schema=project.output_schema,
        examples=_examples(session, job.project_id, spec.seed),
        data_dir=str(settings.data),
    )


def ingest(session: Session, actor: User, job: Job, directory: Path, result: DraftResult) -> None:
    """Store each draft as a waiting pair with its model, prompt hash and seed."""
    del result
    topic, added = specs.draft(job).topic, 0
    content = plain_files.read(directory / "drafts.jsonl", evidence.MOST_BYTES)
    for draft in msgspec.json.Decoder(DraftLine).decode_lines(content):
        pairs.add(
            session,
            job.project_id,
            draft.prompt,
            draft.response,
            Origin.DRAFT,
            topic=topic,
            source={
                "job": job.id,
                "model": draft.model,
                "seed": draft.seed,
                "prompt_sha256": draft.prompt_sha256,
            },
            source_key=f"draft:{job.id}:{draft.index}",
        )
        added += 1
    events.record(
        session,
        actor,
        "draft",
        "job",
        job.id,
        project_id=job.project_id,
        added=added,
        topic_sha256=hashlib.sha256(topic.encode()).hexdigest(),
    )
