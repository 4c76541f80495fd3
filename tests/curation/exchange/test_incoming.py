"""From a stranger's table to pairs: guessed columns, preview, refusals by line."""

import pytest

from curation.exchange import columns, incoming
from curation.exchange.incoming import Incoming
from curation.exchange.source import Refusal, Refused, Table, TableRow, Value
from curation.versions.layout import ColumnMapping
from storage.errors import BadInput

SYSTEM = "Route the message."


def table_of(*rows: dict[str, Value], kind: str = "CSV") -> Table:
    columns = tuple(dict.fromkeys(name for row in rows for name in row))
    return Table(columns, [TableRow(i, r) for i, r in enumerate(rows, 2)], kind, "0" * 64)


def chat(*messages: tuple[str, str]) -> Value:
    return [{"role": role, "content": content} for role, content in messages]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["prompt", "response"], ColumnMapping(prompt="prompt", response="response")),
        (
            ["Ticket No.", "Customer message ", "Agent reply", "Policy era", "Category"],
            ColumnMapping(
                prompt="Customer message ",
                response="Agent reply",
                era="Policy era",
                topic="Category",
                source="Ticket No.",
            ),
        ),
        (
            ["id", "systemPrompt", "instruction", "output"],
            ColumnMapping(
                prompt="instruction", response="output", system="systemPrompt", source="id"
            ),
        ),
        (
            ["QUESTION", "expected_output"],
            ColumnMapping(prompt="QUESTION", response="expected_output"),
        ),
    ],
)
def test_columns_are_guessed_from_their_names(names: list[str], expected: ColumnMapping) -> None:
    assert columns.suggest(table_of(dict.fromkeys(names, "x"))) == expected


def test_columns_are_guessed_from_their_cells() -> None:
    row: dict[str, Value] = {"b": '{"team": "cards"}', "c": "7", "a": "Where is my new card?"}
    assert columns.suggest(table_of(row)) == ColumnMapping(prompt="a", response="b")


def test_a_chat_column_stands_for_prompt_and_response() -> None:
    found = columns.suggest(table_of({"messages": chat(("user", "a")), "id": "1"}, kind="JSONL"))
    assert found == ColumnMapping(messages="messages", source="id")
    written = '[{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]'
    assert columns.suggest(table_of({"messages": written})) == ColumnMapping(messages="messages")
    preview = incoming.apply(
        table_of({"messages": written}), ColumnMapping(messages="messages"), SYSTEM
    )
    assert preview.rows == (Incoming(2, "a", "b", None, None, None),)


def test_text_is_trimmed_outside_and_kept_inside() -> None:
    rows = table_of(
        {"p": "  a\u200b  b\r\n", "r": "\tcafe\u0301 <b>x</b>", "era": " 2023 ", "x": "1"}
    )
    preview = incoming.apply(rows, ColumnMapping(prompt="p", response="r", era="era"), SYSTEM)
    assert preview.take("a.csv") == (
        Incoming(2, "a\u200b  b", "cafe\u0301 <b>x</b>", "2023", None, None),
    )
    assert preview.notes == (
        'Columns left out: "x".',
        "1 row with invisible characters; they are kept and shown as ⟦U+200B⟧.",
        "1 row with HTML, links or images; they are kept as text and nothing is loaded.",
        "1 row with letters and accents stored apart (not NFC); kept as they are.",
    )


def test_another_system_message_is_counted_not_refused() -> None:
    rows = table_of(
        {"messages": chat(("system", "Be rude."), ("user", "a"), ("assistant", "b"))},
        {"messages": chat(("system", SYSTEM), ("user", "c"), ("assistant", "d"))},
        {"messages": [{"from": "human", "value": "e"}, {"from": "gpt", "value": "f"}]},
    )
    preview = incoming.apply(rows, ColumnMapping(messages="messages"), SYSTEM)
    assert [(row.prompt, row.response) for row in preview.rows] == [
        ("a", "b"),
        ("c", "d"),
        ("e", "f"),
    ]
    assert preview.foreign_system == 1


@pytest.mark.parametrize(
    ("messages", "why"),
    [
        (
            chat(("user", "a"), ("assistant", "b"), ("user", "c"), ("assistant", "d")),
            "it is a chat of 4 messages; a pair is one user and one assistant message",
        ),
        (
            chat(("user", "a"), ("system", "s"), ("assistant", "b")),
            "its system message does not stand first, or there are two",
        ),
        (chat(("assistant", "b")), "it needs one user message and then one assistant message"),
        (
            chat(("user", "a"), ("tool", "b")),
            "it has a message that is neither system, user nor assistant; take such rows out",
        ),
        ([{"role": "user", "content": 5}], "a message lacks a role or a content that is text"),
        (["a"], "a message is not an object with role and content"),
        ([], "it has no list of messages"),
        ("[" * 100_000, "its list of messages is not valid JSON"),
        (chat(("user", " \u200b "), ("assistant", "b")), "its input is empty"),
        (chat(("user", "a"), ("assistant", "")), "its output is empty"),
    ],
)
def test_chats_that_are_no_pair(messages: Value, why: str) -> None:
    good = chat(("user", "a"), ("assistant", "b"))
    preview = incoming.apply(
        table_of({"messages": good}, {"messages": messages}),
        ColumnMapping(messages="messages"),
        SYSTEM,
    )
    assert preview.refusals == (Refusal(3, why),)
    with pytest.raises(Refused) as refusal:
        preview.take("chats.jsonl")
    assert str(refusal.value) == f"Nothing of chats.jsonl was imported: line 3: {why}."


def test_every_refusal_is_counted_and_a_hundred_listed() -> None:
    row: dict[str, Value] = {"prompt": "", "response": "x"}
    rows = table_of(*[row] * 250)
    preview = incoming.apply(rows, columns.suggest(rows), SYSTEM)
    assert (len(preview.refusals), preview.refused, preview.rows) == (100, 250, ())


@pytest.mark.parametrize(
    ("mapping", "expected"),
    [
        (
            ColumnMapping(prompt="p"),
            "Choose the column that holds the input and the one that holds the output.",
        ),
        (ColumnMapping("p", "p"), "Input and output name the same column; choose two."),
        (ColumnMapping("p", "q"), 'The file has no column "q"; choose one that it has.'),
    ],
)
def test_a_mapping_that_cannot_work(mapping: ColumnMapping, expected: str) -> None:
    with pytest.raises(BadInput) as refusal:
        incoming.apply(table_of({"p": "a"}), mapping, SYSTEM)
    assert str(refusal.value) == expected
