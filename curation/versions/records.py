"""What is written down about a version: one frozen type each, whose fields are the stored keys.

Facts and certificate are stored in this order under a seal, cards and manifests with sorted keys.
"""

from typing import TypeAlias

import msgspec
from msgspec import UNSET, UnsetType

Counts: TypeAlias = dict[str, dict[str, int]]
"""By name and split, or by name and state: how many."""


class HashedRow(msgspec.Struct, frozen=True):
    """What of a row is hashed."""

    content_sha256: str
    origin: str
    pair_id: int
    prompt: str
    response: str
    split: str


class Inclusion(msgspec.Struct, frozen=True):
    """One row with the way from its leaf to the root."""

    merkle_root: str
    path: list[list[str]]
    """The side ("left" or "right") and hash of each neighbour on the way."""
    row: HashedRow


class Certificate(msgspec.Struct, frozen=True, kw_only=True):
    """Counts over the pairs of a version, in the order in which they are stored."""

    version_sha256: str
    rows: int
    fully_scanned: int = msgspec.field(name="scanned_whole")
    not_scanned: int
    quarantined: int
    configurations: dict[str, int]
    """Pairs by the hash of the configuration they were scanned under."""
    findings: dict[str, dict[str, int]]
    """Findings by their type and state."""
    decided_by: dict[str, int]
    """Findings by the name of the person who decided them."""
    does_not_prove: tuple[str, ...]
    complete: bool
    """Whether every pair was scanned whole and every finding is decided."""
    certificate_sha256: str = ""
    """Over all the others."""


class SealedEra(msgspec.Struct, frozen=True):
    """An era of the project."""

    name: str
    starts_on: str
    retired: bool


class SealedWaiver(msgspec.Struct, frozen=True):
    """A readiness line that a person waived."""

    line: str
    by: str
    reason: str
    until: str


class SealedVerdicts(msgspec.Struct, frozen=True):
    """Verdicts of an audit."""

    judged: int
    good: int


class SealedAudit(msgspec.Struct, frozen=True, kw_only=True):
    """An audit with its intervals, as shares rounded to four decimals."""

    audit: int
    population: int
    drawn: int
    judged: int
    good: int
    in_version: SealedVerdicts = msgspec.field(name="here")
    """The verdicts about the very texts of the version."""
    wilson_95: tuple[float, float]
    clopper_pearson_95: tuple[float, float]
    proven_95: float


class SealedFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What held, in the order in which it is stored: the seal is over these very characters."""

    by_origin: Counts
    label: str
    """The field of the output that `by_label` counts, or "topic"."""
    by_label: Counts
    by_era: Counts
    eras: tuple[SealedEra, ...]
    approvers: dict[str, int]
    audit: SealedAudit | None
    waivers: tuple[SealedWaiver, ...]
    duplicates: Counts
    certificate: Certificate
    groups: int
    not_nfc: int
    """Pairs with letters and accents stored apart."""


class Hashes(msgspec.Struct, frozen=True):
    """What names a version and proves it."""

    sha256: str
    merkle_root: str
    seal: str | None


class Since(msgspec.Struct, frozen=True, kw_only=True):
    """What the database says now and did not say when the version was frozen."""

    audit: SealedAudit | UnsetType | None = UNSET
    """UNSET where it says the same, and so the certificate."""
    certificate: Certificate | UnsetType = UNSET
    tags: list[str]
    withdrawn: int
    """Pairs no longer approved with the text they were frozen with."""
    held_out_since: int
    """Training and validation pairs that a later version tests on."""


class VersionCard(msgspec.Struct, frozen=True, kw_only=True):
    """All that a version says of itself; its fields are the keys of `card.json`."""

    project: str
    version: int
    frozen_at: str
    frozen_by: str
    note: str
    rows: int
    by_split: dict[str, int]
    seed: int
    shares: tuple[float, float, float] = msgspec.field(name="shares_asked")
    system_message_sha256: str
    output_schema: bool
    hashes: Hashes
    sealed_when_frozen: bool
    facts: SealedFacts
    since: Since

    def certificate(self) -> Certificate:
        """The newest: of now where it differs from the sealed one."""
        return self.since.certificate or self.facts.certificate


class ExportedVersion(msgspec.Struct, frozen=True, kw_only=True):
    """The version that an export was made of."""

    number: int
    rows: int
    by_split: dict[str, int]
    seed: int
    sha256: str
    merkle_root: str
    seal: str | None


class ExportedFile(msgspec.Struct, frozen=True):
    """One file of an export."""

    bytes: int
    sha256: str


class ExportManifest(msgspec.Struct, frozen=True, kw_only=True):
    """What an export says of itself: the keys of `manifest.json` but the hash over it."""

    assay_export: int = 1
    """The release of this form."""
    format: str
    format_loses: str
    left_out: str
    project: str
    version: ExportedVersion
    exported: dict[str, int]
    """Rows by split."""
    system_message: str
    personal_data_certificate: Certificate
    data: dict[str, str]
    """The split of each file that holds rows."""
    escapes: dict[str, int]
    files: dict[str, ExportedFile]
