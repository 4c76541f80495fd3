"""Import page: records that exist already, mapped to pairs, whole files or nothing."""

from curation import statistics
from pages.frame import shell
from pages.frame.identity import require_user
from pages.label.imports import mapping

user = require_user()
shell.header("Import", "Records you have already: all rows of a file go in, or none.")
project = shell.require_project(user)
read = mapping.choose(project)

if read is not None and read.table is None:
    mapping.refused(read.why, read.refusals, read.count)
elif read is not None and read.table is not None and not mapping.report(project, read):
    chosen = mapping.mapping(read, read.table)
    found = mapping.preview(read, read.table, chosen, project)
    if found is not None and found.refused:
        lines = statistics.count(found.refused, "line is", "lines are")
        mapping.refused(
            f"Nothing can be imported yet: {lines} faulty.",
            found.refusals,
            found.refused,
        )
    elif found is not None:
        mapping.take(user, project, read, read.table, found)
