"""Compare what rows mean, as a job: a local model makes a vector of each row's input.

The model is a folder on this server that `ASSAY_EMBEDDER` names: an encoder in safetensors, vetted
before it is loaded, never downloaded. Sentence vectors are the mean over the tokens (or the first
token's, where the folder says so), without prefixes such as "query: " that some models want.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
import numpy as np
from sqlalchemy.orm import Session

from curation import statistics
from curation.overlap.near import meanings
from curation.personal import model_files
from storage import plain_files, synced
from storage.errors import Unavailable
from storage.settings import Settings
from storage.types import Job, User
from training.models import vetting
from training.records import record, tasks
from training.records.results import MeaningResult
from training.records.specs import MeaningSpec
from training.work import evidence
from training.work.evidence import Evidence

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

T = TypeVar("T")

LONGEST = 512
"""Tokens of a row that the model reads, where it does not itself say fewer."""
_BATCH = 32


def request(
    session: Session, project_id: int, settings: Settings, least: float = meanings.DEFAULT
) -> MeaningSpec:
    """The spec of a comparison of all rows that are not rejected.

    Raises:
        BadInput: the folder is not a model that can be used, or the cosine is out of range.
        RuleBroken: there is nothing to compare, or words were not compared first.
        Unavailable: no folder is named, or there is none.
    """
    folder = _folder(settings)
    vetting.vet_encoder(folder)
    meanings.check(session, project_id)
    return MeaningSpec(least=meanings.checked(least), embedder=str(folder))


def _folder(settings: Settings) -> Path:
    if settings.embedder is None:
        raise Unavailable("No model for meanings is set up: let ASSAY_EMBEDDER name its folder.")
    if not settings.embedder.is_dir():
        name = settings.embedder.name
        raise Unavailable(f"There is no folder {name} where ASSAY_EMBEDDER says. Put it right.")
    return settings.embedder


def prepare(session: Session, job: Job, directory: Path, settings: Settings) -> MeaningSpec:  # noqa: ARG001 - one shape for all kinds
    """Write the rows, and which pairs are known already."""
    lines = meanings.to_compare(session, job.project_id)
    _write(directory / "rows.jsonl", lines)
    _write(directory / "known.jsonl", meanings.linked(session, job.project_id))
    return record.read(MeaningSpec, job.spec)


def ingest(session: Session, actor: User, job: Job, directory: Path, result: MeaningResult) -> None:
    """Store what was found."""
    proposals = _read(directory / "pairs.jsonl", meanings.Proposal)
    meanings.store(session, actor, job.project_id, proposals, result.model_sha256)


def _write(path: Path, lines: Sequence[Any]) -> None:
    plain = (json.dumps(msgspec.to_builtins(line), ensure_ascii=False) + "\n" for line in lines)
    synced.write(path, "".join(plain).encode())


def _read(path: Path, kind: type[T]) -> Iterator[T]:
    with plain_files.opened(path, evidence.MOST_BYTES) as file:
        for line in file:
            yield msgspec.json.decode(line, type=kind)


def main(directory: Path, hold: Evidence) -> None:
    """Compare the rows of a job directory; nothing counts unless all were looked at."""
    task = tasks.read(MeaningSpec, directory)
    rows = list(_read(directory / "rows.jsonl", meanings.Input))
    folder = Path(task.embedder)
    vetting.vet_encoder(folder)
    hold.say("Loading the model for meanings.")
    sha256 = model_files.folder_sha256(folder)
    vectors, cut = _embedded(folder, [row.text for row in rows], hold)
    hold.say("Comparing every pair with every other.")
    place = {row.pair_id: at for at, row in enumerate(rows)}
    skip = {
        (min(place[a], place[b]), max(place[a], place[b]))
        for a, b in _read(directory / "known.jsonl", tuple[int, int])
        if a in place and b in place
    }
    closest = meanings.closest(vectors, task.least, skip)
    proposals = [_proposal(rows[a], rows[b], cosine) for a, b, cosine in closest.pairs]
    _write(directory / "pairs.jsonl", proposals)
    reported = len(closest.pairs)
    more = f" The closest {reported} come first." if closest.total > reported else ""
    begun = f" Of {cut} long ones only the beginning was read." if cut else ""
    new = statistics.count(closest.total, "new pair")
    hold.finish(
        "finished",
        f"Compared what {len(rows)} pairs ask: {new} with a cosine of "
        f"{task.least:g} or more.{more}{begun}",
        record.written(
            MeaningResult(rows=len(rows), pairs=closest.total, cut=cut, model_sha256=sha256)
        ),
    )


def _proposal(left: meanings.Input, right: meanings.Input, cosine: float) -> meanings.Proposal:
    a, b = sorted((left, right), key=lambda row: row.pair_id)
    return meanings.Proposal(a.pair_id, b.pair_id, a.content_sha256, b.content_sha256, cosine)


def _embedded(folder: Path, texts: Sequence[str], hold: Evidence) -> tuple[meanings.Vectors, int]:
    """A vector of each text, and how many texts the model could read only in part.

    Raises:
        Cancelled: someone asked the job to stop.
    """
    model, tokenizer = _loaded(folder)
    longest = min(LONGEST, tokenizer.model_max_length, _positions(model))
    vectors = np.zeros((len(texts), int(model.config.hidden_size)), np.float32)
    # Texts of like length share a batch, so that little of it is padding.
    order = sorted(range(len(texts)), key=lambda at: len(texts[at]))
    first_token = vetting.pools_first_token(folder)
    cut = 0
    for start in range(0, len(order), _BATCH):
        if hold.cancel_requested():
            raise evidence.Cancelled
        chosen = order[start : start + _BATCH]
        batch = [texts[at] for at in chosen]
        cut += sum(len(ids) > longest for ids in tokenizer(batch)["input_ids"])
        vectors[chosen] = _vectors(model, tokenizer, batch, longest, first_token)
        hold.progress(start + len(chosen), len(texts))
    return vectors, cut


def _loaded(folder: Path) -> tuple["PreTrainedModel", "PreTrainedTokenizerBase"]:
    from transformers import AutoModel, AutoTokenizer

    from training.models import fetching

    fetching.hush()
    tokenizer = AutoTokenizer.from_pretrained(
        folder, trust_remote_code=False, local_files_only=True
    )
    model = AutoModel.from_pretrained(
        folder, trust_remote_code=False, use_safetensors=True, local_files_only=True
    )
    return model.eval(), tokenizer


def _positions(model: "PreTrainedModel") -> int:
    """How many tokens the model has places for; RoBERTa's begin behind the one for padding."""
    places = int(getattr(model.config, "max_position_embeddings", LONGEST))
    offset = model.config.model_type in ("roberta", "xlm-roberta", "camembert", "mpnet")
    return places - 2 if offset else places


def _vectors(
    model: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerBase",
    texts: Sequence[str],
    longest: int,
    first_token: bool,
) -> meanings.Vectors:
    import torch

    read = tokenizer(
        list(texts), padding=True, truncation=True, max_length=longest, return_tensors="pt"
    )
    with torch.inference_mode():
        states: Tensor = model(**read).last_hidden_state
    if first_token:
        pooled = states[:, 0]
    else:
        mask = read["attention_mask"].unsqueeze(-1).to(states.dtype)
        pooled = (states * mask).sum(1) / mask.sum(1).clamp(min=1)
    vectors: meanings.Vectors = pooled.float().numpy()
    return vectors
