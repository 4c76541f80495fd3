"""Comparisons: frozen answers of base and tuned to the held-out rows of a version, scored."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from msgspec import UNSET, structs
from sqlalchemy import select
from sqlalchemy.orm import Session

from curation.personal import scan_settings
from curation.policy import eras
from curation.statistics import wilson
from curation.versions import archive
from storage import events, projects, synced
from storage.errors import NotFound, RuleBroken
from storage.settings import Settings
from storage.tables import AdapterRow, ComparisonRow, OutputRow
from storage.types import Arm, Comparison, Job, Output, Split, User, Version
from storage.values import value_of
from training.hosted import endpoints, terms
from training.launch import lineage
from training.models.precision import Precision
from training.proving import best_prompt as prompting
from training.records import cards, specs
from training.records.cards import AdapterCard, ArmCounts, PersonalAnswers, Summary
from training.records.parts import AdapterRef, BaseModel
from training.records.record import read, written
from training.records.specs import EvaluateSpec
from training.records.tasks import EarlierAnswers, EvaluateTask, PromptingFiles
from training.work import machine, rows
from training.work.rows import OutputLine


def listing(session: Session, project_id: int) -> list[Comparison]:
    """The evaluations of a project, newest first."""
    query = (
        select(ComparisonRow)
        .where(ComparisonRow.project_id == project_id)
        .order_by(ComparisonRow.id.desc())
    )
    return [value_of(Comparison, row) for row in session.scalars(query)]


def get(session: Session, evaluation_id: int) -> Comparison:
    """One evaluation.

    Raises:
        NotFound: there is no such evaluation.
    """
    row = session.get(ComparisonRow, evaluation_id)
    if row is None:
        raise NotFound(f"There is no comparison {evaluation_id}.")
    return value_of(Comparison, row)


def outputs(session: Session, evaluation_id: int) -> dict[int, dict[Arm, Output]]:
    """The frozen answers by held-out pair and arm."""
    by_pair: dict[int, dict[Arm, Output]] = {}
    columns = [getattr(OutputRow, field.name) for field in fields(Output)]
    query = select(*columns).where(OutputRow.evaluation_id == evaluation_id)
    for row in session.execute(query.order_by(OutputRow.pair_id)):
        output = Output(*row)
        by_pair.setdefault(output.pair_id, {})[output.arm] = output
    return by_pair


def request(
    session: Session,
    version_id: int,
    base: BaseModel,
    adapter_id: int | None,
    *,
    best_prompt: bool = False,
) -> tuple[int, EvaluateSpec]:
    """The project and the spec of an evaluation; with `best_prompt` the base is shown as many
    examples as help it.

    Raises:
        RuleBroken: the version has no test rows, or the adapter was trained on some of them; or the
            best prompt cannot be looked for: no validation rows, or an endpoint's model.
    """
    version = archive.verify(session, version_id)
    if not version.counts[Split.TEST]:
        raise RuleBroken(f"Version {version.number} holds no test pairs out. Freeze a new one.")
    if best_prompt and not can_prompt(version):
        raise RuleBroken(
            f"Version {version.number} has no validation pairs to choose the base model's prompt "
            "on. Compare with the system message alone, or freeze a new version."
        )
    if adapter_id is None:
        return version.project_id, EvaluateSpec(
            version_id=version_id, best_prompt=best_prompt, base=base
        )
    adapter = session.get(AdapterRow, adapter_id)
    if adapter is None or adapter.project_id != version.project_id:
        raise NotFound(f"There is no adapter {adapter_id} in this project.")
    lineage.refuse_trained_on(session, version, adapter)
    card = read(AdapterCard, adapter.card)
    spec = EvaluateSpec(
        version_id=version_id,
        best_prompt=best_prompt,
        base=card.base,
        adapter=AdapterRef(id=adapter.id, job=adapter.job_id, sha256=adapter.sha256),
        precision=card.result.precision,
        whole_model=lineage.is_full_model(adapter.card),
    )
    if card.kind == terms.KIND:
        spec = _outside(version, adapter.name, card, spec)
    if best_prompt and not can_prompt(version, adapter.card):
        raise RuleBroken(
            f"The base of {adapter.name} is an endpoint's, which is asked with the system message "
            "alone. Compare it so."
        )
    return version.project_id, spec


def can_prompt(version: Version, card: Mapping[str, Any] | None = None) -> bool:
    """Whether the base's best prompt can be looked for: there are validation rows, and the base of
    the adapter with this card is not an endpoint's.
    """
    at_endpoint = card is not None and card.get("kind") == terms.KIND
    return version.counts[Split.VALIDATION] > 0 and not at_endpoint


def _outside(version: Version, name: str, card: AdapterCard, spec: EvaluateSpec) -> EvaluateSpec:
    """The spec where the models are an endpoint's: how to ask them, within what was agreed to.

    Raises:
        RuleBroken: the rows are of another version than the lead agreed to send.
    """
    consent, tuned = card.consent, card.result.fine_tuned_model
    if consent is None or tuned is None or consent.version_sha256 != version.sha256:
        raise RuleBroken(
            f"Comparing {name} sends pairs to its endpoint, and only those of the version "
            "it was tuned on were agreed to. Compare it on that version."
        )
    endpoint = endpoints.named(consent.endpoint)
    return structs.replace(
        spec,
        endpoint=endpoint,
        environment=tuple(endpoint.environment),
        models={"base": str(card.settings["model"]), "tuned": tuned},
    )


def prepare(session: Session, job: Job, directory: Path, settings: Settings) -> EvaluateTask:
    """Write the held-out rows of the verified version."""
    spec = specs.evaluate(job)
    opened = archive.opened(session, spec.version_id)
    version, frozen = opened.version, opened.part(Split.TEST)
    synced.write(directory / "rows.jsonl", rows.written(frozen))
    adapter = spec.adapter
    return EvaluateTask(
        rows="rows.jsonl",
        system_message=version.manifest.system_message,
        output_schema=version.manifest.output_schema,
        label_field=version.manifest.label_field,
        base=spec.base,
        adapter_path=str(settings.jobs / adapter.job / "adapter") if adapter else None,
        adapter_sha256=adapter.sha256 if adapter else None,
        precision=spec.precision,
        whole_model=bool(spec.whole_model),
        version_sha256=version.sha256,
        data_dir=str(settings.data),
        scan=scan_settings.current(session, job.project_id).config,
        base_answers=_before(session, spec, [row.pair_id for row in frozen], directory),
        prompting=_prompting(session, job, opened, directory) if spec.best_prompt else None,
        endpoint=spec.endpoint,
        models=spec.models,
    )


def _prompting(
    session: Session, job: Job, opened: archive.Opened, directory: Path
) -> PromptingFiles:
    """The files that the base model's best prompt is looked for with."""
    project = projects.get(session, job.project_id)
    examples = prompting.examples(opened.part(Split.TRAIN), project)
    tried = sorted(opened.part(Split.VALIDATION), key=lambda row: row.content_sha256)
    synced.write(directory / "examples.jsonl", rows.written(examples))
    synced.write(directory / "tried.jsonl", rows.written(tried[: prompting.MOST_ROWS]))
    return PromptingFiles(examples="examples.jsonl", rows="tried.jsonl")


