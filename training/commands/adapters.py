"""List adapters, show their cards, hand them on."""

from pathlib import Path

from storage import console, settings
from storage.errors import BadInput
from training import adapters

app = console.app("List adapters, show their cards, hand them on.")


@app.command("adapters")
@console.plain
def list_adapters(project: console.In = "", as_json: console.AsJson = False) -> None:
    """List the adapters, newest first."""
    with console.looking() as session:
        found = adapters.listing(session, console.project(session, project).id)
        short = [{"id": a.id, "name": a.name, "sha256": a.sha256} for a in found]
        console.show(found if as_json else short, as_json=as_json)


@app.command()
@console.plain
def card(adapter: int, as_json: console.AsJson = False) -> None:
    """Show an adapter's card."""
    with console.looking() as session:
        whole = adapters.card(session, adapter)
        console.show(whole, as_json=as_json, words=adapters.markdown(whole))


@app.command()
@console.plain
def package(adapter: int, to: Path) -> None:
    """Write an adapter as a zip: the PEFT folder and its card."""
    if to.exists():
        raise BadInput(f"{to} exists. Name a new file.")
    with console.looking() as session:
        to.write_bytes(adapters.package(session, adapter, settings.current()))
    console.show(None, as_json=False, words=f"Saved {to}.")
