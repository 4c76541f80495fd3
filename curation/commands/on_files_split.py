"""`python -m curation split` and `leakage`: rows of a file shared out, and leaks between two."""

import hashlib
import json
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from curation.exchange.reading import file_rows, jsonl
from storage import lazily
from storage.errors import BadInput, Unavailable

if TYPE_CHECKING:
    from curation.overlap.leakage import Leak

app = lazily.part()

PARTS = ("train", "validation", "test")


@app.command()
def split(
    source: Annotated[Path, typer.Argument(metavar="IN.jsonl")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for the parts.")],
    shares: Annotated[
        str, typer.Option(help="Of training, validation and test; they make 1.")
    ] = "0.64,0.16,0.2",
    seed: Annotated[int, typer.Option(help="The same seed gives the same split.")] = 7,
    stratify: Annotated[
        str,
        typer.Option(metavar="FIELDS", help="Shared out alike, such as label or label,difficulty."),
    ] = "",
    group: Annotated[
        str, typer.Option(metavar="FIELD", help="Rows of one source, kept together.")
    ] = "",
    text: Annotated[str, typer.Option(metavar="FIELDS", help="Compared for near-duplicates.")] = "",
    threshold: Annotated[
        float, typer.Option(help="Near-duplicates are kept together from here on, 0.5 to 1.")
    ] = 0.8,
    keep: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="An earlier split: its rows stay where they were."),
    ] = None,
) -> None:
    """Share rows out between train.jsonl, validation.jsonl and test.jsonl in DIR.

    IN.jsonl has a JSON object on each line; lines go out byte for byte as they are, in their order.
    Rows that (nearly) repeat each other, and rows of one --group, stay together: their prompts are
    nearly the same (as `leakage` sees it), or prompt and response together are. Rows without a
    prompt are compared by "text", else by the messages of a chat; --text names other fields.
    Fields may be nested, also in a JSON text: response.team. A row without the field of --stratify
    is of a stratum of its own.

    The order of IN.jsonl does not matter. With rows added, few others move (none with --keep).
    DIR/split.json says what was asked, what came out in each stratum, and what could not be met.
    """
    with lazily.refusing():
        _split(source, out, _shares(shares), seed, stratify, group, text, threshold, keep)


@app.command()
def leakage(
    train: Annotated[Path, typer.Argument(metavar="TRAIN.jsonl")],
    test: Annotated[Path, typer.Argument(metavar="TEST.jsonl")],
    out: Annotated[Path, typer.Option(metavar="LEAKS.jsonl", help="Where the leaks go.")],
    threshold: Annotated[
        float, typer.Option(help="Inputs are nearly the same from here on, 0.5 to 1.")
    ] = 0.8,
    source: Annotated[
        str, typer.Option(metavar="FIELD", help="Rows with one value there are of one source.")
    ] = "",
    text: Annotated[str, typer.Option(metavar="FIELDS", help="Compared instead of prompt.")] = "",
    fail: Annotated[bool, typer.Option("--fail", help="Exit with 1 if there are leaks.")] = False,
) -> None:
    """Find rows of TRAIN.jsonl that give rows of TEST.jsonl away. Exits with 0 unless --fail.

    Both have {"id", "prompt", "response"} on each line. LEAKS.jsonl gets {"train", "test",
    "similarity", "how"}, in the order of the files. Inputs are compared, not outputs: the prompt,
    without one "text", else what the user says in the messages of a chat.

    how: "exact"; "normalised", the same but for case, marks and spacing; "near", of three-word runs
    (of characters in short rows) the share that both have is the threshold or more, or so few edits
    lead from one to the other (similarity: of the words that stay, else of the characters);
    "source", one --source.

    Not found: the same said in other words. Where more than 5 % of all rows hang together by edits,
    such as forms with one field filled in, only those are near that are nearer than the rest.
    """
    with lazily.refusing():
        leaks = _leakage(train, test, out, threshold, source, text)
    if fail and leaks:
        raise typer.Exit(1)


