"""Read the files of the components; they are passed inline, so the server serves no extra path."""

from pathlib import Path

_SHARED = Path(__file__).parent


def asset(module: str, *names: str) -> str:
    """The named files, one after the other: those beside a component's module (its `__file__`), and
    those that several components share.
    """
    own = Path(module).parent
    paths = (own / name if (own / name).is_file() else _SHARED / name for name in names)
    return "\n".join(path.read_text(encoding="utf-8") for path in paths)
