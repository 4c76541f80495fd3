"""eras: an end, the document they stand for, and what each of them said before a change"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

INSERT_ONLY = {"era_revision": ("id", "era_id, number")}
"""The tables whose rows stay as they are, with each of their keys."""

FIRST = """
INSERT INTO era_revision
    (era_id, number, verb, name, starts_on, retired, phrases, created_at)
SELECT id, 1, 'add', name, starts_on, retired, phrases, CURRENT_TIMESTAMP FROM era
"""


def no_replace(table: str, keys: tuple[str, ...]) -> str:
    """A trigger against INSERT OR REPLACE, which removes rows without asking delete triggers."""
    same = " OR ".join(
        f"EXISTS (SELECT 1 FROM {table} WHERE "
        + " AND ".join(f"{column} = NEW.{column}" for column in key.split(", "))
        + ")"
        for key in keys
    )
    return (
        f"CREATE TRIGGER {table}_no_replace BEFORE INSERT ON {table} WHEN {same} "
        f"BEGIN SELECT RAISE(ABORT, '{table} has this row already'); END"
    )


def upgrade() -> None:
    """Go forward."""
    op.add_column("era", sa.Column("ends_on", sa.Date(), nullable=True))
    op.add_column("era", sa.Column("document", sa.Text(), nullable=True))
    op.add_column("era", sa.Column("url", sa.Text(), nullable=True))
    op.create_table(
        "era_revision",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("era_id", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=True),
        sa.Column("verb", sa.String(length=12), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("starts_on", sa.Date(), nullable=False),
        sa.Column("ends_on", sa.Date(), nullable=True),
        sa.Column("document", sa.Text(), nullable=True),
        sa.Column("url", sa.Text(), nullable=True),
        sa.Column("retired", sa.Boolean(), nullable=False),
        sa.Column("phrases", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.ForeignKeyConstraint(["era_id"], ["era.id"], name=op.f("fk_era_revision_era_id_era")),
        sa.ForeignKeyConstraint(
            ["user_id"], ["user.id"], name=op.f("fk_era_revision_user_id_user")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_era_revision")),
        sa.UniqueConstraint("era_id", "number", name=op.f("uq_era_revision_era_id_number")),
    )
    op.execute(FIRST)
    for table, keys in INSERT_ONLY.items():
        op.execute(no_replace(table, keys))
        for verb in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table} "
                f"BEGIN SELECT RAISE(ABORT, '{table} is insert-only'); END"
            )
