"""guards: what was decided is never changed, and no row is frozen without a person's approval"""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

INSERT_ONLY = (
    "adapter",
    "audit",
    "audit_verdict",
    "decision",
    "evaluation",
    "event",
    "output",
    "record",
    "resolution",
    "revision",
    "signature",
    "trial",
    "trial_close",
    "trial_item",
    "version",
    "version_row",
    "vote",
    "waiver",
)

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


def upgrade() -> None:
    """Go forward."""
    for table in INSERT_ONLY:
        for verb in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table} "
                f"BEGIN SELECT RAISE(ABORT, '{table} is insert-only'); END"
            )
    op.execute(
        "CREATE TRIGGER pair_no_delete BEFORE DELETE ON pair "
        "BEGIN SELECT RAISE(ABORT, 'pairs are never deleted'); END"
    )
    for guard in (APPROVAL, HELD_OUT, STAY_OUT, CLOSED):
        op.execute(guard)
