"""guards: what was decided is never changed, and no row is frozen without a person's approval"""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

INSERT_ONLY = {
    "adapter": ("id", "job_id", "project_id, name"),
    "audit": ("id",),
    "audit_verdict": ("id", "audit_id, pair_id"),
    "decision": ("id", "op", "supersedes_id"),
    "evaluation": ("id", "job_id"),
    "event": ("id",),
    "output": ("evaluation_id, pair_id, arm",),
    "record": ("id",),
    "resolution": ("decision_id",),
    "revision": ("id", "pair_id, number"),
    "signature": ("id", "record_id, part", "record_id, user_id"),
    "trial": ("id",),
    "trial_close": ("trial_id",),
    "trial_item": ("id", "trial_id, position"),
    "version": ("id", "project_id, number"),
    "version_row": ("version_id, pair_id",),
    "vote": ("id", "op", "supersedes_id"),
    "waiver": ("id",),
}
"""The tables whose rows stay as they are, with each of their keys."""

APPROVAL = """
CREATE TRIGGER version_row_needs_a_person BEFORE INSERT ON version_row
WHEN NOT EXISTS (
    SELECT 1 FROM pair
    JOIN decision ON decision.id = pair.approval_id AND decision.pair_id = pair.id
    JOIN "user" ON "user".id = decision.user_id AND "user".kind = 'person'
    JOIN revision ON revision.pair_id = pair.id AND revision.number = pair.version
    WHERE pair.id = NEW.pair_id
      AND pair.status = 'approved'
      AND decision.outcome = 'applied'
      AND decision.action IN ('approve', 'scrub')
      AND decision.after_sha256 = NEW.content_sha256
      AND revision.content_sha256 = NEW.content_sha256
      AND revision.prompt = NEW.prompt
      AND revision.response = NEW.response
)
BEGIN SELECT RAISE(ABORT, 'a person must approve this text before it enters a version'); END
"""

HELD_OUT = """
CREATE TRIGGER version_row_keeps_test_rows_out BEFORE INSERT ON version_row
WHEN NEW.split <> 'test' AND (SELECT held_out FROM pair WHERE id = NEW.pair_id)
BEGIN SELECT RAISE(ABORT, 'a held-out row never trains'); END
"""

STAY_OUT = """
CREATE TRIGGER pair_stays_held_out BEFORE UPDATE OF held_out ON pair
WHEN OLD.held_out AND NOT NEW.held_out
BEGIN SELECT RAISE(ABORT, 'a held-out row stays held out'); END
"""

CLOSED = """
CREATE TRIGGER vote_only_while_open BEFORE INSERT ON vote
WHEN EXISTS (SELECT 1 FROM trial_close WHERE trial_id = NEW.trial_id)
BEGIN SELECT RAISE(ABORT, 'this trial is closed'); END
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
    for table, keys in INSERT_ONLY.items():
        op.execute(no_replace(table, keys))
        for verb in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table} "
                f"BEGIN SELECT RAISE(ABORT, '{table} is insert-only'); END"
            )
    op.execute(
        "CREATE TRIGGER pair_no_delete BEFORE DELETE ON pair "
        "BEGIN SELECT RAISE(ABORT, 'pairs are never deleted'); END"
    )
    op.execute(no_replace("pair", ("id", "project_id, source_key")))
    for guard in (APPROVAL, HELD_OUT, STAY_OUT, CLOSED):
        op.execute(guard)
