"""Names made to leave a folder, and a watch for whatever is written outside it."""

import os
import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_UP = (
    "../",
    "..\\",
    "%2e%2e/",
    "..%2f",
    "..%5c",
    "....//",
    "..;/",
    "\u2024\u2024/",
    "\uff0e\uff0e/",
    ".\0./",
)
_ROOTS = (
    "/",
    "\\",
    "C:",
    "C:\\",
    "C:/",
    "\\\\host\\share\\",
    "//host/share/",
    "file:///",
    "~/",
    "$HOME/",
)
_ENDS = ("canary", "etc/canary", "tmp/canary", "canary.db", ".canaryrc", "canary" + "x" * 245)
"""Harmless where a guard fails: the watch would tell of it."""
_WHOLE = (
    *(
        "",
        ".",
        "..",
        "...",
        "/",
        "\\",
        "\0",
        "canary\0.jsonl",
        "CON",
        "NUL",
        "aux.json",
        "com1",
        "lpt9.csv",
    ),
    *(
        "canary ",
        "canary.",
        " canary",
        "canary:stream",
        "x" * 4096,
        "../" * 1365 + "c",
        "a/" * 2047 + "c",
    ),
    *(
        "\u202egpj.exe",
        "ca\nnary",
        "ca\rnary",
        "canary\x1b[2J",
        "\ud800".encode("utf-8", "replace").decode(),
    ),
    *(
        "-rf",
        "--help",
        "$(touch canary)",
        "`touch canary`",
        "; touch canary",
        "|touch canary",
        "*",
        "?",
    ),
)


def names(count: int = 300, seed: int = 1) -> list[str]:
    """So many different names, the same for each seed."""
    dice = random.Random(seed)
    made = dict.fromkeys(_WHOLE)
    while len(made) < count:
        way = dice.choice(_ROOTS) if dice.random() < 0.3 else ""
        made[way + dice.choice(_UP) * dice.randrange(1, 12) + dice.choice(_ENDS)] = None
    return list(made)[:count]


@contextmanager
def watched(root: Path) -> Iterator[set[str]]:
    """The paths outside a folder that this process makes, changes, moves or takes away meanwhile,
    and what appeared beside the folder, whoever made it.
    """
    outside: set[str] = set()
    before = _beside(root)
    _watches.append((str(root.resolve()) + os.sep, outside))
    try:
        yield outside
    finally:
        _watches.pop()
        outside |= _beside(root) ^ before


_watches: list[tuple[str, set[str]]] = []
_CHANGES = {
    "os.mkdir",
    "os.rename",
    "os.link",
    "os.symlink",
    "os.remove",
    "os.rmdir",
    "os.truncate",
}
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT


def _audit(event: str, arguments: tuple[object, ...]) -> None:
    if not _watches:
        return
    if event == "open" and isinstance(arguments[2], int) and arguments[2] & _WRITES:
        _note(arguments[0])
    elif event in _CHANGES:
        for argument in arguments[:2]:
            _note(argument)


def _note(path: object) -> None:
    if isinstance(path, str | bytes | os.PathLike):
        resolved = os.path.realpath(os.fsdecode(path))
        root, outside = _watches[-1]
        if not (resolved + os.sep).startswith(root) and resolved != os.devnull:
            outside.add(resolved)


def _beside(root: Path) -> set[str]:
    return {str(path) for path in root.parent.rglob("*") if root not in (path, *path.parents)}


sys.addaudithook(_audit)
