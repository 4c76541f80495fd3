"""ledger: what was a test row once never trains; audits remember their strata"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

ONCE_TEST = """
CREATE TRIGGER version_row_once_test_always_test BEFORE INSERT ON version_row
WHEN NEW.split <> 'test' AND EXISTS (
    SELECT 1 FROM version_row AS earlier
    JOIN version AS of ON of.id = earlier.version_id
    JOIN version AS now ON now.id = NEW.version_id AND now.project_id = of.project_id
    WHERE earlier.split = 'test'
      AND (earlier.pair_id = NEW.pair_id OR earlier.content_sha256 = NEW.content_sha256)
)
BEGIN SELECT RAISE(ABORT, 'a row that was a test row once never trains'); END
"""


def upgrade() -> None:
    """Go forward."""
    op.create_index(op.f("ix_version_row_pair_id"), "version_row", ["pair_id"])
    op.create_index(op.f("ix_version_row_content_sha256"), "version_row", ["content_sha256"])
    op.add_column("audit", sa.Column("strata", sa.JSON(), nullable=True))
    op.execute(ONCE_TEST)
