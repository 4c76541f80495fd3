"""Two people who download exports of the same length at the same time, each in a browser.

A server that told two downloads apart by their length and parts of their bytes would hand one
person the other's rows; the two versions here differ in the middle of a row only.
"""

import random
from collections.abc import Sequence
from pathlib import Path
from zipfile import ZipFile

from playwright.sync_api import Locator, Page, expect
from sqlalchemy import Engine

from curation.versions import verify_version
from storage import scratch
from storage.engine import writing
from storage.types import Role, Version
from tests.support import curated, stories
from tests.support.browser_fixture import pick, still
from tests.support.live import Live

NAMES = ("Ann", "Bob")


def twins(engine: Engine, rows: int, characters: int) -> list[Version]:
    """For each person a project of one version; equally long, one character differs in all."""
    spare = stories.project(engine, "Spare")
    stories.waiting(engine, spare, stories.messages(9))  # so that all ids have two digits
    dice = random.Random(5)
    asked = [dice.randbytes(30).hex() for _ in range(rows)]
    answers = [dice.randbytes(characters // 2).hex() for _ in range(rows)]
    made = []
    for name, letter in zip(NAMES, "xy", strict=True):
        desk = stories.project(engine, f"Desk of {name}", output_schema=None, label_field=None)
        middle = answers[rows // 2]
        cut = len(middle) // 2
        told = list(answers)
        told[rows // 2] = f"{middle[:cut]}{letter}{middle[cut + 1 :]}"
        curated.approved(engine, desk, list(zip(asked, told, strict=True)))
        made.append(curated.frozen(engine, desk))
        person = stories.person(engine, name, Role.LEAD)
        with writing(engine) as session:
            scratch.save(session, person, "open-project", {"id": desk.id})
    return made


def at_versions(page: Page, live: Live, name: str) -> None:
    """Sign in and open the page that exports."""
    page.goto(live.link)
    pick(page, name)
    still(page)
    page.goto(f"{live.url}/versions")
    expect(_button(page)).to_be_visible()


def both(pages: Sequence[Page], folder: Path, number: int) -> list[Path]:
    """Let both press Download, neither waiting for the other; where their files lie."""
    ann, bob = pages
    first, second = (ann, bob) if number % 2 else (bob, ann)
    with ann.expect_download() as one, bob.expect_download() as other:
        _button(first).click(no_wait_after=True)
        _button(second).click(no_wait_after=True)
    saved = []
    for name, got in zip(NAMES, (one.value, other.value), strict=True):
        path = folder / f"{number}-{name}-{got.suggested_filename}"
        got.save_as(path)
        saved.append(path)
    return saved


def is_of(path: Path, version: Version) -> bool:
    """Whether a download is whole by its own manifest, and of this version."""
    with ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    manifest, _ = verify_version.check(files)
    return bool(manifest["version"]["sha256"] == version.sha256)


def _button(page: Page) -> Locator:
    return page.get_by_role("button", name="Download").first
