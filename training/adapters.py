"""Adapters and their cards: the lineage from rows to votes, and the folder to hand on."""

import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from curation import statistics
from storage.errors import NotFound, Unavailable
from storage.settings import Settings
from storage.tables import AdapterRow, EvaluationRow, TrialCloseRow, TrialRow
from storage.types import Adapter
from training import base_models, blind, terms


def _adapter(row: AdapterRow) -> Adapter:
    return Adapter(
        id=row.id,
        project_id=row.project_id,
        name=row.name,
        job_id=row.job_id,
        version_id=row.version_id,
        sha256=row.sha256,
        path=f"jobs/{row.job_id}/adapter",
        created_at=row.created_at,
        card=row.card,
    )


def listing(session: Session, project_id: int) -> list[Adapter]:
    """The adapters of a project, newest first."""
    query = (
        select(AdapterRow).where(AdapterRow.project_id == project_id).order_by(AdapterRow.id.desc())
    )
    return [_adapter(row) for row in session.scalars(query)]


def get(session: Session, adapter_id: int) -> Adapter:
    """One adapter.

    Raises:
        NotFound: there is no such adapter.
    """
    row = session.get(AdapterRow, adapter_id)
    if row is None:
        raise NotFound(f"There is no adapter {adapter_id}.")
    return _adapter(row)


def card(session: Session, adapter_id: int) -> dict[str, Any]:
    """The whole card: how it was made, what it scored, what closed trials said."""
    adapter = get(session, adapter_id)
    found = session.scalars(
        select(EvaluationRow)
        .where(EvaluationRow.adapter_id == adapter_id)
        .order_by(EvaluationRow.id)
    ).all()
    measured = [one for one in found if not blind.sealed(session, one.id)]
    return {
        "name": adapter.name,
        "sha256": adapter.sha256,
        **adapter.card,
        "evaluations": [scored(one.summary) for one in measured],
        "trials": [_trial(session, trial_id) for trial_id in _closed(session, adapter_id)],
        "limits": [
            "Weights cannot be shown to have forgotten a row.",
            "Figures hold for held-out rows of this version, not for other messages.",
        ],
    }


def sealed(session: Session, adapter_id: int) -> int:
    """How many comparisons the card keeps back while a blind trial on their answers is open."""
    query = select(EvaluationRow.id).where(EvaluationRow.adapter_id == adapter_id)
    return sum(blind.sealed(session, one) for one in session.scalars(query))


def scored(summary: dict[str, Any]) -> dict[str, Any]:
    """Rates of an evaluation with their n and 95 % Wilson interval, by arm and measure."""
    n = summary["n"]
    rates: dict[str, Any] = {"n": n}
    for arm in ("base", "tuned"):
        for measure in ("correct", "valid"):
            if arm in summary:
                k = summary[arm][measure]
                low, high = statistics.wilson(k, n)
                rates[f"{arm}_{measure}"] = {"k": k, "rate": k / n, "low": low, "high": high}
    return rates


def _closed(session: Session, adapter_id: int) -> list[int]:
    query = (
        select(TrialRow.id)
        .join(EvaluationRow, EvaluationRow.id == TrialRow.evaluation_id)
        .join(TrialCloseRow, TrialCloseRow.trial_id == TrialRow.id)
        .where(EvaluationRow.adapter_id == adapter_id)
        .order_by(TrialRow.id)
    )
    return list(session.scalars(query))


def _trial(session: Session, trial_id: int) -> dict[str, Any]:
    trial, found = blind.get(session, trial_id), blind.result(session, trial_id)
    return {
        "planned": trial.planned,
        "question": trial.question,
        "registration_sha256": trial.registration["sha256"],
        "verdict": found.verdict,
        "why": found.why,
        "tuned": found.total.tuned,
        "base": found.total.base,
        "tie": found.total.tie,
        "both_bad": found.total.both_bad,
        "win_interval": [found.win_low, found.win_high],
        "p_value": found.p_value,
        "reviewers": len(found.reviewers),
        "familiar_votes": found.familiar,
    }


