"""Put the held-out rows to a model before and after tuning, where an endpoint keeps both.

The same system message and temperature 0 for both; the inputs are sent, the expected outputs are
not. An endpoint may change what stands behind a name, and temperature 0 does not make every
endpoint answer the same twice: the answers kept are those of this one time.
"""

import time
from collections.abc import Sequence
from pathlib import Path

from curation.project.score import score, tally
from curation.schema_check import check_schema
from storage.errors import Unavailable
from training.hosted import reasons
from training.hosted.calls import Calls, NoAnswer
from training.hosted.completions import Wanted, complete
from training.models.render import messages
from training.proving import output_scan
from training.records import tasks
from training.records.tasks import RemoteEvaluateTask
from training.work.evidence import Cancelled, Evidence
from training.work.rows import (
    Figures,
    HeldOutPair,
    OutputLine,
    answer_line,
    read_held_out,
    write_outputs,
)

_LEAST_TOKENS, _MOST_TOKENS = 64, 1024


def main(directory: Path, hold: Evidence) -> None:
    """Answer and score as `spec.json` says; leave `outputs.jsonl` and `result.json`.

    Raises:
        AssayError: rows or schema are refused, or the endpoint gives no answer.
    """
    started = time.monotonic()
    task = tasks.read(RemoteEvaluateTask, directory)
    rows, endpoint = read_held_out(directory / task.rows, task.rows_sha256), task.endpoint
    if task.output_schema is not None:
        check_schema(task.output_schema)
    try:
        with Calls(endpoint, tries=5, should_stop=hold.cancel_requested) as calls:
            answered, figures = _all_arms(calls, task, rows, hold)
    except NoAnswer as error:
        raise Unavailable(reasons.refusal(error, rows)) from error
    lines, scanned = output_scan.check(answered, task.scan, hold)
    detail = {
        "n": len(rows),
        **figures,
        **scanned,
        "outputs_sha256": write_outputs(directory, lines),
        "base": {"name": f"{endpoint.name}/{task.models['base']}", "sha256": None},
        "seconds": round(time.monotonic() - started, 1),
    }
    hold.finish("finished", f"Answered {len(rows)} held-out pairs.", detail)


def _all_arms(
    calls: Calls, task: RemoteEvaluateTask, rows: Sequence[HeldOutPair], hold: Evidence
) -> tuple[list[OutputLine], Figures]:
    """Lines of `outputs.jsonl` and figures, each arm in turn."""
    limit = answer_limit(rows)
    lines: list[OutputLine] = []
    figures: Figures = {"max_new_tokens": limit}
    for number, (arm, model) in enumerate(task.models.items()):
        hold.say(f"Answering with the {arm} model.")
        scores, unended = [], 0
        for done, row in enumerate(rows):
            if hold.cancel_requested():
                raise Cancelled
            chat = messages(task.system_message, row.prompt)
            answer = complete(calls, model, chat, Wanted(limit, 0.0, 0))
            got = score(answer.text, row.response, task.output_schema, task.label_field)
            scores.append(got)
            unended += not answer.ended
            lines.append(answer_line(row.pair_id, arm, answer.text, got))
            hold.progress(number * len(rows) + done + 1, len(task.models) * len(rows))
        figures |= {**tally(scores, arm), f"{arm}_unended": unended}
    return lines, figures


def answer_limit(rows: Sequence[HeldOutPair]) -> int:
    """Tokens an answer may have: as many as the longest expected one has characters, which is
    several times what it needs, from 64 to 1,024.
    """
    longest = max(len(row.response) for row in rows)
    return min(_MOST_TOKENS, max(_LEAST_TOKENS, longest))
