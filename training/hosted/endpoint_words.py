"""What an endpoint says of a failure, as far as it can be told: it may quote rows it was sent."""

import re
from collections.abc import Sequence

from training.hosted.calls import NoAnswer
from training.hosted.finetuning import RemoteJob, code_of
from training.work.rows import Held, Row

_QUOTED = re.compile(r"[\"'`\u2018\u201c\u00ab].*?[\"'`\u2019\u201d\u00bb]", re.DOTALL)
_WINDOW = 12
"""Characters in common with a row from which on an endpoint's words are taken for a quotation."""


def unquoted(words: str, rows: Sequence[Row] | Sequence[Held]) -> str:
    """An endpoint's words without what it quotes; empty where they still repeat 12 characters of a
    row. What this does not catch: a shorter piece of a row that stands without quotation marks.
    """
    said = " ".join(_QUOTED.sub("...", words).split())[:300]
    text = " ".join("\n".join(f"{row.prompt}\n{row.response}" for row in rows).casefold().split())
    low = said.casefold()
    repeated = any(low[i : i + _WINDOW] in text for i in range(max(1, len(low) - _WINDOW + 1)))
    return "" if len(low) >= _WINDOW and repeated else said


def refusal(error: NoAnswer, rows: Sequence[Row] | Sequence[Held]) -> str:
    """The sentence of a refusal, with the endpoint's reason where it can be told."""
    words = unquoted(str(error.said.get("message") or ""), rows)
    reason = " ".join(part for part in (words, _coded(code_of(dict(error.said)))) if part)
    return f"{error} The endpoint's reason: {reason}" if reason else str(error)


def _coded(code: str) -> str:
    return f"({code})" if code else ""


def failure(endpoint: str, job: RemoteJob, rows: Sequence[Row] | Sequence[Held]) -> str:
    """Why a job that ended left no model."""
    name = f"job {job.id} at endpoint {endpoint}"
    if job.status == "cancelled":
        return f"Someone cancelled {name}, not here. Nothing was kept."
    if job.status == "succeeded":
        return f"The {name} ended well but names no tuned model. Look for it there."
    words = " ".join(part for part in (unquoted(job.message, rows), _coded(job.code)) if part)
    told = words or "without a reason that can be told here"
    return f"The {name} failed: {told}. Mend what it names and launch again."
