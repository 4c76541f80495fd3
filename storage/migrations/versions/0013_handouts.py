"""handouts: which pair was handed to whom under which fence, so that no decision is made up"""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

INSERT_ONLY = {"handout": ("pair_id, user_id, fence",)}


def upgrade() -> None:
    """Go forward: what people hold now was handed to them."""
    op.create_table(
        "handout",
        sa.Column("pair_id", sa.Integer(), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("fence", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["pair_id"], ["pair.id"], name=op.f("fk_handout_pair_id_pair")),
        sa.ForeignKeyConstraint(["user_id"], ["user.id"], name=op.f("fk_handout_user_id_user")),
        sa.PrimaryKeyConstraint("pair_id", "user_id", "fence", name=op.f("pk_handout")),
    )
    op.execute(
        "INSERT INTO handout (pair_id, user_id, fence) SELECT pair_id, user_id, fence FROM claim"
    )
    op.execute(
        "CREATE TRIGGER handout_no_replace BEFORE INSERT ON handout WHEN EXISTS (SELECT 1 "
        "FROM handout WHERE pair_id = NEW.pair_id AND user_id = NEW.user_id AND "
        "fence = NEW.fence) BEGIN SELECT RAISE(ABORT, 'handout has this row already'); END"
    )
    for verb in ("UPDATE", "DELETE"):
        op.execute(
            f"CREATE TRIGGER handout_no_{verb.lower()} BEFORE {verb} ON handout "
            "BEGIN SELECT RAISE(ABORT, 'handout is insert-only'); END"
        )