def _before(
    session: Session, spec: EvaluateSpec, pair_ids: Sequence[int], directory: Path
) -> EarlierAnswers | None:
    """What the base said when the same rows were put to it here before; its texts as a file.

    Only from a comparison of the same version with the same base, held as precisely and prompted
    alike, on the same machine and libraries; the worker looks whether the base's files are still
    the same. An endpoint is asked again: nobody here knows what changed there.
    """
    if spec.endpoint is not None:
        return None
    setup, precision = machine.setup(), spec.precision or Precision.USUAL
    query = select(ComparisonRow).where(ComparisonRow.version_id == spec.version_id)
    for row in session.scalars(query.order_by(ComparisonRow.id.desc())):
        record = read(Summary, row.summary).method
        alike = record.setup == setup and record.precision == precision
        if not alike or (record.prompting is not None) != spec.best_prompt:
            continue
        texts = {pair_id: arms[Arm.BASE].text for pair_id, arms in outputs(session, row.id).items()}
        content = json.dumps([texts[pair_id] for pair_id in pair_ids]).encode()
        synced.write(directory / "base.json", content)
        return EarlierAnswers(
            file="base.json",
            sha256=hashlib.sha256(content).hexdigest(),
            base_sha256=record.base.sha256 if record.base else None,
            unended=record.base_unended or 0,
            limit=record.max_new_tokens or 0,
            evaluation=row.id,
            prompting=record.prompting,
        )
    return None


