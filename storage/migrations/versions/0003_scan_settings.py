"""scan settings: what counts as personal data in a project, and what stands in its place"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

INSERT_ONLY = {
    "scan_config": ("id", "project_id, number"),
    "stand_in": ("id", "project_id, digest", "project_id, words"),
}
"""The tables whose rows stay as they are, with each of their keys."""


def _table(name: str, *columns: sa.Column[object], uniques: tuple[tuple[str, ...], ...]) -> None:
    """A table of a project; its names follow the convention of `storage.tables`."""
    op.create_table(
        name,
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("project_id", sa.Integer(), nullable=False),
        *columns,
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f(f"pk_{name}")),
        sa.ForeignKeyConstraint(
            ["project_id"], ["project.id"], name=op.f(f"fk_{name}_project_id_project")
        ),
        *(sa.UniqueConstraint(*key, name=op.f(f"uq_{name}_{'_'.join(key)}")) for key in uniques),
    )


def _insert_only(table: str, keys: tuple[str, ...]) -> None:
    same = " OR ".join(
        f"EXISTS (SELECT 1 FROM {table} WHERE "
        + " AND ".join(f"{column} = NEW.{column}" for column in key.split(", "))
        + ")"
        for key in keys
    )
    op.execute(
        f"CREATE TRIGGER {table}_no_replace BEFORE INSERT ON {table} WHEN {same} "
        f"BEGIN SELECT RAISE(ABORT, '{table} has this row already'); END"
    )
    for verb in ("UPDATE", "DELETE"):
        op.execute(
            f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table} "
            f"BEGIN SELECT RAISE(ABORT, '{table} is insert-only'); END"
        )


def upgrade() -> None:
    """Go forward."""
    _table(
        "scan_config",
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("settings", sa.JSON(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column(
            "created_by",
            sa.Integer(),
            sa.ForeignKey("user.id", name=op.f("fk_scan_config_created_by_user")),
            nullable=False,
        ),
        uniques=(("project_id", "number"),),
    )
    _table(
        "stand_in",
        sa.Column("type", sa.String(length=40), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("words", sa.String(length=200), nullable=False),
        uniques=(("project_id", "digest"), ("project_id", "words")),
    )
    _table(
        "message_scan",
        sa.Column("text_sha256", sa.String(length=64), nullable=False),
        sa.Column("config_sha256", sa.String(length=64), nullable=False),
        sa.Column("quarantined", sa.Text(), nullable=True),
        sa.Column("found", sa.JSON(), nullable=False),
        sa.Column("dismissed", sa.JSON(), nullable=False),
        uniques=(("project_id", "text_sha256", "config_sha256"),),
    )
    for table, keys in INSERT_ONLY.items():
        _insert_only(table, keys)
    op.add_column("finding", sa.Column("key", sa.String(length=200), nullable=True))
    op.add_column("finding", sa.Column("settled", sa.Boolean(), nullable=True))
    op.add_column("project", sa.Column("scrub_key", sa.String(length=64), nullable=True))
