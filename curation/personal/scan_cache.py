"""What earlier scans found, by a hash of text and configuration: no text is ever kept.

The hash of a short text can be guessed, so the file is readable by its owner only.
"""

import contextlib
import hashlib
import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from curation.personal.detect import Span
from storage import private
from storage.errors import Unavailable

_AT_ONCE = 500


def key(config_sha256: str, text: str) -> bytes:
    """Names one text under one configuration."""
    return hashlib.sha256(f"{config_sha256}\n{text}".encode("utf-8", "surrogatepass")).digest()


def lookup(path: Path, keys: Sequence[bytes]) -> dict[bytes, list[Span]]:
    """What is remembered of these; nothing where there is no file yet.

    Raises:
        Unavailable: the file is no cache.
    """
    spans_by_key: dict[bytes, list[Span]] = {}
    if not path.exists():
        return spans_by_key
    with _opened(path) as database:
        for start in range(0, len(keys), _AT_ONCE):
            some = keys[start : start + _AT_ONCE]
            marks = ",".join("?" * len(some))
            rows = database.execute(
                f"SELECT hash, spans FROM scans WHERE hash IN ({marks})",  # noqa: S608 - only marks
                some,
            )
            spans_by_key.update((hash_, list(_spans(spans))) for hash_, spans in rows)
    return spans_by_key


def remember(path: Path, spans_by_key: Mapping[bytes, Iterable[Span]]) -> None:
    """Keep what was found. A text set aside is not kept: the next scan tries it again.

    Raises:
        Unavailable: the file cannot be written.
    """
    try:
        private.begin()
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    except OSError as error:
        raise Unavailable(f"{path} cannot be written: {error.strerror}.") from error
    with _opened(path) as database:
        database.executemany(
            "INSERT OR REPLACE INTO scans VALUES (?, ?)",
            ((hash_, _written(spans)) for hash_, spans in spans_by_key.items()),
        )


@contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    try:
        with contextlib.closing(sqlite3.connect(path, timeout=10)) as database, database:
            database.execute(
                "CREATE TABLE IF NOT EXISTS scans (hash BLOB PRIMARY KEY, spans TEXT) WITHOUT ROWID"
            )
            yield database
    except (sqlite3.Error, ValueError, TypeError) as error:
        raise Unavailable(
            f"{path} cannot be used to remember scans: delete it or name another with --cache."
        ) from error


def _written(spans: Iterable[Span]) -> str:
    return json.dumps([[span.start, span.end, span.type, span.score] for span in spans])


def _spans(written: str) -> Iterator[Span]:
    return (Span(*span) for span in json.loads(written))
