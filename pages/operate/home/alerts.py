"""What those who run Assay must not miss: first on Home, and only where there is something."""

import streamlit as st

from pages.frame import shell
from pages.frame.plain import plain
from storage import settings
from storage.backups import schedule
from storage.types import User

_BACKUPS = shell.at("backups")


def backup(user: User) -> None:
    """That the last backup failed, and why."""
    latest = schedule.last(settings.current())
    if latest is None or latest.verified or not user.roles & _BACKUPS.roles:
        return
    st.error(plain(f"The last backup failed. {latest.sentence}"))
    shell.link(_BACKUPS.address, "Look at the backups")
