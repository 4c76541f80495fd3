"""Every fault planted in the sample project is found by the check that is meant for it."""

import json
from typing import Any

import pytest
from sqlalchemy import Engine

from curation import visible
from curation.overlap import overlaps
from curation.personal import findings, scan_settings, scanning, scans
from curation.policy import belonging
from curation.project import sample
from curation.review import decisions
from storage import pairs
from storage.engine import reading, writing
from storage.settings import ROOT
from storage.types import FindingState, LinkKind, Pair, Project
from tests.support import copies, stories

PLANTED: dict[str, list[dict[str, Any]]] = json.loads(
    (ROOT / "sample_data" / "planted.json").read_text(encoding="utf-8")
)
Found = tuple[Project, dict[tuple[str, int], Pair]]


@pytest.fixture
def opened(engine: Engine) -> Found:
    """The sample opened part-way, and its pairs by file and record."""
    return copies.once(engine, lambda: _opened(engine), "planted")


def _opened(engine: Engine) -> Found:
    lea = stories.person(engine, "lea")
    with writing(engine) as session:
        project = sample.begin(session, lea, reviewed=True)
    return project, _by_record(engine, project)


def _by_record(engine: Engine, project: Project) -> dict[tuple[str, int], Pair]:
    """Records count from 1 in the order of the file; ids rise in the same order."""
    with reading(engine) as session:
        rows = pairs.listing(session, project.id)
    found: dict[tuple[str, int], Pair] = {}
    for pair in rows:
        name = str(pair.source.get("file", "gold.jsonl"))
        record = sum(key[0] == name for key in found) + 1
        found[name, record] = pair
    return found


def _at(found: Found, place: dict[str, Any]) -> Pair:
    record = place["record"] if "record" in place else place["line"]
    return found[1][place["file"], record]


def _links(engine: Engine, found: Found) -> dict[frozenset[int], set[LinkKind]]:
    lea = stories.person(engine, "lea")
    with writing(engine) as session:
        overlaps.sweep(session, lea, found[0].id)
        links = overlaps.current(session, found[0].id)
    kinds: dict[frozenset[int], set[LinkKind]] = {}
    for link in links:
        kinds.setdefault(frozenset((link.a, link.b)), set()).add(link.kind)
    return kinds


def test_all_personal_data_is_found(engine: Engine, opened: Found) -> None:
    with reading(engine) as session:
        rows = scans.to_scan(session, opened[0].id)
        config = scan_settings.current(session, opened[0].id).config
    lines = [line for batch in scanning.results(rows, config) for line in batch]
    lea = stories.person(engine, "lea")
    with writing(engine) as session:
        scans.store(session, lea, opened[0].id, lines)
        marked = {m.pair.id: m for m in findings.marked(session, opened[0].id)}
    missed = []
    for place in PLANTED["personal_data"]:
        pair = _at(opened, place)
        start = pair.prompt.index(place["text"])
        wanted = set(range(start, start + len(place["text"])))
        for one in marked[pair.id].findings if pair.id in marked else ():
            if one.field == "prompt" and one.state is FindingState.OPEN:
                wanted -= set(range(one.start, one.end))
        if any(pair.prompt[i].isalnum() for i in wanted):
            missed.append(place)
    assert len(PLANTED["personal_data"]) >= 20
    assert missed == []


@pytest.mark.parametrize(
    ("planted", "kind"),
    [
        ("exact_duplicates", LinkKind.EXACT),
        ("near_duplicates", LinkKind.NEAR),
        ("contradictions", LinkKind.CONTRADICTION),
    ],
)
def test_all_repeats_and_contradictions_are_found(
    engine: Engine, opened: Found, planted: str, kind: LinkKind
) -> None:
    kinds = _links(engine, opened)
    missed = [
        place
        for place in PLANTED[planted]
        if kind
        not in kinds.get(frozenset((_at(opened, place["a"]).id, _at(opened, place["b"]).id)), ())
    ]
    assert PLANTED[planted]
    assert missed == []


def test_all_leaks_into_the_test_set_are_found(engine: Engine, opened: Found) -> None:
    kinds = _links(engine, opened)
    missed = [
        place
        for place in PLANTED["leaks"]
        if LinkKind.LEAK
        not in kinds.get(
            frozenset((_at(opened, place).id, opened[1]["held_out.jsonl", place["held_out"]].id)),
            (),
        )
    ]
    assert PLANTED["leaks"]
    assert missed == []


def test_all_outputs_outside_the_schema_are_found_and_none_else(opened: Found) -> None:
    wrong = {pair.id for pair in opened[1].values() if decisions.problems(opened[0], pair.response)}
    assert wrong == {_at(opened, place).id for place in PLANTED["schema_violations"]}


def test_all_rows_of_the_retired_era_are_found_and_none_else(engine: Engine, opened: Found) -> None:
    with reading(engine) as session:
        old = belonging.retired(session, opened[0].id)
    assert old == {_at(opened, place).id for place in PLANTED["retired_era"]}


def test_all_unsafe_rows_are_found(opened: Found) -> None:
    missed = [
        place
        for place in PLANTED["unsafe"]
        if not visible.has_markup(_at(opened, place).prompt)
        and not visible.hidden(_at(opened, place).prompt)
        and not visible.has_markup(_at(opened, place).response)
        and not visible.hidden(_at(opened, place).response)
    ]
    assert PLANTED["unsafe"]
    assert missed == []
