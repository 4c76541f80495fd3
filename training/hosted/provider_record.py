"""The record of a model that an endpoint tuned and keeps: names, figures and cost; no weights."""

import hashlib
import platform
from collections.abc import Mapping
from typing import Any

import httpx

from training.hosted import terms
from training.hosted.endpoints import Endpoint
from training.hosted.finetuning import RemoteJob
from training.hosted.remote import RemoteRun


def build(
    spec: Mapping[str, Any], job: RemoteJob, remote_run: RemoteRun, course: Mapping[str, Any]
) -> dict[str, Any]:
    """The record of a run that ended well; `course` is how it went."""
    settings, model = spec["settings"], str(job.model)
    return {
        "kind": terms.KIND,
        "version_sha256": spec.get("version_sha256"),
        "rows_sha256": spec["rows_sha256"],
        "base": {
            "name": f"{remote_run.endpoint}/{settings['model']}",
            "sha256": None,
            "licence": "the endpoint's terms",
            "revision": None,
        },
        "settings": settings,
        "seed": settings.get("seed"),
        "epochs": settings.get("epochs"),
        "endpoint": remote_run.endpoint,
        "remote_job": job.id,
        "fine_tuned_model": model,
        "adapter_sha256": identity(remote_run.endpoint, job.id, model),
        "trained_tokens": job.trained_tokens,
        "cost": _cost(spec["endpoint"], job.trained_tokens),
        "libraries": {"python": platform.python_version(), "httpx": httpx.__version__},
        "hardware": {"accelerator": None, "system": "the endpoint's"},
        **course,
        "resumed_from": spec.get("resumed_from"),
    }


def _cost(endpoint: Mapping[str, Any], tokens: int | None) -> dict[str, Any] | None:
    offer = Endpoint.from_dict("", endpoint).tuning
    if tokens is None or offer is None:
        return None
    return {
        "amount": round(tokens * offer.price / 1e6, 4),
        "currency": offer.currency,
        "made": "tokens counted by the endpoint, times the price in the server's configuration",
    }


def identity(endpoint: str, job: str, model: str) -> str:
    """The sha256 by which a tuned model at an endpoint goes: of its names, as nobody here has its
    weights. What it does not show: whether the endpoint changed the model behind the name.
    """
    return hashlib.sha256(f"{endpoint}\n{job}\n{model}".encode()).hexdigest()


def ending(detail: Mapping[str, Any]) -> str:
    """One sentence on what was made, and what it cost."""
    cost = detail["cost"]
    paid = f", for {terms.money(cost['amount'], cost['currency'])}" if cost else ""
    return f"The endpoint tuned and keeps the model{paid}."
