"""Pages cost the same however many pairs there are: `benchmarks.growth` at 1,000 and 10,000."""

from pathlib import Path

import pytest

from benchmarks import growth
from benchmarks.measuring import Cost

MORE_STATEMENTS = 6
"""A figure that is read from what was kept, not counted anew, asks for that."""
MORE_ROWS = 300
"""Ten times the pairs fill lists that were not full: of what is to do, the first 300 are named."""


@pytest.mark.timeout(1800)
def test_no_page_asks_for_more_of_ten_times_the_pairs(tmp_path: Path) -> None:
    small, large = (
        _pages(growth.alone(n, None, tmp_path, pages_only=True)) for n in (1_000, 10_000)
    )
    assert small.keys() == large.keys()
    grown = {
        name: (cost.statements, large[name].statements, cost.rows, large[name].rows)
        for name, cost in small.items()
        if large[name].statements > cost.statements + MORE_STATEMENTS
        or large[name].rows > cost.rows + MORE_ROWS
    }
    assert grown == {}


def _pages(costs: list[Cost]) -> dict[str, Cost]:
    return {cost.name: cost for cost in costs if cost.kind == "page" and "first" not in cost.name}
