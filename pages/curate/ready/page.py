"""Ready page: every line of the gate with what was measured, what is asked and what to do."""

from curation.gate import measures, readiness
from curation.versions import archive
from pages.frame import reported, shell
from pages.frame.identity import require_user
from pages.frame.wiring import looking
from pages.parts import baseline, gate_lines

user = require_user()
shell.header("Ready", "What must hold before a training run; launching is refused until it does.")
project = shell.require_project(user)
texts = reported.read(measures.TEXTS, project.id).content
with looking() as session:
    signals = readiness.report(session, project.id, texts=texts)
    newest = next(iter(archive.listing(session, project.id)), None)

gate_lines.top(signals)
gate_lines.grouped(signals, readiness.unmet(signals))
if newest is not None and not next(line.met for line in signals if line.key == "baseline"):
    baseline.show(user, newest)
gate_lines.waive(user, project, signals)
gate_lines.limits(signals)
if newest is None:
    shell.note("The figures are of the approved pairs as they are now; there is no version yet.")
else:
    shell.note(
        "The figures are of the approved pairs as they are now and of version "
        f"{newest.number}, the newest. Thresholds follow guides to fine-tuning small sets."
    )
