"""Compute one report of a large project, as the server asks for it."""

from storage import console
from training import reports

app = console.app("Compute one report of a large project.")


@app.command()
@console.plain
def report(name: str, subject: int) -> None:
    """Compute and store one report (started by the app, not by hand)."""
    reports.work(console.engine(), name, subject)
