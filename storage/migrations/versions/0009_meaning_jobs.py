"""jobs: a comparison of meanings is a kind of its own, no longer a scan with a mark in its spec"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

BEFORE = ("scan", "draft", "train", "evaluate", "probe", "export", "check")


def _kinds(*values: str) -> sa.Enum:
    return sa.Enum(*values, name="jobkind", native_enum=False, create_constraint=True, length=24)


def upgrade() -> None:
    """Go forward."""
    op.drop_index("uq_job_one_training", "job")
    with op.batch_alter_table("job") as job:
        job.alter_column("kind", existing_type=_kinds(*BEFORE), type_=_kinds(*BEFORE, "meaning"))
    op.create_index(
        "uq_job_one_training",
        "job",
        ["kind"],
        unique=True,
        sqlite_where=sa.text("kind = 'train' AND state = 'running'"),
    )
    op.execute(
        "UPDATE job SET kind = 'meaning' "
        "WHERE kind = 'scan' AND json_extract(spec, '$.work') = 'meaning'"
    )
