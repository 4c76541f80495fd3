"""Versions: frozen, content-addressed sets of approved rows, and all that is done with them."""

from curation.frozen.archive import Opened as Opened
from curation.frozen.archive import count as count
from curation.frozen.archive import get as get
from curation.frozen.archive import held_out_since as held_out_since
from curation.frozen.archive import inclusion as inclusion
from curation.frozen.archive import listing as listing
from curation.frozen.archive import opened as opened
from curation.frozen.archive import rows as rows
from curation.frozen.archive import texts as texts
from curation.frozen.archive import verify as verify
from curation.frozen.archive import withdrawn as withdrawn
from curation.frozen.canonical import canonical as canonical
from curation.frozen.changes import Difference as Difference
from curation.frozen.changes import between as between
from curation.frozen.changes import difference as difference
from curation.frozen.freezing import LEAST as LEAST
from curation.frozen.freezing import freeze as freeze
from curation.frozen.freezing import stratum as stratum
from curation.frozen.tags import find as find
from curation.frozen.tags import tag as tag
