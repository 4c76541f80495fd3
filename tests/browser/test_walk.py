"""The whole loop in a real browser, from an empty install to an adapter judged blind.

`ASSAY_PICTURES=docs/pictures` keeps the screenshots for the README; `ASSAY_WALK_STEPS` trains
longer than the two steps that a test needs.
"""

import os
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from curation.gate import audit, decision, readiness
from curation.overlap import overlaps
from curation.personal import findings, scrub
from curation.policy import belonging
from curation.review import decisions
from storage import migrate, pairs, people
from storage.engine import open_engine, reading, writing
from storage.settings import Settings
from storage.types import FindingState, Job, JobKind, JobState, LinkKind, Origin, PairStatus, User
from tests.browser.conftest import Arrive, Person
from tests.support import stories
from tests.support.live import Live, running
from tests.support.patience import PATIENCE, until
from tests.support.tiny_model import packaged
from training.lifecycle import adapter_cards, adapter_files
from training.models import adapters
from training.proving import comparisons
from training.work import jobs

pytestmark = [pytest.mark.usefixtures("model_code"), pytest.mark.timeout(1500)]
STEPS = os.environ.get("ASSAY_WALK_STEPS", "2")
GOLD = "My spare card still shows the old name after I married, can it be reprinted?"


@pytest.fixture
def pictures() -> Path | None:
    """Where to keep screenshots, if anywhere."""
    named = os.environ.get("ASSAY_PICTURES")
    return Path(named).resolve() if named else None


@pytest.fixture
def install(tmp_path: Path) -> Iterator[tuple[Live, Engine]]:
    """An empty install with three people; the converted base model is copied in, for time."""
    data = tmp_path / "data"
    engine = open_engine(data / "assay.db")
    migrate.upgrade(engine)
    shutil.copytree(packaged().path.parent, data / "models")
    stories.person(engine, "Lea")
    stories.person(engine, "Max")
    stories.person(engine, "Zoe")
    with running(data) as live:
        yield live, engine
    engine.dispose()


def _user(session: Session, name: str) -> User:
    return next(user for user in people.everyone(session) if user.name == name)


def test_the_whole_loop(
    install: tuple[Live, Engine], arrive: Arrive, pictures: Path | None
) -> None:
    live, engine = install
    lea = arrive(live, "Lea")
    open_the_sample(lea, pictures)
    write_gold(lea, engine, pictures)
    import_records(lea, engine, pictures)
    max_ = arrive(live, "Max")
    review_by_keyboard(max_, engine, pictures)
    ask_for_drafts(lea, engine, pictures)
    scrub_rows(lea, engine, pictures)
    settle_duplicates(lea, engine, pictures)
    audit_rows(lea, engine, pictures)
    freeze_a_version(lea, engine, pictures)
    decide_and_get_ready(lea, max_, engine, pictures)
    launch_a_run(lea, engine, pictures)
    compare(lea, engine, pictures)
    judge_blind(lea, max_, pictures)
    hand_on(lea, engine, pictures)


def open_the_sample(lea: Person, pictures: Path | None) -> None:
    lea.sees("Open the sample project")
    lea.press("Open it at the start")
    lea.sees("Next:")
    lea.picture(pictures, "home")


def write_gold(lea: Person, engine: Engine, pictures: Path | None) -> None:
    page = lea.go("write")
    page.locator("#prompt").fill(GOLD)
    page.locator("#response").fill('{"team": "nobody"}')
    expect(page.locator("#check")).to_contain_text("nobody")
    page.wait_for_timeout(1200)
    page.reload()
    lea.still()
    expect(page.locator("#prompt")).to_have_value(GOLD)
    with reading(engine) as session:
        answer = next(
            p.response for p in pairs.listing(session, 1) if p.topic and '"cards"' in p.response
        )
    page.locator("#response").fill(answer)
    page.wait_for_timeout(1200)
    lea.picture(pictures, "write")
    page.locator("#response").press("Control+Enter")
    lea.sees("Saved as pair")


