"""Import page: records that exist already, mapped to pairs, whole files or nothing."""

from pages.parts import label_import, rows, shell
from pages.parts.identity import require_user

user = require_user()
shell.header("Import", "Records you have already: all rows of a file go in, or none.")
project = shell.require_project(user)
read = label_import.choose(project)

if read is not None and read.table is None:
    label_import.refused(read.why, read.refusals, read.count)
elif read is not None and read.table is not None and not label_import.report(project, read):
    chosen = label_import.mapping(read, read.table)
    found = label_import.preview(read, read.table, chosen, project)
    if found is not None and found.refused:
        label_import.refused(
            f"Nothing can be imported yet: {rows.count(found.refused, 'line is', 'lines are')} "
            "faulty.",
            found.refusals,
            found.refused,
        )
    elif found is not None:
        label_import.take(user, project, read, read.table, found)
