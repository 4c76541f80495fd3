"""the sending back of a large group of the audit is a job"""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

BEFORE = (
    *("scan", "draft", "train", "evaluate", "probe", "export", "check", "meaning"),
    *("import", "sweep", "freeze", "everywhere", "layout", "health"),
)


def _kinds(*values: str) -> sa.Enum:
    return sa.Enum(*values, name="jobkind", native_enum=False, create_constraint=True, length=24)


def upgrade() -> None:
    """Go forward."""
    op.drop_index("uq_job_one_training", "job")
    with op.batch_alter_table("job") as job:
        job.alter_column("kind", existing_type=_kinds(*BEFORE), type_=_kinds(*BEFORE, "reopen"))
    op.create_index(
        "uq_job_one_training",
        "job",
        ["kind"],
        unique=True,
        sqlite_where=sa.text("kind = 'train' AND state = 'running'"),
    )
