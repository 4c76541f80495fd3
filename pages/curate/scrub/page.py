"""Scrub page: scan for personal data, decide each finding in its pair, see what is set aside."""

import streamlit as st

from curation.personal import gaps
from pages.curate.scrub import findings, message_findings, scan, scan_form, scan_limits
from pages.frame import shell
from pages.frame.identity import require_user
from pages.frame.wiring import looking
from pages.parts import job_panel
from storage import pairs
from storage.types import JobKind, PairStatus, Role

user = require_user()
shell.header("Scrub", "Find personal data in the pairs and decide what becomes a placeholder.")
project = shell.require_project(user)
with looking() as session:
    stands = pairs.counts(session, project.id)
    left = gaps.alive(session, project.id)
alive = sum(stands.values()) - stands[PairStatus.REJECTED]
if not alive:
    shell.empty("There are no pairs to scan yet.", "import", "Import pairs")
    st.stop()
shell.stats(
    {
        "Pairs": f"{alive}",
        "Not scanned yet": f"{left.unscanned.count}",
        "Pairs to decide": f"{left.open.count}",
        "Could not be read": f"{left.quarantined.count}",
    }
)
job_panel.show(project.id, JobKind.EVERYWHERE)
scan.start(user, project, left)
findings.queue(user, project, left)
message_findings.show(user, project, left.message)
scan.quarantine(left)
if Role.LEAD in user.roles:
    scan_form.show(user, project)
scan_limits.show(project)
