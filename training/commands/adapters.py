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
        found = registry.overview(session, inside, settings.current())
    short = [
        {
            "adapter": f"adapter@{one.adapter.number}",
            "name": one.adapter.name,
            "stage": one.stage.value,
            "method": one.method,
            "version": one.version,
            "right": "sealed"
            if one.sealed
            else f"{one.right[0]} of {one.right[1]}"
            if one.right
            else "",
            "trial": one.verdict,
            "note": "; ".join(one.troubles),
            "sha256": one.adapter.sha256 if as_json else one.adapter.sha256[:16],
        }
        for one in found
    ]
    console.show(short, as_json=as_json)


@app.command()
@console.plain
def card(adapter: str, project: console.In = "", as_json: console.AsJson = False) -> None:
    """Show an adapter's card (adapter@3, 3, or its name)."""
    with console.looking() as session:
        one = adapters.named(session, console.project(session, project).id, adapter)
        whole = adapter_cards.build(session, one)
    console.show(whole, as_json=as_json, message=adapter_cards.markdown(whole))


@app.command()
@console.plain
def package(adapter: str, to: Path, project: console.In = "") -> None:
    """Write an adapter as a zip: the PEFT folder and its card."""
    if to.exists():
        raise BadInput(f"{to} exists. Name a new file.")
    with console.looking() as session:
        one = adapters.named(session, console.project(session, project).id, adapter)
        to.write_bytes(adapter_files.package(session, one.id, settings.current()))
    console.show(None, as_json=False, message=f"Saved {to}.")