def import_records(lea: Person, engine: Engine, pictures: Path | None) -> None:
    page = lea.go("import")
    broken = {
        "empty.csv": b"",
        "ragged.csv": b"prompt,response\na,b\nc,d,e\n",
        "nan.jsonl": b'{"prompt": "a", "response": NaN}\n',
    }
    for name, content in broken.items():
        page.locator("input[type=file]").set_input_files(
            {"name": name, "mimeType": "text/plain", "buffer": content}
        )
        expect(page.get_by_test_id("stAlert").first).to_be_visible()
        page.get_by_role("button", name="Remove").first.click()
        lea.still()
    lea.press("Use the sample's import.jsonl")
    lea.sees("The first 8 of 110 pairs")
    lea.picture(pictures, "import")
    lea.press("Import 110 pairs")
    lea.sees("110 pairs were imported")
    with reading(engine) as session:
        waiting = pairs.listing(session, 1, status=PairStatus.WAITING)
    assert len(waiting) == 111


def review_by_keyboard(max_: Person, engine: Engine, pictures: Path | None) -> None:
    page = max_.go("review")
    expect(page.locator("#card")).not_to_have_attribute("data-row", "")
    page.wait_for_timeout(600)
    page.keyboard.press("a")
    page.wait_for_timeout(200)
    page.keyboard.press("Backspace")
    page.wait_for_timeout(600)
    page.keyboard.press("e")
    words = page.locator("#edit-prompt").input_value()
    page.locator("#edit-prompt").fill(f"{words} Thank you.")
    page.wait_for_timeout(600)
    max_.picture(pictures, "review-edit")
    page.keyboard.press("Control+Enter")
    page.wait_for_timeout(600)
    max_.picture(pictures, "review")
    for _ in range(400):
        if page.locator("#empty").is_visible():  # more may be on their way
            if "Nothing is waiting" in page.locator("#empty").inner_text():
                break
            page.wait_for_timeout(60)
            continue
        problem = page.locator("#problems").is_visible()
        for key in ("x", "1") if problem else ("a",):
            page.keyboard.press(key)
            page.wait_for_timeout(60)
    expect(page.locator("#saved")).to_have_text("all saved")
    with reading(engine) as session:
        counts = pairs.counts(session, 1)
        edited = [p for p in pairs.listing(session, 1) if p.prompt.endswith(" Thank you.")]
    assert counts[PairStatus.WAITING] == 0
    assert counts[PairStatus.APPROVED] > 200
    assert counts[PairStatus.REJECTED] >= 1
    assert len(edited) == 1


def ask_for_drafts(lea: Person, engine: Engine, pictures: Path | None) -> None:
    page = lea.go("draft")
    page.get_by_label(re.compile("^Topic")).fill("lost cards")
    page.keyboard.press("Tab")
    count = page.get_by_label("How many")
    count.fill("2")
    page.keyboard.press("Tab")
    lea.still()
    page.get_by_role("button", name="Draft", exact=True).last.click()
    expect(page.get_by_text(re.compile(r"Finished|did not|drafts", re.I)).first).to_be_visible()
    _job_ends(engine, "draft")
    lea.go("draft")
    lea.picture(pictures, "draft")
    with reading(engine) as session:
        for draft in pairs.listing(session, 1, origin=Origin.DRAFT):
            assert draft.status is PairStatus.WAITING
            assert draft.source["model"]


def _jobs(engine: Engine, kind: str) -> list[Job]:
    with reading(engine) as session:
        return jobs.listing(session, 1, JobKind(kind))


def _job_begins(engine: Engine, kind: str, number: int = 1) -> None:
    """Wait for so many jobs of a kind: a page that is left may lose what was pressed."""
    until(lambda: len(_jobs(engine, kind)) == number)


def _job_ends(engine: Engine, kind: str, number: int = 1) -> None:
    """Wait for the end of so many jobs of a kind, as the server sees it."""
    _job_begins(engine, kind, number)
    end = time.monotonic() + 5 * PATIENCE
    while not (newest := _jobs(engine, kind)[0]).state.final:
        assert time.monotonic() < end, f"The {kind} job did not end."
        time.sleep(0.5)
    assert newest.state is JobState.FINISHED, newest.message