def markdown(card: dict[str, Any]) -> str:
    """The card as Markdown, to travel with the adapter. Names are quoted as code: they are typed
    by people and must not turn into links or pictures."""
    version, result = card["version"], card["result"]
    lines = [
        f"# Adapter `{_code(card['name'])}`",
        "",
        f"- sha256: `{card['sha256']}`",
        f"- base model: `{_code(json.dumps(card['base']))}`",
        f"- data: version {version['number']}, sha256 `{version['sha256']}`, rows per split "
        f"`{json.dumps(version['counts'])}`, origins `{json.dumps(version['origins'])}`",
        f"- approvals by person: `{_code(json.dumps(version['approvals'], ensure_ascii=False))}`",
        f"- settings: `{json.dumps(card['settings'])}`",
        f"- steps {result.get('steps')}, seed {card['settings'].get('seed')}",
        *_remote(card),
        *_resumed(result.get("resumed_from")),
        "",
        "## Gate when launched",
        "",
        *(_gate_line(line) for line in card["gate"]),
        "",
        "## Measured on held-out rows",
        "",
        *(_scores(one) for one in card["evaluations"]),
        "",
        "## Blind trials",
        "",
        *(
            f"- {t['verdict']}: tuned {t['tuned']}, base {t['base']}, ties {t['tie']}, both bad "
            f"{t['both_bad']}, {t['reviewers']} reviewers, sign test p = {t['p_value']:.4f}"
            for t in card["trials"]
        ),
        "",
        "## Limits",
        "",
        *(f"- {limit}" for limit in card["limits"]),
        "",
    ]
    return "\n".join(lines)


def _code(text: str) -> str:
    return text.replace("`", "'")


def _remote(card: dict[str, Any]) -> Iterator[str]:
    """Where an endpoint keeps the model: its name there, who agreed to that, and the cost."""
    if card.get("kind") != terms.KIND:
        return
    given, result = card["consent"], card["result"]
    yield f"- model at endpoint `{_code(given['endpoint'])}`: `{_code(result['fine_tuned_model'])}`"
    yield f"- job there: `{_code(result['remote_job'])}`; {result['files_told']}"
    yield f"- `{_code(str(given['given_by']))}` agreed that {given['rows']} rows leave the house"
    if result.get("cost"):
        yield f"- cost: {result['cost']['amount']:,.2f} {_code(result['cost']['currency'])}"


def _resumed(before: dict[str, Any] | None) -> Iterator[str]:
    """The runs that this one went on from, the latest first."""
    while before is not None:
        yield (
            f"- resumed from step {before['step']} of run `{before['job']}`, checkpoint sha256 "
            f"`{before['sha256']}`"
        )
        before = before.get("before")


def _gate_line(line: dict[str, Any]) -> str:
    state = "met" if line["met"] else f"waived by `{_code(str(line['waiver']))}`"
    return f"- {line['name']}: {line['measured']}; {state}"


def _scores(rates: dict[str, Any]) -> str:
    parts = [
        f"{name.replace('_', ' ')} {r['k']} of {rates['n']} "
        f"({r['rate']:.0%}, 95 % interval {r['low']:.0%} to {r['high']:.0%})"
        for name, r in rates.items()
        if name != "n"
    ]
    return "- " + "; ".join(parts)


def at_endpoint(adapter: Adapter) -> bool:
    """Whether an endpoint keeps the weights, so that only the card can be handed on."""
    return adapter.card.get("kind") == terms.KIND


def intact(adapter: Adapter, settings: Settings) -> Path:
    """The folder of an adapter whose files are the ones that its run recorded.

    Raises:
        Unavailable: they are gone, or changed.
    """
    path = settings.data / adapter.path
    if at_endpoint(adapter):
        raise Unavailable(
            f"The weights of {adapter.name} are kept by its endpoint and cannot be downloaded."
        )
    if not path.is_dir() or base_models.folder_sha256(path) != adapter.sha256:
        raise Unavailable(
            f"The files of adapter {adapter.name} are missing or changed. Restore a backup."
        )
    return path


def package(session: Session, adapter_id: int, settings: Settings) -> bytes:
    """A zip of the PEFT folder with the card in JSON and Markdown; the hash is verified first. Of a
    model that an endpoint keeps it holds the card only.

    Raises:
        Unavailable: the files are gone, or not the ones that the run recorded.
    """
    adapter = get(session, adapter_id)
    files = [] if at_endpoint(adapter) else sorted(intact(adapter, settings).iterdir())
    whole = card(session, adapter_id)
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in files:
            archive.write(file, file.name)
        archive.writestr("card.json", json.dumps(whole, ensure_ascii=False, indent=2))
        archive.writestr("card.md", markdown(whole))
    return content.getvalue()
