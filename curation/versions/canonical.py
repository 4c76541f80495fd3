"""The bytes and hashes a version is named by: the same from any order, process, locale or machine.

A row is one line of JSON: the keys `content_sha256`, `origin`, `pair_id`, `prompt`, `response`,
`split` in this order, no white space between, characters as they are in UTF-8 (only quotation
mark, backslash and control characters escaped), ended by a line feed. Lines stand by pair id. Text
is never normalised: a letter and its accent stored apart stay apart.
"""

import hashlib
from collections.abc import Sequence
from typing import Any

from curation.versions import verify_version
from storage.types import VersionRow


def fields(row: VersionRow) -> dict[str, Any]:
    """What of a row is hashed."""
    return {
        "content_sha256": row.content_sha256,
        "origin": row.origin.value,
        "pair_id": row.pair_id,
        "prompt": row.prompt,
        "response": row.response,
        "split": row.split.value,
    }


def lines(rows: Sequence[VersionRow]) -> list[bytes]:
    """The canonical line of each row, by pair id, without line ends."""
    ordered = sorted(rows, key=lambda row: row.pair_id)
    return [verify_version.line(fields(row)) for row in ordered]


def canonical(rows: Sequence[VersionRow]) -> bytes:
    """The bytes whose sha256 names a version."""
    return b"".join(line + b"\n" for line in lines(rows))


def named(rows: Sequence[VersionRow]) -> tuple[str, str]:
    """The sha256 that names a version with these rows, and its Merkle root."""
    data = lines(rows)
    whole = hashlib.sha256()
    for line in data:
        whole.update(line + b"\n")
    return whole.hexdigest(), verify_version.root([verify_version.leaf(line) for line in data])


def sha256(rows: Sequence[VersionRow]) -> str:
    """The name of a version with these rows."""
    return named(rows)[0]


def leaves(rows: Sequence[VersionRow]) -> list[bytes]:
    """The leaf of each row, by pair id."""
    return [verify_version.leaf(line) for line in lines(rows)]


def merkle_root(rows: Sequence[VersionRow]) -> str:
    """The root of the Merkle tree over all rows (RFC 6962, section 2.1)."""
    return named(rows)[1]


def inclusion(rows: Sequence[VersionRow], pair_id: int) -> dict[str, Any]:
    """One row with the way from its leaf to the root: shows it was there, and no other row.

    Raises:
        KeyError: the row is not among them.
    """
    ordered = sorted(rows, key=lambda row: row.pair_id)
    places = {row.pair_id: place for place, row in enumerate(ordered)}
    place, tree = places[pair_id], leaves(ordered)
    return {
        "merkle_root": verify_version.root(tree),
        "path": verify_version.path(tree, place),
        "row": fields(ordered[place]),
    }
