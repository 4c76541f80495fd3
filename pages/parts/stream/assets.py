"""Read the files of the components; they are passed inline, so the server serves no extra path."""

from pathlib import Path

_FOLDER = Path(__file__).parent


def asset(*names: str) -> str:
    """The named files of this folder, one after the other."""
    return "\n".join((_FOLDER / name).read_text(encoding="utf-8") for name in names)
