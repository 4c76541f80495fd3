"""reports: costly figures are stored with the state they are of; pairs are counted by an index"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go forward."""
    op.create_table(
        "report",
        sa.Column("name", sa.String(40), nullable=False),
        sa.Column("subject", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("state", sa.String(200), nullable=False),
        sa.Column("content", sa.Text(), nullable=True),
        sa.Column("seconds", sa.Double(), nullable=False),
        sa.Column("computed_at", sa.DateTime(), nullable=True),
        sa.Column("busy_until", sa.DateTime(), nullable=True),
        sa.PrimaryKeyConstraint("name", "subject", name=op.f("pk_report")),
    )
    op.create_index(
        "ix_pair_figures",
        "pair",
        [
            "project_id",
            "status",
            "held_out",
            "origin",
            "author_id",
            "era_id",
            "topic",
            "content_sha256",
            "swept_sha256",
        ],
    )
