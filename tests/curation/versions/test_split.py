"""The split keeps its promises for any rows: whole groups, pins, shares, order, stability."""

from collections import Counter, defaultdict

import pytest
from hypothesis import given, settings, strategies as st

from curation.versions.split import SHARES, Item, split
from storage.errors import BadInput
from storage.types import Split

PARTS = (Split.TRAIN, Split.VALIDATION, Split.TEST)
pins = st.sampled_from([None, None, None, None, *PARTS])


@st.composite
def item_lists(draw: st.DrawFn) -> list[Item]:
    """Rows with a few strata, some groups, some pins."""
    rows = draw(
        st.lists(
            st.tuples(st.integers(0, 60), st.sampled_from("abc"), pins), min_size=1, max_size=80
        )
    )
    return [Item(n, f"g{group}", stratum, pin) for n, (group, stratum, pin) in enumerate(rows)]


def singles(count: int, strata: int, first: int = 0) -> list[Item]:
    return [Item(n, f"row {n}", f"label {n % strata}") for n in range(first, first + count)]


@settings(max_examples=150, deadline=None)
@given(item_lists(), st.integers(0, 5))
def test_groups_stay_whole_pins_hold_and_order_does_not_matter(
    items: list[Item], seed: int
) -> None:
    parts = split(items, seed=seed)
    assert set(parts) == {item.id for item in items}
    together = defaultdict(set)
    for item in items:
        together[item.group].add(parts[item.id])
    assert all(len(where) == 1 for where in together.values())
    for item in items:
        if item.pinned is Split.TEST:
            assert parts[item.id] is Split.TEST
    shuffled = sorted(items, key=lambda item: (hash((seed, item.group)), -item.id))
    assert split(shuffled, seed=seed) == parts


@pytest.mark.parametrize("count", [20, 50, 203, 1_000, 4_999])
@pytest.mark.parametrize("strata", [1, 8, 77])
def test_the_shares_hold_within_one_per_cent(count: int, strata: int) -> None:
    counts = Counter(split(singles(count, strata), seed=3).values())
    for part, share in zip(PARTS, SHARES, strict=True):
        assert abs(counts[part] - share * count) <= max(1, 0.01 * count)


def test_the_shares_hold_with_groups_and_pinned_test_rows() -> None:
    items = [
        Item(n, f"g{n // 3 if n % 2 else n}", f"s{n % 5}", Split.TEST if n < 40 else None)
        for n in range(300)
    ]
    counts = Counter(split(items).values())
    for part, share in zip(PARTS, SHARES, strict=True):
        assert abs(counts[part] / 300 - share) <= 0.01


def test_each_stratum_is_shared_out_alike() -> None:
    items = singles(800, 8)
    parts = split(items)
    for label in {item.stratum for item in items}:
        counts = Counter(parts[item.id] for item in items if item.stratum == label)
        assert abs(counts[Split.TEST] - 20) <= 1
        assert abs(counts[Split.VALIDATION] - 16) <= 1


def test_more_pinned_test_rows_than_asked_leave_the_rest_in_proportion() -> None:
    items = [Item(n, str(n), "", Split.TEST if n < 100 else None) for n in range(200)]
    counts = Counter(split(items).values())
    assert counts == {Split.TEST: 100, Split.TRAIN: 80, Split.VALIDATION: 20}


def test_a_pinned_row_takes_its_group_along() -> None:
    items = [
        Item(1, "g", "", Split.TRAIN),
        Item(2, "g", "", Split.TEST),
        Item(3, "g", ""),
        Item(4, "h", "", Split.TRAIN),
        Item(5, "h", "", Split.VALIDATION),
        Item(6, "i", "", Split.TRAIN),
    ]
    parts = split(items)
    assert {parts[n] for n in (1, 2, 3)} == {Split.TEST}
    assert {parts[n] for n in (4, 5)} == {Split.VALIDATION}
    assert parts[6] is Split.TRAIN


def test_added_rows_move_few_others() -> None:
    before = split(singles(1_000, 8))
    after = split(singles(1_020, 8))
    assert sum(after[row] is not part for row, part in before.items()) <= 30


def test_another_seed_gives_another_split() -> None:
    items = singles(200, 4)
    assert split(items, seed=1) == split(items, seed=1) != split(items, seed=2)


def test_one_huge_group_goes_to_training() -> None:
    items = [Item(n, "all" if n < 90 else str(n), "") for n in range(100)]
    counts = Counter(split(items).values())
    assert counts[Split.TRAIN] >= 90


def test_no_rows_give_no_parts_and_nonsense_is_refused() -> None:
    assert split([]) == {}
    for shares in ((0.5, 0.5, 0.0), (0.6, 0.3, 0.3)):
        with pytest.raises(BadInput):
            split(singles(9, 1), shares)
    with pytest.raises(BadInput):
        split([Item(1, "a", ""), Item(1, "b", "")])
