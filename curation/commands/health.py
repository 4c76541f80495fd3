"""The command that measures coverage and health, of a project or of a file."""

import dataclasses
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from curation import statistics, strict_json
from curation.health import report
from curation.health.measured import Measure, MeasuredPair, Task, row_of
from storage import console
from storage.errors import BadInput

app = console.app("Commands for the health of a set.")


@app.command("health")
@console.plain
def show_health(
    project: console.In = "",
    approved: Annotated[bool, typer.Option("--approved", help="Only approved pairs.")] = False,
    file: Annotated[
        Path | None,
        typer.Option(help="Measure this file instead: JSON lines with id, prompt, response."),
    ] = None,
    schema: Annotated[Path | None, typer.Option(help="JSON schema of a file's outputs.")] = None,
    label_field: Annotated[str, typer.Option(help="Label in a file's JSON outputs.")] = "",
    as_json: console.AsJson = False,
) -> None:
    """Show what a set holds, what is thin and what looks wrong, with the pairs."""
    started = time.monotonic()
    if file is not None:
        task = Task(_schema(schema), label_field or None)
        health = report.measure(_rows(file), task)
    else:
        from curation.health import project_rows

        with console.looking() as session:
            inside = console.project(session, project).id
            health = project_rows.measure(session, inside, approved=approved)
    console.show(
        [_fields(measure) for measure in health.measures] if as_json else None,
        as_json=as_json,
        message="\n".join(_sentence(measure) for measure in health.measures),
    )
    seconds = time.monotonic() - started
    sys.stderr.write(f"{statistics.count(health.n, 'pair')} in {seconds:.2f} s\n")


def _fields(measure: Measure) -> dict[str, object]:
    """A measure for machines; its summary is called `told` there."""
    fields = dataclasses.asdict(measure)
    del fields["beyond"]  # the command lists every row
    return {
        **{"told" if name == "summary" else name: value for name, value in fields.items()},
        "rows": list(measure.rows),
        "bars": dict(measure.bars),
        "share_low": measure.share[0],
        "share_high": measure.share[1],
    }


def _sentence(measure: Measure) -> str:
    interval = statistics.percent(measure.share, digits=1)
    share = f" (95 % interval {interval})" if measure.look and measure.rows else ""
    first = f" Pairs: {', '.join(map(str, measure.rows[:10]))}" if measure.rows else ""
    more = f" and {len(measure.rows) - 10} more" if len(measure.rows) > 10 else ""
    return f"{measure.name}: {measure.summary}{share}{first}{more}"


def _schema(path: Path | None) -> dict[str, Any] | None:
    if path is None:
        return None
    from curation import schema_check

    value = strict_json.loads(_read(path))
    schema_check.check_schema(value)
    return value if isinstance(value, dict) else None


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise BadInput(f"There is no file {path}. Check the name.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{path.name} cannot be read as UTF-8 text. Save it as UTF-8.") from error


def _rows(path: Path) -> list[MeasuredPair]:
    rows: list[MeasuredPair] = []
    lines: dict[int | str, int] = {}
    for number, line in enumerate(_read(path).split("\n"), 1):
        if not line.strip():
            continue
        try:
            value = strict_json.loads(line)
            if not isinstance(value, dict):
                raise BadInput("it is no JSON object")
            row = row_of(value)
        except BadInput as error:
            raise BadInput(f"{path.name}, line {number}: {error}") from error
        if row.tags.id in lines:
            raise BadInput(
                f"{path.name}, line {number}: its id stands in line {lines[row.tags.id]} too."
            )
        lines[row.tags.id] = number
        rows.append(row)
    return rows
