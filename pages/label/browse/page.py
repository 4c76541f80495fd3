"""Browse page: every pair by where it stands, with its history."""

from pages.frame import shell
from pages.frame.identity import require_user
from pages.frame.wiring import looking
from pages.label.browse import detail, table
from storage import pairs

user = require_user()
shell.header("Browse", "Every pair, where it stands and who decided. Approval is given on Review.")
project = shell.require_project(user)
with looking() as session:
    any_pairs = pairs.any_in(session, project.id)
if not any_pairs:
    shell.empty("There are no pairs yet.", "write", "Write a gold pair")
    shell.link("import", "Import pairs")
else:
    address = table.address()
    table.queues(project, address)
    table.draw(project, address)
    table.by_number(address)
    if address.row is not None:
        detail.show(user, project, address.row)
