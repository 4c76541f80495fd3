"""Commands that keep a set clean: personal data, duplicates, the audit."""

from typing import Annotated

import typer
from sqlalchemy.orm import Session

from curation.gate import audit
from curation.gate.audit import Part
from curation.overlap import overlaps, sweeping
from curation.personal import scan_run, scan_settings, scrub
from curation.personal.findings import coverage, marked
from curation.review.decisions import Reason
from storage import console, pairs, people
from storage.engine import reading
from storage.errors import BadInput, NotFound
from storage.types import FindingState

app = console.app("Commands that keep a set clean.")


@app.command("scrub")
@console.plain
def scan_rows(as_: console.As, project: console.In = "", as_json: console.AsJson = False) -> None:
    """Scan every pair whose text has no scan for personal data."""
    engine = console.engine()
    with reading(engine) as session:
        inside = console.project(session, project).id
        actor = console.actor(session, as_)
        config = scan_settings.current(session, inside).config
    with console.progress("Scanning") as step:
        run = scan_run.scan(engine, actor, inside, config, step=step)
    with reading(engine) as session:
        state = coverage(session, inside)
    console.show(
        {"scanned": run.stored, "open": state.open, "quarantined": state.quarantined},
        as_json=as_json,
        message=f"Scanned {run.stored} pairs. Pairs with open findings: {len(state.open)}; "
        f"quarantined: {len(state.quarantined)}.",
    )


@app.command()
@console.plain
def findings(
    project: console.In = "",
    accept: Annotated[int, typer.Option(help="Accept this finding.")] = 0,
    dismiss: Annotated[int, typer.Option(help="Say that this finding is harmless.")] = 0,
    everywhere: Annotated[bool, typer.Option(help="The same words in all pairs too.")] = False,
    as_: Annotated[str, typer.Option("--as", help="Name of the profile that acts.")] = "",
    as_json: console.AsJson = False,
) -> None:
    """List the open findings, or decide one."""
    state = FindingState.ACCEPTED if accept else FindingState.DISMISSED
    if everywhere and (accept or dismiss):
        with console.looking() as session:
            who = console.actor(session, as_)
        with console.progress("Deciding in all pairs") as step:
            scrub.everywhere_in_chunks(console.engine(), who, accept or dismiss, state, step=step)
    with console.acting() as session:
        inside = console.project(session, project).id
        if (accept or dismiss) and not everywhere:
            scrub.decide(session, console.actor(session, as_), accept or dismiss, state)
        pairs_with_findings = marked(session, inside)
        console.show(
            [finding for m in pairs_with_findings for finding in m.findings], as_json=as_json
        )


@app.command()
@console.plain
def sweep(as_: console.As, project: console.In = "", as_json: console.AsJson = False) -> None:
    """Compare all pairs and list what repeats, contradicts or leaks."""
    with console.looking() as session:
        inside, actor = console.project(session, project).id, console.actor(session, as_)
    with console.progress("Comparing") as step:
        sweeping.sweep_in_chunks(console.engine(), actor, inside, step=step)
    with console.looking() as session:
        console.show(overlaps.current(session, inside), as_json=as_json)


@app.command()
@console.plain
def keep(
    pair: int,
    others: list[int],
    as_: console.As,
    reason: str = Reason.DUPLICATE,
) -> None:
    """Keep one pair and reject the others."""
    with console.acting() as session:
        versions = {i: pairs.get(session, i).version for i in others}
        overlaps.keep(session, console.actor(session, as_), pair, versions, reason)


@app.command("audit")
@console.plain
def audit_rows(
    as_: console.As,
    project: console.In = "",
    draw: Annotated[int | None, typer.Option(help="Draw a new audit with this seed.")] = None,
    good: Annotated[int, typer.Option(help="Judge this pair good.")] = 0,
    bad: Annotated[int, typer.Option(help="Judge this pair bad; it goes back to review.")] = 0,
    as_json: console.AsJson = False,
) -> None:
    """Draw an audit, judge a pair, or show the next pair and the result so far."""
    with console.acting() as session:
        actor, inside = console.actor(session, as_), console.project(session, project).id
        if draw is not None:
            audit.draw(session, actor, inside, draw)
        if good or bad:
            version = pairs.get(session, good or bad).version
            audit.judge(session, actor, good or bad, version, good=bool(good))
        following = audit.next_row(session, actor, inside)
        state = {"result": audit.latest(session, inside), "next": following}
        text = f"{state['result']}"
        if following is not None:
            text += f"\n\nNext: pair {following.id}\n\n{following.prompt}\n\n{following.response}"
        console.show(state, as_json=as_json, message=text)


@app.command()
@console.plain
def strata(
    project: console.In = "",
    reopen: Annotated[int, typer.Option(help="Send the pairs of this stratum back.")] = 0,
    listed: Annotated[
        str, typer.Option("--seen", help="Its bad/judged/to go back, as listed.")
    ] = "",
    as_: Annotated[str, typer.Option("--as", help="Name of the profile that acts.")] = "",
    as_json: console.AsJson = False,
) -> None:
    """List the strata of the newest audit, or send a failed one back to review."""
    with console.looking() as session:
        inside = console.project(session, project).id
        result = audit.latest(session, inside)
        parts = result.parts if result else ()
        if not reopen:
            console.show(
                [_stratum(session, inside, number, part) for number, part in enumerate(parts, 1)],
                as_json=as_json,
            )
            return
        if not 1 <= reopen <= len(parts):
            raise NotFound(f"The newest audit has no stratum {reopen}. List them first.")
        figures = _figures(listed)
        actor, chosen = console.actor(session, as_), parts[reopen - 1].stratum
    with console.progress("Sending back") as step:
        back = audit.reopen_in_chunks(console.engine(), actor, inside, chosen, figures, step=step)
    console.show({"back": back}, as_json=as_json, message=f"{back} pairs are back in review.")


def _stratum(session: Session, project_id: int, number: int, part: Part) -> dict[str, object]:
    author = part.stratum.author_id
    back = len(audit.reopening(session, project_id, part.stratum))
    return {
        "number": number,
        "origin": part.stratum.origin,
        "author": people.get(session, author).name if author is not None else None,
        "era": part.stratum.era_id,
        "rows": part.rows,
        "seen": f"{part.bad}/{part.judged}/{back}",
    }


def _figures(listed: str) -> tuple[int, int, int]:
    """The three numbers of `--seen`.

    Raises:
        BadInput: they are not three.
    """
    try:
        bad, judged, back = map(int, listed.split("/"))
    except ValueError:
        raise BadInput("Give --seen as listed, such as 4/12/28: bad, judged, to go back.") from None
    return bad, judged, back