def scrub_rows(lea: Person, engine: Engine, pictures: Path | None) -> None:
    page = lea.go("scrub")
    page.get_by_role("button", name=re.compile(r"^Scan \d+ pairs")).click()
    _job_ends(engine, "scan")
    lea.go("scrub")
    lea.sees("To decide")
    lea.picture(pictures, "scrub")
    with reading(engine) as session:
        before = len(findings.coverage(session, 1).open)
    page.get_by_role("button", name=re.compile("^Accept")).first.click()
    lea.still()
    with writing(engine) as session:  # the rest as a colleague would, through the same verb
        actor = _user(session, "Lea")
        for marked in findings.marked(session, 1):
            for found in marked.findings:
                if found.state is FindingState.OPEN:
                    scrub.decide(session, actor, found.id, FindingState.ACCEPTED)
        assert findings.coverage(session, 1).open == ()
    assert before > 0
    page = lea.go("scrub")
    page.get_by_role("button", name=re.compile("“Alder Bank” is not personal data")).click()
    lea.still()
    lea.sees("Every scanned pair is decided")
    with reading(engine) as session:
        assert findings.coverage(session, 1).message.open == 0


def settle_duplicates(lea: Person, engine: Engine, pictures: Path | None) -> None:
    page = lea.go("duplicates")
    page.get_by_role("button", name=re.compile("^Compare all")).click()
    lea.still()
    lea.picture(pictures, "duplicates")
    page.get_by_role("button", name=re.compile("^Keep pair")).first.click()
    lea.still()
    with writing(engine) as session:
        actor = _user(session, "Lea")
        for kinds in ([LinkKind.LEAK], [LinkKind.CONTRADICTION], [LinkKind.EXACT, LinkKind.NEAR]):
            for group in overlaps.grouped(session, 1, kinds):
                best, *others = group.pairs
                seen = {pair.id: pair.version for pair in others}
                overlaps.keep(session, actor, best.id, seen, "Duplicate", best.version)
        old = belonging.retired(session, 1)
        for pair in pairs.listing(session, 1):
            retired = pair.id in old and pair.status is PairStatus.APPROVED
            if retired or pair.status is PairStatus.WAITING:
                decisions.reject(session, actor, pairs.row_of(session, pair.id), "Not our policy")
    lea.go("duplicates")
    lea.sees("nothing is left to settle")


def audit_rows(lea: Person, engine: Engine, pictures: Path | None) -> None:
    page = lea.go("audit")
    page.get_by_role("button", name=re.compile("^Draw the audit")).click()
    lea.still()
    lea.picture(pictures, "audit")
    lea.press("Good: fit to learn from")
    lea.sees("1 of")
    with writing(engine) as session:  # nobody judges what they approved or wrote themselves
        for name in ("Lea", "Max", "Zoe"):
            actor = _user(session, name)
            while (row := audit.next_row(session, actor, 1)) is not None:
                audit.judge(session, actor, row.id, row.version, good=True)
        found = audit.latest(session, 1)
        assert found is not None
        assert found.complete


def freeze_a_version(lea: Person, engine: Engine, pictures: Path | None) -> None:
    page = lea.go("versions")
    page.get_by_role("button", name=re.compile("^Freeze")).first.click()
    lea.sees("Frozen by Lea")  # before going on: a page that is left may lose what was pressed
    lea.still()
    lea.picture(pictures, "versions")
    page.get_by_text("Give the base model its best prompt").click()  # four prompts take minutes
    lea.still()
    page.get_by_role("button", name=re.compile("^Measure")).first.click()
    _job_ends(engine, "evaluate")


