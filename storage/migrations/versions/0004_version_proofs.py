"""version proofs and tags: what seals a version, and the names people give to versions"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

INSERT_ONLY = {"version_proof": ("version_id",), "version_tag": ("id",)}
"""The tables whose rows stay as they are, with each of their keys."""


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
    op.create_table(
        "version_proof",
        sa.Column("version_id", sa.Integer(), nullable=False),
        sa.Column("merkle_root", sa.String(length=64), nullable=False),
        sa.Column("facts", sa.JSON(), nullable=False),
        sa.Column("seal", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(
            ["version_id"], ["version.id"], name=op.f("fk_version_proof_version_id_version")
        ),
        sa.PrimaryKeyConstraint("version_id", name=op.f("pk_version_proof")),
    )
    op.create_table(
        "version_tag",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("project_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=40), nullable=False),
        sa.Column("version_id", sa.Integer(), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id"], ["project.id"], name=op.f("fk_version_tag_project_id_project")
        ),
        sa.ForeignKeyConstraint(
            ["version_id"], ["version.id"], name=op.f("fk_version_tag_version_id_version")
        ),
        sa.ForeignKeyConstraint(["user_id"], ["user.id"], name=op.f("fk_version_tag_user_id_user")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_version_tag")),
    )
    op.create_index(op.f("ix_version_tag_project_id"), "version_tag", ["project_id"])
    for table, keys in INSERT_ONLY.items():
        op.execute(no_replace(table, keys))
        for verb in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table} "
                f"BEGIN SELECT RAISE(ABORT, '{table} is insert-only'); END"
            )
