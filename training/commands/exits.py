"""Hand an adapter on to other programs, serve it, take one in."""

import os
import shutil
import socket
from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer

from storage import console, settings
from storage.errors import BadInput, RuleBroken, Unavailable
from training import asks
from training.commands.following import wait
from training.exits import exports, source as sources, vllm
from training.exits.registry import EXITS, MERGED
from training.exits.source import ExportSource
from training.lifecycle import adapter_files, imports, standing
from training.models import adapters
from training.records.parts import BaseModel

app = console.app("Hand an adapter on to other programs, serve it, take one in.")
Which = Annotated[str, typer.Argument(metavar="adapter@N", help="The adapter, such as adapter@3.")]


@app.command()
@console.plain
def export(
    adapter: Which,
    to: Annotated[Path, typer.Option(help="A new folder to write to.")],
    exit_: Annotated[
        list[str] | None,
        typer.Option("--exit", help=f"One of {', '.join(EXITS)}; may be repeated."),
    ] = None,
    with_base: Annotated[bool, typer.Option(help="Copy the base model there too.")] = False,
    as_: Annotated[
        str, typer.Option("--as", help="Who merges, where that is still to do.", metavar="NAME")
    ] = "",
    project: console.In = "",
) -> None:
    """Write an adapter for other programs; merges it first where that is asked for."""
    place = settings.current()
    with console.looking() as session:
        chosen = adapters.named(session, console.project(session, project).id, adapter).id
    names = exit_ or [name for name in EXITS if name != MERGED]
    if MERGED in names:
        _merge(chosen, as_)
    with console.looking() as session:
        written = exports.build(session, chosen, place, names, base=with_base)
    exports.write(written, to.resolve())
    lines = [f"Saved {', '.join(written.exits)} in {to}."]
    lines += [f"Not {EXITS[name].title}: {why}" for name, why in written.left_out.items()]
    console.show(None, as_json=False, message="\n".join(lines))


def _merge(chosen: int, as_: str) -> None:
    place = settings.current()
    with console.acting() as session:
        named = adapters.get(session, chosen)
        if exports.merged(session, named, place) is not None:
            return
        job = asks.merge(session, console.actor(session, as_), chosen, place)
    console.show(None, as_json=False, message=wait(job).message or "Merged.")


@app.command()
@console.plain
def serve(
    adapter: Which,
    port: int = 8000,
    server: Annotated[
        str, typer.Option(help="transformers, vllm, or auto: vllm where it is installed.")
    ] = "auto",
    project: console.In = "",
) -> None:
    """Serve an adapter on this computer over the OpenAI protocol, until it is stopped."""
    if server not in ("auto", "transformers", "vllm"):
        raise BadInput(f"There is no server {server!r}. Choose transformers, vllm or auto.")
    place = settings.current()
    with console.looking() as session:
        named = adapters.named(session, console.project(session, project).id, adapter)
        if standing.kind(named) == standing.PROVIDER:
            raise RuleBroken(f"{adapter} stays with its provider. Ask it there.")
        source = sources.of(session, named, place)
        merged = exports.merged(session, named, place)
    _refuse_busy(port)
    os.environ["HF_HUB_OFFLINE"] = os.environ["TRANSFORMERS_OFFLINE"] = "1"
    console.show(None, as_json=False, message=f"{source.served} on http://127.0.0.1:{port}/v1")
    if server == "vllm" or (server == "auto" and shutil.which("vllm")):
        _become_vllm(source, merged, place, port)
    _with_transformers(source, place, port)


def _refuse_busy(port: int) -> None:
    with closing(socket.socket()) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except (OSError, OverflowError) as error:
            raise Unavailable(f"Port {port} is in use. Choose another with --port.") from error


def _become_vllm(
    source: ExportSource, merged: Path | None, place: settings.Settings, port: int
) -> None:
    """Replace this process by vLLM; a merged model first, else base and adapter."""
    program = shutil.which("vllm")
    if program is None:
        raise Unavailable("vLLM is not installed here. Install it, or use --server transformers.")
    folder = adapter_files.intact(source.adapter, place)
    if source.kind == standing.FULL or merged is not None:
        command = vllm.full_model(source, str(merged or folder), port)
    elif source.base_folder is None or source.dora:
        raise Unavailable("vLLM needs this adapter merged. Run: export adapter@N --exit merged")
    else:
        command = vllm.with_adapter(source, str(source.base_folder), str(folder), port)
    os.execv(program, command)  # noqa: S606 - a fixed list of arguments, never a shell


def _with_transformers(source: ExportSource, place: settings.Settings, port: int) -> None:
    try:
        from training.exits import serving
    except ImportError as error:
        raise Unavailable(
            f"Serving needs the package {error.name}. Run: pip install -c constraints.txt "
            "fastapi openai"
        ) from error
    served = serving.Served(
        source.served,
        source.system,
        source.kind,
        source.base,
        source.base_sha256,
        source.precision,
        adapter_files.intact(source.adapter, place),
        source.adapter.sha256,
    )
    serving.run(served, place.data, port)


@app.command("import-adapter")
@console.plain
def import_adapter(
    source: Annotated[Path, typer.Argument(help="A PEFT folder, or a zip of one.")],
    as_: console.As,
    name: str = "",
    base: Annotated[str, typer.Option(help="packaged, a folder, or a hub id with @commit.")] = (
        "packaged"
    ),
    project: console.In = "",
) -> None:
    """Take in an adapter that was trained elsewhere; what could do harm is refused unopened."""
    place = settings.current()
    with console.looking() as session:
        inside = console.project(session, project).id
        actor = console.actor(session, as_)
        files = imports.look_through(session, actor, inside, source.absolute(), _base(base), place)
    with console.acting() as session:
        imported = imports.take(session, actor, inside, files, name, place)
    console.show(None, as_json=False, message=f"adapter@{imported.number} is {imported.name}.")


def _base(text: str) -> BaseModel:
    if text == "packaged":
        return BaseModel("packaged")
    if Path(text).is_dir():
        return BaseModel("folder", str(Path(text).resolve()))
    where, _, revision = text.partition("@")
    return BaseModel("hub", where, revision or None)