def decide_and_get_ready(lea: Person, max_: Person, engine: Engine, pictures: Path | None) -> None:
    page = lea.go("decide")
    for question in decision.QUESTIONS.values():
        page.get_by_label(question).fill("One model on our own machine, checked on our messages.")
        page.keyboard.press("Tab")
        lea.still()
    page.get_by_role("combobox").first.click()
    page.get_by_role("option", name=decision.CHANGE[0]).click()
    lea.still()
    iterations = page.get_by_role("spinbutton").first
    iterations.fill("3")
    page.keyboard.press("Tab")
    lea.still()
    lea.picture(pictures, "decide")
    page.get_by_role("button", name="Write the record").click()
    lea.still()
    page.get_by_role("button", name="Sign as business owner").click()
    lea.still()
    page = max_.go("decide")
    page.get_by_role("button", name="Sign as technical owner").click()
    max_.still()
    page = lea.go("ready")
    lea.sees("Not ready: 1 of 17 lines")
    lea.picture(pictures, "ready")
    page.get_by_text("Waive a line").click()
    page.get_by_label(re.compile("^Reason")).fill("198 rows will do for a first look at the loop.")
    page.keyboard.press("Tab")
    lea.still()
    lea.press("Waive this line")
    lea.sees("Ready: every line is met")
    with reading(engine) as session:
        blocking = [signal.key for signal in readiness.unmet(readiness.report(session, 1))]
    assert blocking == []


def launch_a_run(lea: Person, engine: Engine, pictures: Path | None) -> None:
    page = lea.go("launch")
    page.get_by_text("Advanced settings").click()
    page.wait_for_timeout(400)
    steps = page.get_by_label(re.compile("^Step limit"))
    steps.fill(STEPS)
    page.keyboard.press("Tab")
    lea.still()
    page.get_by_text("Advanced settings").click()
    page.wait_for_timeout(400)
    page.get_by_role("heading", name="Launch", exact=True).scroll_into_view_if_needed()
    lea.picture(pictures, "launch")
    lea.press("Launch")
    _job_begins(engine, "train")
    page = lea.go("runs")
    page.reload()
    lea.still()
    lea.sees("Run ")
    _job_ends(engine, "train")
    lea.go("runs")
    page.wait_for_timeout(1500)
    lea.picture(pictures, "runs")


def compare(lea: Person, engine: Engine, pictures: Path | None) -> None:
    page = lea.go("compare")
    page.get_by_text("Start a comparison").click()
    page.wait_for_timeout(400)
    if pictures is None:  # trying four prompts on the validation rows takes minutes
        page.get_by_text("Give the base model its best prompt").click()
        lea.still()
    page.get_by_role("button", name="Compare", exact=True).last.click()
    lea.still()
    _job_ends(engine, "evaluate", 2)  # the first was the baseline
    lea.go("compare")
    lea.sees("Exactly right")
    lea.picture(pictures, "compare")
    with reading(engine) as session:
        newest = comparisons.listing(session, 1)[0]
    assert newest.adapter_id is not None
    assert set(newest.summary) >= {"base", "tuned"}


def judge_blind(lea: Person, max_: Person, pictures: Path | None) -> None:
    page = lea.go("blind")
    count = page.get_by_role("spinbutton").first
    count.fill("6")
    page.keyboard.press("Tab")
    page.get_by_role("button", name="Start the trial").click()
    lea.sees("Turnout, registration, closing")
    page = max_.go("blind")
    expect(page.locator("#left")).not_to_be_empty()
    page.wait_for_timeout(600)
    max_.picture(pictures, "blind")
    for key in ("1", "2", "3", "0", "1", "2"):
        page.keyboard.press(key)
        page.wait_for_timeout(500)
    expect(page.locator("#saved")).to_have_text("all saved")
    page = lea.go("blind")
    page.get_by_text("Turnout, registration, closing").click()
    lea.press("Close the trial for good")
    lea.go("blind")
    lea.sees("sign test")
    lea.picture(pictures, "blind-result")


def hand_on(lea: Person, engine: Engine, pictures: Path | None) -> None:
    page = lea.go("adapters")
    lea.sees("Download (zip)")
    lea.picture(pictures, "adapters")
    with page.expect_download() as caught:
        page.get_by_role("button", name="Download (zip)").click()
    assert caught.value.suggested_filename.endswith(".zip")
    data = Path(lea.live.data)
    with reading(engine) as session:
        card = adapter_cards.build(session, adapters.get(session, 1))
        adapter_files.package(session, 1, Settings(data))
    assert card["version"]["number"] == 1
    assert len(card["trials"]) == 1
