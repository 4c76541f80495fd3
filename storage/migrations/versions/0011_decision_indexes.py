"""decisions: indexes for handing out a card, for a person's day and for what came late"""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go forward."""
    op.drop_index("ix_decision_pair_id", "decision")
    op.create_index("ix_decision_own", "decision", ["pair_id", "user_id", "action"])
    op.create_index("ix_decision_day", "decision", ["user_id", "created_at", "action", "pair_id"])
    op.create_index(
        "ix_decision_late",
        "decision",
        ["user_id", "pair_id"],
        sqlite_where=sa.text("outcome = 'late'"),
    )
