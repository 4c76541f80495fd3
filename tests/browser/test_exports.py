"""Two people who export at the same time each get their own version, whole."""

from pathlib import Path

from playwright.sync_api import Browser

from storage import migrate
from storage.engine import open_engine
from tests.support import two_exports
from tests.support.browser_fixture import window
from tests.support.live import running

TIMES = 4


def test_each_gets_their_own_of_two_equally_long_exports(browser: Browser, tmp_path: Path) -> None:
    data = tmp_path / "data"
    engine = open_engine(data / "assay.db")
    migrate.upgrade(engine)
    made = two_exports.twins(engine, rows=24, characters=140_000)
    with running(data) as live:
        contexts = [window(browser) for _ in made]
        pages = [context.new_page() for context in contexts]
        for page, name in zip(pages, two_exports.NAMES, strict=True):
            two_exports.at_versions(page, live, name)
        sizes = set()
        for number in range(TIMES):
            for path, version in zip(two_exports.both(pages, tmp_path, number), made, strict=True):
                assert two_exports.is_of(path, version)
                sizes.add(path.stat().st_size)
        for context in contexts:
            context.close()
    engine.dispose()
    assert len(sizes) == 1, "equally long, or this shows nothing"
    assert sizes.pop() > 2_000_000