def _shares(text: str) -> tuple[float, float, float]:
    try:
        train, validation, test = (float(part) for part in text.split(","))
    except ValueError:
        raise typer.BadParameter(
            f"--shares {text} are not three numbers with commas, such as 0.64,0.16,0.2."
        ) from None
    return train, validation, test


def _split(
    source: Path,
    out: Path,
    shares: tuple[float, float, float],
    seed: int,
    stratify: str,
    group: str,
    text: str,
    threshold: float,
    keep: Path | None,
) -> None:
    from curation.exchange.reading import file_split

    begun = time.perf_counter()
    request = file_split.SplitRequest(shares, seed, stratify, group, text, threshold)
    rows = file_rows.read(source)
    earlier = None
    if keep is not None:
        earlier = [file_rows.read(keep / f"{part}.jsonl") for part in PARTS]
    parts, report = file_split.share_out(rows, request, source.name, earlier)
    written = msgspec.to_builtins(report)
    written["input"] = {"name": source.name, "sha256": _sha256(source)}
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Unavailable(f"The folder {out} cannot be made: {error.strerror}.") from error
    if source.resolve() in {(out / f"{part}.jsonl").resolve() for part in PARTS}:
        raise BadInput(f"{source} would be overwritten: name another folder.")
    with ExitStack() as stack:
        files = {
            part: stack.enter_context(jsonl.replacing(out / f"{part}.jsonl")) for part in PARTS
        }
        summary = stack.enter_context(jsonl.replacing(out / "split.json"))
        for row, part in zip(rows, parts, strict=True):
            files[part].write(f"{row.raw}\n")
        json.dump(written, summary, ensure_ascii=False, indent=2)
        summary.write("\n")
    for sentence in report.cannot:
        typer.echo(sentence, err=True)
    counts = ", ".join(f"{n:,} {part}" for part, n in report.rows.items())
    _done(begun, len(rows), f"{counts}; {report.groups.count:,} groups kept whole")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _leakage(train: Path, test: Path, out: Path, threshold: float, source: str, text: str) -> int:
    from curation.overlap import leakage as engine

    begun = time.perf_counter()
    if out.resolve() in (train.resolve(), test.resolve()):
        raise BadInput(f"{out} is one of the files to read: give it a path of its own.")
    sides = [file_rows.read(path, ids=True) for path in (train, test)]
    candidates = [
        [
            engine.SourcedInput(
                at,
                file_rows.prompt(row, text, need=True),
                file_rows.label(row, source, need=False) if source else None,
            )
            for at, row in enumerate(rows)
        ]
        for rows in sides
    ]
    if (
        source
        and sides[0] + sides[1]
        and not any(row.source for rows in candidates for row in rows)
    ):
        raise BadInput(f'No row of {train.name} and {test.name} has the field "{source}".')
    leaks = engine.leaks(candidates[0], candidates[1], threshold)
    with jsonl.replacing(out) as file:
        file.writelines(_lines(leaks, sides))
    ways = {how: sum(leak.how is how for leak in leaks) for how in engine.How}
    counts = ", ".join(f"{n:,} {how}" for how, n in ways.items())
    leaking = len({leak.train_id for leak in leaks})
    _done(
        begun,
        len(sides[0]) + len(sides[1]),
        f"{len(leaks):,} leaks ({counts}) of {leaking:,} of {len(sides[0]):,} training rows",
    )
    return len(leaks)


def _lines(leaks: Sequence["Leak"], sides: Sequence[Sequence[file_rows.FileRow]]) -> Iterator[str]:
    for leak in leaks:
        line = {
            "train": sides[0][leak.train_id].fields["id"],
            "test": sides[1][leak.test_id].fields["id"],
            "similarity": leak.similarity,
            "how": leak.how.value,
        }
        yield json.dumps(line, ensure_ascii=False) + "\n"


def _done(begun: float, rows: int, summary: str) -> None:
    took = time.perf_counter() - begun
    typer.echo(f"{rows:,} rows in {took:.2f} s ({rows / took:,.0f} rows/s): {summary}.", err=True)
