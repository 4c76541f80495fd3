"""Scrub page: scan for personal data, decide each finding in its pair, see what is set aside."""

import streamlit as st

from curation.personal import findings as personal
from pages.curate.scrub import findings, message_findings, scan, scan_form, scan_limits
from pages.frame import shell
from pages.frame.identity import require_user
from pages.frame.wiring import looking
from storage.types import Role

user = require_user()
shell.header("Scrub", "Find personal data in the pairs and decide what becomes a placeholder.")
project = shell.require_project(user)
with looking() as session:
    coverage = personal.coverage(session, project.id)
if not coverage.pairs:
    shell.empty("There are no pairs to scan yet.", "import", "Import pairs")
    st.stop()
shell.stats(
    {
        "Pairs": f"{coverage.pairs}",
        "Not scanned yet": f"{len(coverage.unscanned)}",
        "Pairs to decide": f"{len(coverage.open)}",
        "Could not be read": f"{len(coverage.quarantined)}",
    }
)
scan.start(user, project, coverage)
findings.queue(user, project, coverage)
message_findings.show(user, project, coverage.message)
scan.quarantine(coverage)
if Role.LEAD in user.roles:
    scan_form.show(user, project)
scan_limits.show(project)
