"""List adapters, show their cards, hand them on."""

from pathlib import Path

from storage import console, settings
from storage.errors import BadInput
from training.lifecycle import adapter_cards, adapter_files, registry
from training.models import adapters

app = console.app("List adapters, show their cards, hand them on.")


@app.command("adapters")
@console.plain
def list_adapters(project: console.In = "", as_json: console.AsJson = False) -> None:
    """List the adapters, newest first, with how far they have come."""
    with console.looking() as session:
        inside = console.project(session, project).id
        entries = registry.overview(session, inside, settings.current())
    short = [
        {
            "adapter": f"adapter@{entry.adapter.number}",
            "name": entry.adapter.name,
            "stage": entry.stage.value,
            "method": entry.method,
            "version": entry.version,
            "right": "sealed"
            if entry.sealed
            else f"{entry.right[0]} of {entry.right[1]}"
            if entry.right
            else "",
            "trial": entry.verdict,
            "note": "; ".join(entry.troubles),
            "sha256": entry.adapter.sha256 if as_json else entry.adapter.sha256[:16],
        }
        for entry in entries
    ]
    console.show(short, as_json=as_json)


@app.command()
@console.plain
def card(adapter: str, project: console.In = "", as_json: console.AsJson = False) -> None:
    """Show an adapter's card (adapter@3, 3, or its name)."""
    with console.looking() as session:
        named = adapters.named(session, console.project(session, project).id, adapter)
        content = adapter_cards.build(session, named)
    console.show(content, as_json=as_json, message=adapter_cards.markdown(content))


@app.command()
@console.plain
def package(adapter: str, to: Path, project: console.In = "") -> None:
    """Write an adapter as a zip: the PEFT folder and its card."""
    if to.exists():
        raise BadInput(f"{to} exists. Name a new file.")
    with console.looking() as session:
        named = adapters.named(session, console.project(session, project).id, adapter)
        to.write_bytes(adapter_files.package(session, named.id, settings.current()))
    console.show(None, as_json=False, message=f"Saved {to}.")
