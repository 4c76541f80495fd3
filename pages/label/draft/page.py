"""Draft page: let a model write pairs from gold examples; people decide about each."""

from pages.frame import shell
from pages.frame.identity import require_user
from pages.frame.wiring import looking
from pages.label.draft import form
from pages.parts import job_panel
from storage import pairs
from storage.types import JobKind, Origin, PairStatus

user = require_user()
shell.header("Draft", "Let a model write new pairs in the manner of your gold pairs.")
project = shell.require_project(user)
with looking() as session:
    gold = pairs.listing(
        session, project.id, status=PairStatus.APPROVED, origin=Origin.GOLD, held_out=False, limit=1
    )
    waiting = pairs.listing(
        session, project.id, status=PairStatus.WAITING, origin=Origin.DRAFT, limit=1
    )
if not gold:
    shell.empty(
        "Drafts are made from approved gold pairs, and there are none yet.",
        "write",
        "Write gold pairs",
    )
else:
    form.show(user, project)
    job_panel.show(project.id, JobKind.DRAFT)
    if waiting:
        shell.link("review", "Drafts are waiting. Review them")
    form.requests(project)
