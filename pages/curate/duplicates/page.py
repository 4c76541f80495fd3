"""Duplicates page: compare all pairs, then settle what repeats, contradicts or leaks."""

import streamlit as st

from curation import statistics
from curation.overlap import compared, overlaps
from pages.curate.duplicates import groups, meaning_search
from pages.frame import shell
from pages.frame.identity import require_user
from pages.frame.wiring import act, looking
from pages.parts import job_panel
from storage import pairs
from storage.types import JobKind, PairStatus
from training import asks, kinds

user = require_user()
shell.header("Duplicates", "Pairs that say the same, that contradict each other, or that leak.")
project = shell.require_project(user)
with looking() as session:
    stands = pairs.counts(session, project.id)
    due = overlaps.due(session, project.id)
    comparing = kinds.going(session, project.id, JobKind.SWEEP)
    by_kinds = groups.first(session, project)
alive = sum(stands.values()) - stands[PairStatus.REJECTED]
if not alive:
    shell.empty("There are no pairs to compare yet.", "import", "Import pairs")
    st.stop()

shell.stats(
    {
        "Not compared yet": f"{due}",
        **{groups.TITLES[each]: f"{by_kinds[each].count}" for each in by_kinds},
    }
)
job_panel.show(project.id, JobKind.SWEEP)
if due and not comparing:
    large = alive >= compared.LARGE
    done = "" if large else "Every pair was compared with every other."
    st.button(
        f"Compare all {statistics.count(alive, 'pair')}",
        key=f"sweep-{project.id}-{due}",
        type="primary",
        on_click=act,
        args=(done, asks.compare_pairs if large else overlaps.sweep, user, project.id),
    )
    changed = statistics.count(due, "pair is", "pairs are")
    shell.note(f"{changed} new or changed since the last time.")
elif not due and not any(each.count for each in by_kinds.values()):
    st.success("Every pair was compared, and nothing is left to settle.")
    shell.link("audit", "Next: audit a random sample")

meaning_search.show(user, project, alive, due)
chosen = groups.choose(project.id, by_kinds)
groups.show(user, project, chosen, by_kinds[chosen])
with st.expander("What this comparison does not catch"):
    st.text(
        "• The same thing said in other words: at least 80 % of the word runs must be shared. A "
        "local model can propose such pairs where ASSAY_EMBEDDER names its folder; see "
        "docs/near-duplicates.md.\n"
        "• Two outputs that both fit the schema and are both wrong.\n"
        "• Repeats of pairs that are not in this project, such as the base model's own training."
    )
