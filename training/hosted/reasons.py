"""What an endpoint says of a failure, as far as it can be repeated: it may quote pairs."""

import re
from collections.abc import Sequence

from training.hosted.calls import EndpointError, NoAnswer
from training.hosted.finetuning import RemoteJob
from training.work.rows import HeldOutPair, TrainingPair

_QUOTED = re.compile(r"[\"'`\u2018\u201c\u00ab].*?[\"'`\u2019\u201d\u00bb]", re.DOTALL)
_WINDOW = 12
"""Characters in common with a pair from which on an endpoint's message is taken for a quotation."""


def unquoted(message: str, rows: Sequence[TrainingPair] | Sequence[HeldOutPair]) -> str:
    """An endpoint's message without what it quotes; empty where it still repeats 12 characters of a
    pair. What this does not catch: a shorter piece of a pair that stands without quotation marks.
    """
    plain = " ".join(_QUOTED.sub("...", message).split())[:300]
    text = " ".join("\n".join(f"{row.prompt}\n{row.response}" for row in rows).casefold().split())
    low = plain.casefold()
    repeated = any(low[i : i + _WINDOW] in text for i in range(max(1, len(low) - _WINDOW + 1)))
    return "" if len(low) >= _WINDOW and repeated else plain


def _reason(error: EndpointError, rows: Sequence[TrainingPair] | Sequence[HeldOutPair]) -> str:
    code = f"({error.code})" if error.code else ""
    return " ".join(part for part in (unquoted(error.message, rows), code) if part)


def refusal(error: NoAnswer, rows: Sequence[TrainingPair] | Sequence[HeldOutPair]) -> str:
    """The sentence of a refusal, with the endpoint's reason where it can be repeated."""
    reason = _reason(error.published, rows)
    return f"{error} The endpoint's reason: {reason}" if reason else str(error)


def failure(
    endpoint: str, job: RemoteJob, rows: Sequence[TrainingPair] | Sequence[HeldOutPair]
) -> str:
    """Why a job that ended left no model."""
    name = f"job {job.id} at endpoint {endpoint}"
    if job.status == "cancelled":
        return f"Someone cancelled {name}, not here. Nothing was kept."
    if job.status == "succeeded":
        return f"The {name} ended well but names no tuned model. Look for it there."
    reason = _reason(job.error, rows) or "without a reason that can be told here"
    return f"The {name} failed: {reason}. Mend what it names and launch again."
