"""scans: each pair names the scan of its present text, so that none has to be looked for"""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go forward: of several scans of a text the last one counts."""
    op.add_column("pair", sa.Column("scan_id", sa.Integer(), nullable=True))
    op.add_column("pair", sa.Column("scanned_with", sa.String(16), nullable=True))
    op.execute(
        "UPDATE pair SET scan_id = (SELECT max(scan.id) FROM scan WHERE scan.pair_id = pair.id "
        "AND scan.content_sha256 = pair.content_sha256)"
    )
    op.execute(
        "UPDATE pair SET scanned_with = (SELECT substr(scan.config_sha256, 1, 16) FROM scan "
        "WHERE scan.id = pair.scan_id) WHERE scan_id IS NOT NULL"
    )
    op.create_index("ix_pair_scanned", "pair", ["project_id", "status", "scanned_with"])
    op.create_index("ix_finding_state", "finding", ["state", "pair_id"])
