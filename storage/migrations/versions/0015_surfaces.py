"""surfaces: the same words are found in other pairs by a keyed hash, not by reading every text"""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go forward; what was found before is compared by its text until it is scanned again."""
    op.add_column("finding", sa.Column("surface", sa.String(16), nullable=True))
    op.create_index(op.f("ix_finding_surface"), "finding", ["surface"])
    op.create_index(
        "ix_scan_quarantined",
        "scan",
        ["pair_id"],
        sqlite_where=sa.text("quarantined IS NOT NULL"),
    )
