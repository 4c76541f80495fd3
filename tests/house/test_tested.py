"""The page "How Assay is tested" names every numbered test, and no other."""

import re

from benchmarks.tested import PAGE, TESTS
from storage.settings import ROOT

_BORNE = re.compile(r"pytest\.mark\.(T\d\d)")


def test_every_number_that_a_test_bears_is_on_the_page() -> None:
    files = (ROOT / "tests").rglob("test_*.py")
    borne = {number for path in files for number in _BORNE.findall(path.read_text("utf-8"))}
    assert borne == set(TESTS)
    assert re.findall(r"^## (T\d\d)$", PAGE.read_text("utf-8"), re.M) == list(TESTS)
