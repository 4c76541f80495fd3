"""The bytes and hashes a version is named by: the same from any order, process, locale or machine.

A row is one line of JSON: the keys `content_sha256`, `origin`, `pair_id`, `prompt`, `response`,
`split` in this order, no white space between, characters as they are in UTF-8 (only quotation
mark, backslash and control characters escaped), ended by a line feed. Lines stand by pair id. Text
is never normalised: a letter and its accent stored apart stay apart.
"""

import hashlib
from collections.abc import Sequence

import msgspec

from curation.versions import verify_version
from curation.versions.records import HashedRow, Inclusion
from storage.types import VersionRow


def _hashed(row: VersionRow) -> HashedRow:
    return HashedRow(
        row.content_sha256,
        row.origin.value,
        row.pair_id,
        row.prompt,
        row.response,
        row.split.value,
    )


def lines(rows: Sequence[VersionRow]) -> list[bytes]:
    """The canonical line of each row, by pair id, without line ends."""
    ordered = sorted(rows, key=lambda row: row.pair_id)
    return [verify_version.line(msgspec.to_builtins(_hashed(row))) for row in ordered]


def canonical(rows: Sequence[VersionRow]) -> bytes:
    """The bytes whose sha256 names a version."""
    return b"".join(line + b"\n" for line in lines(rows))


def named(rows: Sequence[VersionRow]) -> tuple[str, str]:
    """The sha256 that names a version with these rows, and its Merkle root."""
    data = lines(rows)
    digest = hashlib.sha256()
    for line in data:
        digest.update(line + b"\n")
    return digest.hexdigest(), verify_version.root([verify_version.leaf(line) for line in data])


def sha256(rows: Sequence[VersionRow]) -> str:
    """The name of a version with these rows."""
    return named(rows)[0]


def leaves(rows: Sequence[VersionRow]) -> list[bytes]:
    """The leaf of each row, by pair id."""
    return [verify_version.leaf(line) for line in lines(rows)]


def merkle_root(rows: Sequence[VersionRow]) -> str:
    """The root of the Merkle tree over all rows (RFC 6962, section 2.1)."""
    return named(rows)[1]


def inclusion(rows: Sequence[VersionRow], pair_id: int) -> Inclusion:
    """The proof that one row was there, which shows no other row.

    Raises:
        KeyError: the row is not among them.
    """
    ordered = sorted(rows, key=lambda row: row.pair_id)
    indices = {row.pair_id: index for index, row in enumerate(ordered)}
    index, tree = indices[pair_id], leaves(ordered)
    return Inclusion(
        merkle_root=verify_version.root(tree),
        path=verify_version.path(tree, index),
        row=_hashed(ordered[index]),
    )
