"""imports in chunks: pairs of an import are unseen until it is whole, and go where it never is"""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

BEFORE = ("scan", "draft", "train", "evaluate", "probe", "export", "check", "meaning")
CHORES = ("import", "sweep", "freeze", "everywhere", "layout", "health")
"""Long verbs of curation: each is a kind of job once there is a module that does it."""

HALF = "SELECT 1 FROM import WHERE whole_at IS NULL AND {id} BETWEEN first_id AND last_id"


def _kinds(*values: str) -> sa.Enum:
    return sa.Enum(*values, name="jobkind", native_enum=False, create_constraint=True, length=24)


def _guard(name: str, when: str, message: str) -> None:
    op.execute(f"CREATE TRIGGER {name} {when} BEGIN SELECT RAISE(ABORT, '{message}'); END")


def upgrade() -> None:
    """Go forward."""
    op.drop_index("uq_job_one_training", "job")
    with op.batch_alter_table("job") as job:
        job.alter_column("kind", existing_type=_kinds(*BEFORE), type_=_kinds(*BEFORE, *CHORES))
    op.create_index(
        "uq_job_one_training",
        "job",
        ["kind"],
        unique=True,
        sqlite_where=sa.text("kind = 'train' AND state = 'running'"),
    )
    op.create_table(
        "import",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("project_id", sa.Integer(), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("first_id", sa.Integer(), nullable=False),
        sa.Column("last_id", sa.Integer(), nullable=False),
        sa.Column("job_id", sa.String(length=36), nullable=True),
        sa.Column("alive_until", sa.DateTime(), nullable=False),
        sa.Column("whole_at", sa.DateTime(), nullable=True),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_import")),
        sa.ForeignKeyConstraint(
            ["project_id"], ["project.id"], name=op.f("fk_import_project_id_project")
        ),
        sa.ForeignKeyConstraint(["user_id"], ["user.id"], name=op.f("fk_import_user_id_user")),
    )
    op.create_index(
        "ix_import_half", "import", ["first_id"], sqlite_where=sa.text("whole_at IS NULL")
    )
    _guard(
        "import_takes_new_ids_only",
        "BEFORE INSERT ON import WHEN NEW.whole_at IS NOT NULL "
        "OR NEW.first_id <= (SELECT coalesce(max(id), 0) FROM pair) "
        "OR EXISTS (SELECT 1 FROM import WHERE id = NEW.id)",
        "an import begins with ids that no pair has",
    )
    _guard(
        "import_stays_whole",
        "BEFORE UPDATE ON import WHEN OLD.whole_at IS NOT NULL",
        "an import that is whole stays so",
    )
    _guard(
        "import_keeps_its_ids",
        "BEFORE UPDATE OF first_id, last_id, id ON import",
        "an import keeps its ids",
    )
    _guard(
        "import_whole_no_delete",
        "BEFORE DELETE ON import WHEN OLD.whole_at IS NOT NULL",
        "an import that is whole is never deleted",
    )
    op.execute("DROP TRIGGER pair_no_delete")
    _guard(
        "pair_no_delete",
        f"BEFORE DELETE ON pair WHEN NOT EXISTS ({HALF.format(id='OLD.id')})",
        "pairs are never deleted",
    )
    op.execute("DROP TRIGGER revision_no_delete")
    _guard(
        "revision_no_delete",
        f"BEFORE DELETE ON revision WHEN NOT EXISTS ({HALF.format(id='OLD.pair_id')})",
        "revision is insert-only",
    )
