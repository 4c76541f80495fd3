"""Browse page: every row by where it stands, with its history."""

from pages.frame import shell
from pages.frame.identity import require_user
from pages.frame.wiring import looking
from pages.label.browse import table
from storage import pairs

user = require_user()
shell.header("Browse", "Every row, where it stands and who decided. Approval is given on Review.")
project = shell.require_project(user)
with looking() as session:
    known = sum(pairs.counts(session, project.id).values())
if not known:
    shell.empty("There are no rows yet.", "write", "Write a gold pair")
    shell.link("import", "Import rows")
else:
    wish = table.asked()
    table.choose(project, wish)
    table.listed(project, wish)
    table.by_number(wish)
    if wish.row is not None:
        table.detail(user, project, wish.row)
