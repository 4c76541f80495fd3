"""The way back to a backup: chosen here, done by the next start."""

from pathlib import Path

import streamlit as st

from pages.frame import shell
from pages.frame.plain import plain
from pages.frame.wiring import FormValue, act
from storage.backups import staging
from storage.settings import Settings
from storage.types import User


def show(user: User, config: Settings) -> None:
    """What the next start restores, or a choice; and what came of the last restore."""
    st.subheader("Go back to a backup", anchor=False)
    waiting = staging.staged(config)
    if waiting is not None:
        _staged(user, config, waiting)
    else:
        _choice(user, config)
    report = staging.report(config)
    if report is not None:
        tell = st.success if report.done else st.error
        tell(plain(f"The last restore, {report.at[:16].replace('T', ' ')} UTC:"))
        st.text("\n".join(report.sentences))


def _staged(user: User, config: Settings, waiting: staging.Staged) -> None:
    name = Path(waiting.backup).name
    st.warning(
        plain(
            f"The next start of Assay restores {name}, as {waiting.by} asked. Stop Assay "
            "(Ctrl+C where it was started) and start it again."
        )
    )
    st.button(
        "Do not restore",
        key="restore-not",
        on_click=act,
        args=("Nothing will be restored.", staging.unstage, user, config),
    )


def _choice(user: User, config: Settings) -> None:
    choices = [str(path) for path in staging.choices(config)]
    if not choices:
        st.text("There is no backup yet to go back to.")
        return
    shell.note(
        "The database of today stays beside it under another name and is never deleted; what was "
        "saved after the backup is only in that one. The backup is proven first; if it does not "
        "hold, nothing changes."
    )
    backup, button = st.columns([3, 1], vertical_alignment="bottom")
    backup.selectbox(
        "Backup", choices, key="restore-choice", format_func=lambda path: Path(path).name
    )
    button.button(
        "Restore at the next start",
        key="restore-stage",
        on_click=act,
        args=("", staging.stage, user, config, FormValue("restore-choice")),
    )
