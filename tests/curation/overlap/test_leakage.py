"""Leaks from training into test: each way found, once, with the strongest reason."""

from curation.overlap.leakage import How, SourcedInput, leaks

ASK = "I paid with my card at a shop on Sunday and was charged twice for the same coffee"


def test_each_way_of_leaking_is_found_and_named() -> None:
    test = [SourcedInput(10, ASK, "mail-1"), SourcedInput(11, "How do I close my account?", None)]
    train = [
        SourcedInput(1, ASK, "mail-1"),
        SourcedInput(2, ASK.upper() + "!!", "mail-2"),
        SourcedInput(3, "Hello, " + ASK, None),
        SourcedInput(4, "What a lovely day it is", "mail-1"),
        SourcedInput(5, "What a lovely day it is", None),
        SourcedInput(6, "how do i close my account", ""),
    ]
    found = leaks(train, test)
    assert [(leak.train_id, leak.test_id, leak.how) for leak in found] == [
        (1, 10, How.EXACT),
        (2, 10, How.NORMALISED),
        (3, 10, How.NEAR),
        (4, 10, How.SOURCE),
        (6, 11, How.NORMALISED),
    ]
    assert found[0].similarity == found[1].similarity == 1
    assert 0.8 <= found[2].similarity < 1
    assert found[3].similarity < 0.2


def test_every_copy_leaks_into_every_copy() -> None:
    train = [SourcedInput(n, ASK) for n in range(100)]
    test = [SourcedInput(1_000 + n, "Hello, " + ASK) for n in range(100)]
    assert len(leaks(train, test)) == 10_000


def test_nothing_leaks_within_one_side_or_through_nothing() -> None:
    assert leaks([SourcedInput(1, ASK), SourcedInput(2, ASK)], []) == []
    assert leaks([SourcedInput(1, "", None)], [SourcedInput(2, "", None)]) == []
    assert leaks([SourcedInput(1, "one thing", "")], [SourcedInput(2, "quite another", "")]) == []
