"""Exporting a version: choose a format and splits, see what the format cannot hold, download."""

from collections.abc import Callable, Sequence

import streamlit as st
from sqlalchemy import Engine

from curation import statistics
from curation.versions import archive, cards, packages
from curation.versions.layouts import LAYOUTS
from curation.versions.records import VersionCard
from curation.versions.standing import VersionStanding
from pages.curate.versions import delivery
from pages.curate.versions.views import PARTS
from pages.frame import shell
from pages.frame.plain import plain
from pages.frame.wiring import engine, looking
from storage import reports
from storage.engine import reading
from storage.errors import AssayError, RuleBroken
from storage.types import Split, User, Version

_BYTE_LIMIT = packages.TEXT_LIMIT


def show(user: User, version: Version, state: VersionStanding) -> None:
    """The choice and the download."""
    layout = st.selectbox(
        "Export as",
        list(LAYOUTS),
        format_func=lambda name: LAYOUTS[name].title,
        key=f"export-format-{version.id}",
    )
    splits = _splits(version)
    shell.note(f"Read by {LAYOUTS[layout].fits}. {LAYOUTS[layout].loses}")
    if Split.TEST in splits:
        st.warning(
            "Test pairs are in this export. Whoever trains on them has nothing left to test."
        )
    size = sum((state.text_bytes or {}).get(split.value, 0) for split in splits)
    if size > _BYTE_LIMIT:
        st.info(
            f"{size / 1e6:,.0f} MB of text is too much for one export. Choose one "
            "split, or use the command: python -m curation export FOLDER"
        )
        return
    if sum(version.counts.values()) > reports.AT_ONCE:
        _deliver(user, version, layout, splits)
    else:
        _download(version, layout, splits)


def _splits(version: Version) -> list[Split]:
    shell.note("Splits")
    with st.container(horizontal=True):
        return [
            split
            for split in Split
            if st.checkbox(
                f"{PARTS[split.value]} ({version.counts[split.value]})",
                value=split in packages.TO_TRAIN,
                key=f"export-{split.value}-{version.id}",
            )
        ]


def _deliver(user: User, version: Version, layout: str, splits: Sequence[Split]) -> None:
    """The export of a version that is too large to be made while someone waits for a page."""
    if not splits:
        st.error("Choose at least one split to export.")
        return
    with looking() as session:
        later = archive.tested_later(session, version.id, splits)
    _warn(later)
    delivery.show(user, version, layout, splits)


def _warn(later: int) -> None:
    if later:
        st.warning(
            f"{statistics.count(later, 'pair')} of these are test pairs in a later version. Do "
            "not judge a model on that version if it trains on this export."
        )


def _download(version: Version, layout: str, splits: Sequence[Split]) -> None:
    try:
        with looking() as session:
            opened = archive.opened(session, version.id)
            outline = packages.outline(session, opened, layout, splits)
    except AssayError as error:
        st.error(plain(str(error)))
        return
    if outline.left_out:
        shell.note(outline.left_out)
    _warn(outline.tested_later)
    st.download_button(
        f"Download {statistics.count(outline.rows, 'pair')}",
        data=_content(engine(), version.id, layout, splits, outline.name),
        file_name=f"{outline.name}.zip",
        mime="application/zip",
        key=f"export-{outline.name}",
        on_click="ignore",
        type="primary",
        icon=":material/download:",
    )
    shell.note(
        f"{outline.name}.zip, with the card, a manifest of hashes and verify.py, which checks all "
        "of it with Python alone."
    )


def _content(
    engine: Engine, version_id: int, layout: str, splits: Sequence[Split], name: str
) -> Callable[[], bytes]:
    """What makes the zip when the button is pressed, for this person and this choice."""

    def make() -> bytes:
        with reading(engine) as session:
            package = packages.build(session, version_id, layout, splits)
        if package.name != name:
            raise RuleBroken("The version's card changed since the page was drawn. Load it again.")
        return package.zipped()

    return make


def card(version: Version, content: VersionCard) -> None:
    """The card, to read and to take along."""
    with st.expander("Card: counts, approvers, audit, waivers, personal data, hashes"):
        files = {"md": cards.to_markdown(content), "json": cards.to_json(content)}
        with st.container(horizontal=True):
            for ending, data in files.items():
                st.download_button(
                    f"Card as {'Markdown' if ending == 'md' else 'JSON'}",
                    data=data,
                    file_name=f"version-{version.number}-{version.sha256[:16]}-card.{ending}",
                    key=f"card-{ending}-{version.id}",
                    on_click="ignore",
                )
        st.code(files["md"].decode(), language=None, wrap_lines=True)
