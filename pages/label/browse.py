"""Browse page: every row by where it stands, with its history."""

from pages.parts import label_browse, shell
from pages.parts.identity import require_user
from pages.parts.wiring import looking
from storage import pairs

user = require_user()
shell.header("Browse", "Every row, where it stands and who decided. Approval is given on Review.")
project = shell.require_project(user)
with looking() as session:
    known = sum(pairs.counts(session, project.id).values())
if not known:
    shell.empty("There are no rows yet.", "pages/label/write.py", "Write a gold pair")
    shell.link("pages/label/import.py", "Import rows")
else:
    wish = label_browse.asked()
    label_browse.choose(project, wish)
    label_browse.listed(project, wish)
    label_browse.by_number(wish)
    if wish.row is not None:
        label_browse.detail(user, project, wish.row)
