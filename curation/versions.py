"""Versions: frozen, content-addressed sets of approved rows, and all that is done with them."""

from curation.archive import Opened as Opened
from curation.archive import count as count
from curation.archive import get as get
from curation.archive import held_out_since as held_out_since
from curation.archive import inclusion as inclusion
from curation.archive import listing as listing
from curation.archive import opened as opened
from curation.archive import rows as rows
from curation.archive import texts as texts
from curation.archive import verify as verify
from curation.archive import withdrawn as withdrawn
from curation.canonical import canonical as canonical
from curation.changes import Difference as Difference
from curation.changes import between as between
from curation.changes import difference as difference
from curation.freezing import LEAST as LEAST
from curation.freezing import freeze as freeze
from curation.freezing import stratum as stratum
from curation.tags import find as find
from curation.tags import tag as tag
