"""adapters: the stages they pass, and a project's own red-team prompts"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

INSERT_ONLY = {"adapter_stage": ("id", "adapter_id, number")}
"""The tables whose rows stay as they are, with each of their keys."""

STAGES = ("candidate", "approved", "production", "retired")

NEWEST = "SELECT stage FROM adapter_stage WHERE adapter_id = {} ORDER BY number DESC LIMIT 1"

PERSON = """
CREATE TRIGGER adapter_stage_needs_a_person BEFORE INSERT ON adapter_stage
WHEN NOT EXISTS (SELECT 1 FROM "user" WHERE id = NEW.user_id AND kind = 'person')
BEGIN SELECT RAISE(ABORT, 'a person moves an adapter to a stage'); END
"""

APPROVED_FIRST = f"""
CREATE TRIGGER adapter_stage_approved_first BEFORE INSERT ON adapter_stage
WHEN NEW.stage = 'production' AND COALESCE(({NEWEST.format("NEW.adapter_id")}), '') <> 'approved'
BEGIN SELECT RAISE(ABORT, 'an adapter is approved before it goes into production'); END
"""

ONE_IN_PRODUCTION = f"""
CREATE TRIGGER adapter_stage_one_in_production BEFORE INSERT ON adapter_stage
WHEN NEW.stage = 'production' AND EXISTS (
    SELECT 1 FROM adapter AS other
    JOIN adapter AS mine ON mine.id = NEW.adapter_id AND mine.project_id = other.project_id
    WHERE other.id <> mine.id AND ({NEWEST.format("other.id")}) = 'production'
)
BEGIN SELECT RAISE(ABORT, 'a project has one adapter in production'); END
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
    op.create_table(
        "adapter_stage",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("adapter_id", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column(
            "stage",
            sa.Enum(*STAGES, name="stage", native_enum=False, create_constraint=True, length=24),
            nullable=False,
        ),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("gate", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["adapter_id"], ["adapter.id"], name=op.f("fk_adapter_stage_adapter_id_adapter")
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["user.id"], name=op.f("fk_adapter_stage_user_id_user")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_adapter_stage")),
        sa.UniqueConstraint(
            "adapter_id", "number", name=op.f("uq_adapter_stage_adapter_id_number")
        ),
    )
    op.create_table(
        "check_prompt",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("project_id", sa.Integer(), nullable=False),
        sa.Column("prompt", sa.Text(), nullable=False),
        sa.Column("must", sa.JSON(), nullable=False),
        sa.Column("must_not", sa.JSON(), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("dropped_at", sa.DateTime(), nullable=True),
        sa.ForeignKeyConstraint(
            ["project_id"], ["project.id"], name=op.f("fk_check_prompt_project_id_project")
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["user.id"], name=op.f("fk_check_prompt_user_id_user")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_check_prompt")),
    )
    op.create_index(op.f("ix_check_prompt_project_id"), "check_prompt", ["project_id"])
    for table, keys in INSERT_ONLY.items():
        op.execute(no_replace(table, keys))
        for verb in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table} "
                f"BEGIN SELECT RAISE(ABORT, '{table} is insert-only'); END"
            )
    for guard in (PERSON, APPROVED_FIRST, ONE_IN_PRODUCTION):
        op.execute(guard)
