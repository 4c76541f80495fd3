"""A page asks the database as often, and for as many rows, however many pairs a project has."""

import itertools
from collections import Counter
from typing import Any

import pytest
from sqlalchemy import Engine, event

from curation.gate import audit, measures
from curation.health import project_rows
from curation.versions import standing
from pages.label.browse import table
from storage import reports, scratch
from storage.engine import writing
from storage.tables import LinkRow
from storage.types import LinkKind, LinkState, Origin, PairSample, Project, Role
from tests.support import curated, stories
from tests.support.ui import OpenPage
from training import reports as keeper
from training.launch import preflight

FEW, MANY = 60, 160
PAGES = (
    "pages/label/write/page.py",
    "pages/label/imports/page.py",
    "pages/label/draft/page.py",
    "pages/label/review/page.py",
    "pages/label/browse/page.py",
    "pages/curate/scrub/page.py",
    "pages/curate/duplicates/page.py",
    "pages/curate/audit/page.py",
    "pages/curate/health/page.py",
    "pages/operate/people/page.py",
    "pages/operate/activity/page.py",
    "pages/account/settings/page.py",
    "pages/operate/home/page.py",
    "pages/curate/eras/page.py",
    "pages/curate/ready/page.py",
    "pages/curate/versions/page.py",
    "pages/train/decide/page.py",
    "pages/train/launch/page.py",
    "pages/train/runs/page.py",
    "pages/train/experiments/page.py",
    "pages/train/adapters/page.py",
    "pages/prove/compare/page.py",
    "pages/prove/blind/page.py",
)


class Count(Counter[str]):
    """Statements, and rows that the database handed over."""

    def watch(self, engine: Engine) -> None:
        """Count what is asked from now on."""
        event.listen(engine, "checkout", self._checked_out)
        event.listen(engine, "before_cursor_execute", self._asked)

    def _checked_out(self, connection: Any, *_: object) -> None:  # noqa: ANN401 - DBAPI
        connection.row_factory = self._fetched

    def _fetched(self, _cursor: object, row: tuple[object, ...]) -> tuple[object, ...]:
        self["rows"] += 1
        return row

    def _asked(self, *_: object) -> None:
        self["statements"] += 1


def _filled(engine: Engine, desk: Project, pairs: int) -> None:
    """Approve, compare, scan and freeze so many pairs, and compute the reports of all of it."""
    curated.approved(engine, desk, pairs)
    curated.compared(engine, desk)
    curated.scanned(engine, desk)
    version = curated.frozen(engine, desk)
    assert keeper.work(engine, measures.TEXTS.name, desk.id)
    assert keeper.work(engine, standing.STANDING.name, version.id)
    assert keeper.work(engine, preflight.LEAKS.name, version.id)
    assert keeper.work(engine, project_rows.ALIVE.name, desk.id)


def test_no_page_costs_more_where_there_are_more_pairs(
    engine: Engine, open_page: OpenPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reports, "AT_ONCE", FEW // 2)
    lena, count = stories.person(engine, "lena", Role.LEAD), Count()
    desks = {pairs: stories.project(engine, f"{pairs} pairs") for pairs in (FEW, MANY)}
    costs: dict[int, dict[str, Count]] = {FEW: {}, MANY: {}}
    count.watch(engine)
    for pairs, desk in desks.items():
        _filled(engine, desk, pairs)
        with writing(engine) as session:
            scratch.save(session, lena, "open-project", {"id": desk.id})
        for path in PAGES:
            count.clear()
            assert not open_page(path, user=lena).exception
            costs[pairs][path] = count.copy()
    assert costs[FEW] == costs[MANY]


LISTS = (
    "pages/label/write/page.py",
    "pages/label/browse/page.py",
    "pages/curate/scrub/page.py",
    "pages/curate/duplicates/page.py",
    "pages/curate/audit/page.py",
    "pages/curate/health/page.py",
)


def _full_of_work(engine: Engine, desk: Project, pairs: int) -> None:
    """So many gold pairs, with a finding and a twin each, and an audit that is under way."""
    lena = stories.person(engine, "lena")
    rows = curated.approved(engine, desk, pairs, origin=Origin.GOLD, author=lena)
    curated.scanned(engine, desk, {row.id: [("prompt", "Ticket", "PERSON")] for row in rows})
    with writing(engine) as session:
        for a, b in itertools.pairwise(rows):
            session.add(
                LinkRow(
                    project_id=desk.id,
                    a=a.id,
                    b=b.id,
                    a_sha256=a.content_sha256,
                    b_sha256=b.content_sha256,
                    kind=LinkKind.NEAR if a.id % 2 else LinkKind.CONTRADICTION,
                    similarity=0.9,
                    state=LinkState.OPEN,
                )
            )
        audit.draw(session, lena, desk.id, 7, share=1)
    for report in (project_rows.ALIVE, project_rows.APPROVED):
        assert keeper.work(engine, report.name, desk.id)


def test_no_list_costs_more_where_there_is_more_to_do(
    engine: Engine, open_page: OpenPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reports, "AT_ONCE", FEW // 2)
    monkeypatch.setattr(table, "_SIZE", 10)
    monkeypatch.setattr(PairSample, "LIMIT", 10)
    lena, count = stories.person(engine, "lena", Role.LEAD), Count()
    desks = {pairs: stories.project(engine, f"{pairs} pairs") for pairs in (FEW, MANY)}
    costs: dict[int, dict[str, Count]] = {FEW: {}, MANY: {}}
    count.watch(engine)
    for pairs, desk in desks.items():
        _full_of_work(engine, desk, pairs)
        with writing(engine) as session:
            scratch.save(session, lena, "open-project", {"id": desk.id})
        for path in LISTS:
            open_page(path, user=lena)
            count.clear()
            assert not open_page(path, user=lena).exception
            costs[pairs][path] = count.copy()
    assert costs[FEW] == costs[MANY]
