"""What a press asks of the database does not grow with what was decided before."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from curation.review import claims, conflicts, decisions, pace
from storage.engine import writing
from storage.types import Action, Project, User
from tests.support import stories
from tests.support.effort import Effort, effort
from tests.support.ui import OpenPage

FEW, MUCH = 500, 5_000

ROWS = """
INSERT INTO pair (project_id, prompt, response, status, origin, version, content_sha256, source,
  held_out, flagged, fence, created_at)
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :count)
SELECT :project, 'Ticket ' || i, '{"team": "cards"}',
  CASE WHEN i % 5 = 0 THEN 'waiting' ELSE 'approved' END, 'import', 1, printf('%064d', i), '{}',
  0, 0, 0, :at FROM n
"""
DECISIONS = """
INSERT INTO decision (op, pair_id, user_id, action, outcome, seen_version, fence, before_sha256,
  after_sha256, created_at)
SELECT 'op-' || id, id, :user, 'approve', 'applied', 0, 0, content_sha256, content_sha256, :at
FROM pair WHERE project_id = :project AND status = 'approved'
  AND id NOT IN (SELECT pair_id FROM decision)
"""


REVISIONS = """
INSERT INTO revision (pair_id, number, prompt, response, content_sha256, created_at)
SELECT id, 1, prompt, response, content_sha256, created_at FROM pair p
WHERE project_id = :project AND NOT EXISTS (SELECT 1 FROM revision WHERE pair_id = p.id)
"""


def fill(engine: Engine, desk: Project, user: User, count: int) -> None:
    """More pairs, of which this person decided four of five yesterday; the fifth waits."""
    values = {
        "count": count,
        "project": desk.id,
        "user": user.id,
        "at": (datetime.now(UTC) - timedelta(days=1)).replace(tzinfo=None).isoformat(" "),
    }
    with writing(engine) as session:
        session.execute(text(ROWS), values)
        session.execute(text(REVISIONS), values)
        session.execute(text(DECISIONS), values)


def decide_and_undo(session: Session, user: User, project_id: int) -> None:
    """Approve a card and take it back."""
    card = claims.lease(session, user, project_id, limit=1)[0]
    sent = stories.op(card)
    decisions.decide(session, user, sent)
    decisions.decide(session, user, stories.op(card, Action.UNDO, target=sent.op))


Look = Callable[[Session, User, int], object]
LOOKS: dict[str, tuple[Look, int]] = {
    "hand out cards": (claims.lease, 15),
    "decide and undo": (decide_and_undo, 50),
    "last decisions": (pace.recent, 6),
    "late decisions": (lambda session, _user, project: conflicts.late(session, project, 3), 3),
    "who has late ones": (lambda session, _user, project: conflicts.by_person(session, project), 3),
}


def test_a_press_asks_as_much_at_ten_times_the_pairs(engine: Engine) -> None:
    efforts: dict[str, list[Effort]] = {name: [] for name in LOOKS}
    for name, count in (("ben", FEW), ("ana", MUCH)):
        desk, user = stories.project(engine, f"Desk of {name}"), stories.person(engine, name)
        fill(engine, desk, user, count)
        for look_name, (look, _) in LOOKS.items():
            with effort() as counted, writing(engine) as session:
                look(session, user, desk.id)
            efforts[look_name].append(counted)
    for name, (few, much) in efforts.items():
        assert much.statements == few.statements <= LOOKS[name][1], name
        assert much.steps <= 1.2 * few.steps + 200, name


def test_the_page_asks_as_often_at_ten_times_the_pairs(engine: Engine, open_page: OpenPage) -> None:
    desk, ana = stories.project(engine), stories.person(engine, "ana")
    efforts: list[Effort] = []
    for count in (FEW, MUCH):
        fill(engine, desk, ana, count)
        open_page("pages/label/review/page.py", ana)
        with effort() as counted:
            page = open_page("pages/label/review/page.py", ana)
        assert not page.exception
        efforts.append(counted)
    assert efforts[1].statements == efforts[0].statements <= 40