def ingest(
    session: Session, actor: User, job: Job, directory: Path, result: Mapping[str, Any]
) -> None:
    """Freeze the answers."""
    spec = specs.evaluate(job)
    lines = rows.read_outputs(directory)
    row = ComparisonRow(
        project_id=job.project_id,
        version_id=spec.version_id,
        job_id=job.id,
        adapter_id=spec.adapter.id if spec.adapter else None,
        summary=summary(lines, result, eras.names_of(session, {line.pair_id for line in lines})),
    )
    session.add(row)
    session.flush()
    session.add_all(
        OutputRow(
            evaluation_id=row.id,
            pair_id=line.pair_id,
            arm=Arm(line.arm),
            text=line.text,
            valid=line.valid,
            correct=line.correct,
            sha256=line.sha256,
        )
        for line in lines
    )
    session.flush()
    events.record(
        session,
        actor,
        "evaluate",
        "evaluation",
        row.id,
        project_id=job.project_id,
        version=row.version_id,
        adapter=row.adapter_id,
        rows=row.summary["n"],
    )


def summary(
    lines: Sequence[OutputLine], result: Mapping[str, object], eras_of: Mapping[int, str]
) -> dict[str, object]:
    """Counts per arm (`records.cards.Summary`), and how the comparison was made.

    Where the pairs are of more than one policy era, `eras` has the same for each era by name, with
    the 95 % Wilson interval of its accuracy; pairs without an era are counted under "".
    """
    by_era: dict[str, list[OutputLine]] = {}
    for line in lines:
        by_era.setdefault(eras_of.get(line.pair_id, ""), []).append(line)
    counts = _counts(lines)
    if len(by_era) > 1:
        counts_by_era = {era: _with_intervals(_counts(by_era[era])) for era in sorted(by_era)}
        counts = structs.replace(counts, eras=counts_by_era)
    made = {key: value for key, value in result.items() if key not in {"state", "message"}}
    return {**written(counts), "made": made}


def _with_intervals(counts: Summary) -> Summary:
    intervals = {
        arm.value: structs.replace(arm_counts, interval=wilson(arm_counts.correct, counts.n))
        for arm in Arm
        if (arm_counts := counts.arm(arm)) is not None
    }
    return structs.replace(counts, **intervals)


def _counts(lines: Sequence[OutputLine]) -> Summary:
    return Summary(
        n=len({line.pair_id for line in lines}),
        base=_arm_counts([line for line in lines if line.arm == Arm.BASE]),
        tuned=_arm_counts([line for line in lines if line.arm == Arm.TUNED]),
    )


def _arm_counts(lines: Sequence[OutputLine]) -> ArmCounts | None:
    if not lines:
        return None
    scanned = all(line.personal is not UNSET for line in lines)
    return ArmCounts(
        correct=sum(line.correct for line in lines),
        valid=sum(line.valid for line in lines),
        personal=_personal(lines) if scanned else None,
    )


def _personal(lines: Sequence[OutputLine]) -> PersonalAnswers:
    return PersonalAnswers(
        types={str(line.pair_id): tuple(line.personal) for line in lines if line.personal},
        unread=tuple(line.pair_id for line in lines if line.personal is None),
    )


def personal(comparison: Comparison, arm: Arm) -> dict[int, tuple[str, ...]] | None:
    """Types of personal data in the answers of an arm, by pair; None where no scan looked.

    An answer that could not be read whole is there without a type.
    """
    counts = cards.summary(comparison).arm(arm)
    if counts is None or counts.personal is None:
        return None
    types_by_pair = {int(pair_id): types for pair_id, types in counts.personal.types.items()}
    return types_by_pair | dict.fromkeys(counts.personal.unread, ())
