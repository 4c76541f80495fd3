"""Versions: frozen, content-addressed sets of approved rows, and all that is done with them."""

from curation.versions.archive import Opened as Opened
from curation.versions.archive import count as count
from curation.versions.archive import get as get
from curation.versions.archive import held_out_since as held_out_since
from curation.versions.archive import inclusion as inclusion
from curation.versions.archive import listing as listing
from curation.versions.archive import opened as opened
from curation.versions.archive import rows as rows
from curation.versions.archive import texts as texts
from curation.versions.archive import verify as verify
from curation.versions.archive import withdrawn as withdrawn
from curation.versions.canonical import canonical as canonical
from curation.versions.changes import Difference as Difference
from curation.versions.changes import between as between
from curation.versions.changes import difference as difference
from curation.versions.freezing import LEAST as LEAST
from curation.versions.freezing import freeze as freeze
from curation.versions.freezing import stratum as stratum
from curation.versions.tags import find as find
from curation.versions.tags import tag as tag
