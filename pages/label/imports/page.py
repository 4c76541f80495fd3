"""Import page: pairs that exist already in a file, taken whole or not at all."""

from curation import statistics
from pages.frame import shell
from pages.frame.identity import require_user
from pages.label.imports import mapping, taking, upload

user = require_user()
shell.header("Import", "Pairs you have already: all lines of a file go in, or none.")
project = shell.require_project(user)
taking.show_job(project)
file = upload.choose(project)

if file is not None and file.table is None:
    upload.refused(file.why, file.refusals, file.count)
elif file is not None and file.table is not None and not taking.report(project, file):
    preview = mapping.preview(file, file.table, mapping.choose(file, file.table), project)
    if preview is not None and preview.refused:
        lines = statistics.count(preview.refused, "line is", "lines are")
        upload.refused(
            f"Nothing can be imported yet: {lines} faulty.", preview.refusals, preview.refused
        )
    elif preview is not None:
        taking.ask(user, project, file, file.table, preview)
