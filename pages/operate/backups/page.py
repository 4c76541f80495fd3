"""Backups page: whether there is a proven copy of everything, and the way back to one."""

from datetime import datetime

import streamlit as st

from pages.frame import shell
from pages.frame.identity import require_user
from pages.frame.plain import plain
from pages.frame.wiring import FormValue, act
from pages.operate.backups import restoring
from storage import settings
from storage.backups import manifest, schedule, whole
from storage.types import Role

_PURPOSES = {"schedule": "by itself", "asked": "by command"}
_LOOK_SECONDS = 3


def _at(moment: str) -> str:
    return f"{datetime.fromisoformat(moment):%Y-%m-%d %H:%M} UTC"


@st.fragment(run_every=_LOOK_SECONDS)
def _state() -> None:
    """When the last one was made and whether it verified; it changes while the page is open."""
    latest = schedule.last(config)
    if whole.busy(config.backups):
        st.info("A backup is being made. People can go on working.")
    elif schedule.is_requested(config):
        st.info("A backup begins in a moment.")
    elif latest is None:
        st.warning("No backup was made yet.")
    elif latest.verified:
        made = f"The last backup was made on {_at(latest.at)} and verified: {latest.sentence}."
        st.success(plain(made))
    else:
        st.error(plain(f"The last backup failed on {_at(latest.at)}. {latest.sentence}"))


def _schedule() -> None:
    plan = schedule.plan(config)
    daily, keep, save = st.columns([2, 1, 1], vertical_alignment="bottom")
    daily.toggle("Make one every day, by itself", value=plan.daily, key="backups-daily")
    keep.number_input(
        "Keep the newest", 1, schedule.MOST_BACKUPS, value=plan.keep, step=1, key="backups-keep"
    )
    save.button(
        "Save",
        key="backups-save",
        on_click=act,
        args=(
            "The schedule is saved.",
            schedule.change,
            user,
            config,
            FormValue("backups-daily"),
            FormValue("backups-keep"),
        ),
    )


def _table(backups: list[manifest.WholeBackup]) -> None:
    st.dataframe(
        [
            {
                "Made (UTC)": _at(saved.manifest.at).removesuffix(" UTC"),
                "Name": saved.path.name,
                "How": _PURPOSES.get(saved.manifest.purpose, ""),
                "Events": saved.manifest.events,
                "Files": len(saved.manifest.files),
                "Size (MB)": round(saved.size / 1e6, 1),
            }
            for saved in backups
        ],
        hide_index=True,
    )


def _place() -> None:
    shell.note(f"They are in {config.backups}.")
    data, backups = config.data, config.backups
    if backups.exists() and backups.stat().st_dev == data.stat().st_dev:
        shell.note(
            "That is the disk of the data folder: one that breaks takes both. Name a folder on "
            "another disk with ASSAY_BACKUPS when you start Assay."
        )


user = require_user()
config = settings.current()
shell.header("Backups", "Copies of everything that is saved here, proven while they are made.")
_state()
is_admin = Role.ADMIN in user.roles
if is_admin:
    st.button(
        "Make a backup now",
        key="backups-now",
        on_click=act,
        args=("", schedule.ask, user, config),
    )
    _schedule()
else:
    st.text("Only an admin makes backups and goes back to one.")
backups = manifest.listing(config.backups)
if backups:
    _table(backups)
_place()
if is_admin:
    restoring.show(user, config)
