"""Activity page: who did what to what, in a log that shows whether it was tampered with."""

import streamlit as st

from pages.frame import shell
from pages.frame.identity import require_user
from pages.frame.wiring import current_project, looking
from storage import events, people
from storage.errors import RESTORE
from storage.types import Event

_LINES = (50, 200, 1000)


def _table(log: list[Event], names: dict[int, str]) -> None:
    st.dataframe(
        [
            {
                "When (UTC)": event.at.strftime("%Y-%m-%d %H:%M:%S"),
                "Who": names.get(event.actor_id or 0, "Assay"),
                "Did": event.verb.replace("_", " "),
                "To": event.noun,
                "Id": event.noun_id,
                "Link": event.hash[:12],
            }
            for event in log
        ],
        hide_index=True,
        height=420,
    )


def _verify() -> None:
    """Recompute every link and say what came of it."""
    with looking() as session:
        count, broken = events.verify(session)
        head = events.head(session)
    if broken is not None:
        st.error(
            f"The chain is broken at event {broken}, after {count} good ones: the log was changed "
            f"outside Assay. Compare it with a backup. {RESTORE}"
        )
        return
    st.success(f"All {count} links are good. Keep the newest link somewhere else:")
    st.code(head, language=None)
    st.download_button(
        "Download the newest link",
        f"{head} {count}\n",
        file_name=f"assay-head-{count}-{head[:16]}.txt",
        key="download-head",
        on_click="ignore",
    )
    shell.note(
        "Each link holds the sha256 of the one before. A later log that no longer leads through "
        "this link was rewritten. Someone who can write the file could rebuild the whole chain; "
        "only a link kept elsewhere shows that."
    )


user = require_user()
shell.header("Activity", "Who did what to what. It holds ids and hashes, never the text of a pair.")
project = current_project(user)
where, lines, _ = st.columns([2, 1, 3])
only = where.radio("Show", ["This project", "Everything"], horizontal=True, key="activity-where")
limit = lines.selectbox("Newest lines", _LINES, key="activity-lines")
inside = project.id if project is not None and only == "This project" else None
with looking() as session:
    log = events.latest(session, inside, limit)
    names = people.names(session)
if log:
    _table(log, names)
else:
    shell.empty("Nothing happened yet.", "home", "Begin on Home")
if st.button("Verify the chain", key="verify"):
    _verify()
