"""versions in chunks: a version is unseen until it is whole, and goes where it never is"""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

HALF = "SELECT 1 FROM freezing WHERE whole_at IS NULL AND version_id = {id}"


def _guard(name: str, when: str, message: str) -> None:
    op.execute(f"CREATE TRIGGER {name} {when} BEGIN SELECT RAISE(ABORT, '{message}'); END")


def upgrade() -> None:
    """Go forward."""
    op.create_table(
        "freezing",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("project_id", sa.Integer(), nullable=False),
        sa.Column("version_id", sa.Integer(), nullable=False),
        sa.Column("job_id", sa.String(length=36), nullable=True),
        sa.Column("alive_until", sa.DateTime(), nullable=False),
        sa.Column("whole_at", sa.DateTime(), nullable=True),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_freezing")),
        sa.ForeignKeyConstraint(
            ["project_id"], ["project.id"], name=op.f("fk_freezing_project_id_project")
        ),
        sa.UniqueConstraint("version_id", name=op.f("uq_freezing_version_id")),
    )
    op.create_index(
        "ix_freezing_half", "freezing", ["version_id"], sqlite_where=sa.text("whole_at IS NULL")
    )
    _guard(
        "freezing_takes_a_new_version_only",
        "BEFORE INSERT ON freezing WHEN NEW.whole_at IS NOT NULL "
        "OR NEW.version_id <= (SELECT coalesce(max(id), 0) FROM version) "
        "OR EXISTS (SELECT 1 FROM freezing WHERE id = NEW.id OR version_id = NEW.version_id)",
        "a freezing begins with an id that no version has",
    )
    _guard(
        "freezing_stays_whole",
        "BEFORE UPDATE ON freezing WHEN OLD.whole_at IS NOT NULL",
        "a version that is whole stays so",
    )
    _guard(
        "freezing_keeps_its_version",
        "BEFORE UPDATE OF id, version_id ON freezing",
        "a freezing keeps its version",
    )
    _guard(
        "freezing_whole_no_delete",
        "BEFORE DELETE ON freezing WHEN OLD.whole_at IS NOT NULL",
        "a version that is whole is never deleted",
    )
    for table, column in (("version", "id"), ("version_row", "version_id")):
        op.execute(f"DROP TRIGGER {table}_no_delete")
        _guard(
            f"{table}_no_delete",
            f"BEFORE DELETE ON {table} WHEN NOT EXISTS ({HALF.format(id=f'OLD.{column}')})",
            f"{table} is insert-only",
        )
