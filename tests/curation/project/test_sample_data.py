"""The sample project's files hold what its README and its list of planted faults say they hold."""

import csv
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache
from itertools import combinations
from typing import Any, NamedTuple

import jsonschema
import pytest

from storage.settings import ROOT

SAMPLE = ROOT / "sample_data"
IMPORTS = ("import.csv", "import.jsonl")
FILES = ("gold.jsonl", *IMPORTS, "held_out.jsonl")
PAIR_KINDS = ("exact_duplicates", "near_duplicates", "contradictions")

Spot = tuple[str, int]
Words = Callable[[str], list[str]]


class Row(NamedTuple):
    """One pair as it stands in a file, with the policy era it claims."""

    prompt: str
    response: str
    era: str

    @property
    def text(self) -> str:
        """Message and answer together, the text that near duplicates are measured on."""
        return f"{self.prompt}\n{self.response}"


def by_blanks(text: str) -> list[str]:
    """Words as split at white space, punctuation kept."""
    return text.lower().split()


def by_letters(text: str) -> list[str]:
    """Words as runs of letters and digits, punctuation dropped."""
    return re.findall(r"\w+", text.lower())


@cache
def shingles(text: str, words: Words) -> frozenset[tuple[str, ...]]:
    """The distinct runs of three words."""
    found = words(text)
    return frozenset(tuple(found[at : at + 3]) for at in range(max(1, len(found) - 2)))


def jaccard(left: str, right: str, words: Words) -> float:
    """Shared shingles over all shingles."""
    one, two = shingles(left, words), shingles(right, words)
    return len(one & two) / len(one | two)


def closeness(left: str, right: str) -> float:
    """The lower Jaccard of the two ways to cut words, so that a detector may use either."""
    return min(jaccard(left, right, by_blanks), jaccard(left, right, by_letters))


def lines(name: str) -> list[dict[str, Any]]:
    """The objects of a JSONL file."""
    return [json.loads(line) for line in (SAMPLE / name).read_text("utf-8").splitlines()]


def row_of(record: dict[str, Any]) -> Row:
    """A pair from a JSONL object, chat or flat."""
    era = record.get("policy", record.get("era", ""))
    if "messages" not in record:
        return Row(record["prompt"], record["response"], era)
    said = {message["role"]: message["content"] for message in record["messages"]}
    return Row(said["user"], said["assistant"], era)


def csv_rows() -> list[Row]:
    """The pairs of the CSV, blanks around a message stripped."""
    with (SAMPLE / "import.csv").open(encoding="utf-8-sig", newline="") as handle:
        return [
            Row(line["Customer message "].strip(), line["Routing answer"], line["policy"])
            for line in csv.DictReader(handle)
        ]


@cache
def rows() -> dict[Spot, Row]:
    """Every pair of the sample project under its file and its record number, from 1."""
    found = {("import.csv", at): row for at, row in enumerate(csv_rows(), 1)}
    for name in FILES:
        if name != "import.csv":
            found |= {(name, at): row_of(line) for at, line in enumerate(lines(name), 1)}
    return found


@cache
def project() -> dict[str, Any]:
    """The project file."""
    loaded: dict[str, Any] = json.loads((SAMPLE / "project.json").read_text("utf-8"))
    return loaded


@cache
def planted() -> dict[str, list[dict[str, Any]]]:
    """The list of planted faults."""
    loaded: dict[str, list[dict[str, Any]]] = json.loads(
        (SAMPLE / "planted.json").read_text("utf-8")
    )
    return loaded


def spot(entry: dict[str, Any]) -> Spot:
    """The planted row of an entry."""
    where = entry.get("b", entry)
    return where["file"], where.get("record", where.get("line"))


def spots(kind: str) -> set[Spot]:
    """The planted rows of a kind."""
    return {spot(entry) for entry in planted()[kind]}


def all_planted() -> set[Spot]:
    """Every row that carries a planted fault of any kind."""
    return {found for kind in planted() for found in spots(kind)}


def clean() -> dict[Spot, Row]:
    """The rows that nothing was planted in."""
    bad = all_planted()
    return {where: row for where, row in rows().items() if where not in bad}


def pairs_of(kind: str) -> Iterator[tuple[Spot, Spot]]:
    """The kept and the planted row of each entry of a kind."""
    for entry in planted()[kind]:
        yield (entry["a"]["file"], entry["a"]["record"]), spot(entry)


def follows_schema(response: str) -> bool:
    """Whether an answer is JSON that the project's schema accepts, with its keys in order."""
    schema = project()["output_schema"]
    try:
        answer = json.loads(response)
    except ValueError:
        return False
    return jsonschema.Draft202012Validator(schema).is_valid(answer) and list(answer) == list(
        schema["properties"]
    )


def test_project_file_names_a_task_a_short_system_message_and_two_eras() -> None:
    schema = project()["output_schema"]
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["additionalProperties"] is False
    sizes = {key: len(rule["enum"]) for key, rule in schema["properties"].items()}
    assert sizes == {"team": 8, "urgency": 3, "next_step": 10}
    message = project()["system_message"]
    for key in ("team", "urgency"):
        assert all(label in message for label in schema["properties"][key]["enum"])
    assert len(message.split()) * 1.5 < 110
    assert [era["retired"] for era in project()["eras"]] == [True, False]


def test_every_file_has_the_promised_number_of_rows() -> None:
    counts = Counter(name for name, _ in rows())
    assert counts == {
        "gold.jsonl": 64,
        "import.csv": 150,
        "import.jsonl": 110,
        "held_out.jsonl": 40,
    }
    assert sum(name in IMPORTS for name, _ in clean()) >= 200


@pytest.mark.parametrize(("name", "each"), [("gold.jsonl", 8), ("held_out.jsonl", 5)])
def test_author_written_files_are_balanced_and_tagged(name: str, each: int) -> None:
    answers = [json.loads(row.response) for (file, _), row in rows().items() if file == name]
    teams = Counter(answer["team"] for answer in answers)
    assert set(teams.values()) == {each}
    assert min(Counter(answer["urgency"] for answer in answers).values()) >= len(answers) // 5
    assert len(teams) == 8
    assert all(line["topic"] for line in lines(name))


def test_clean_imports_teach_every_team_and_every_urgency() -> None:
    answers = [json.loads(row.response) for (name, _), row in clean().items() if name in IMPORTS]
    for key, least in (("team", 20), ("urgency", 40)):
        counts = Counter(answer[key] for answer in answers)
        assert min(counts.values()) >= least
    assert len({answer["team"] for answer in answers}) == 8


def test_csv_is_as_messy_as_a_real_export() -> None:
    raw = (SAMPLE / "import.csv").read_bytes()
    assert raw.startswith(
        b"\xef\xbb\xbfTicket No,Customer message ,Routing answer,notes,policy\r\n"
    )
    with (SAMPLE / "import.csv").open(encoding="utf-8-sig", newline="") as handle:
        cells = [line["Customer message "] for line in csv.DictReader(handle)]
    assert sum("\n" in cell for cell in cells) >= 5
    assert sum(";" in cell for cell in cells) >= 5
    assert sum(cell != cell.strip() for cell in cells) >= 5
    assert {b'"AB', b"\r\nAB"} <= set(re.findall(rb'"AB|\r\nAB', raw))


def test_jsonl_mixes_chat_and_flat_rows_under_one_system_message() -> None:
    records = lines("import.jsonl")
    chats = [record["messages"] for record in records if "messages" in record]
    assert 40 <= len(chats) <= 70
    assert {chat[0]["content"] for chat in chats} == {project()["system_message"]}
    assert len({record["source"] for record in records}) == len(records)


def test_exactly_the_planted_answers_break_the_schema() -> None:
    broken = {where for where, row in rows().items() if not follows_schema(row.response)}
    assert broken == spots("schema_violations")
    kinds = {entry["what"] for entry in planted()["schema_violations"]}
    assert kinds >= {"missing_key", "unknown_label", "not_json", "extra_key", "wrong_urgency"}
    assert "trailing_text" in kinds


def test_next_step_of_every_valid_row_is_the_one_in_the_guidelines() -> None:
    guide = (SAMPLE / "guidelines.md").read_text("utf-8").split("## 3.")[1]
    table = dict(re.findall(r"^\| (\w+) \| (\w[^|]+ \| [^|]+) \|$", guide, re.MULTILINE))
    for row in (row for row in rows().values() if follows_schema(row.response)):
        answer = json.loads(row.response)
        usual, when_high = table[answer["team"]].split(" | ")
        assert answer["next_step"] == (when_high if answer["urgency"] == "high" else usual)


def test_exactly_the_planted_rows_belong_to_the_retired_era() -> None:
    retired = next(era for era in project()["eras"] if era["retired"])
    phrases = [phrase.lower() for phrase in retired["phrases"]]
    tagged = {where for where, row in rows().items() if row.era == retired["name"]}
    worded = {
        where
        for where, row in rows().items()
        if any(phrase in row.text.lower() for phrase in phrases)
    }
    listed = {"tag": set[Spot](), "wording": set[Spot]()}
    for entry in planted()["retired_era"]:
        listed[entry["how"]].add(spot(entry))
    assert listed == {"tag": tagged, "wording": worded}
    assert len(tagged | worded) >= 6


def test_personal_data_of_ten_kinds_stands_where_the_list_says() -> None:
    entries = planted()["personal_data"]
    assert all(entry["text"] in rows()[spot(entry)].prompt for entry in entries)
    kinds = Counter(entry["type"] for entry in entries)
    assert len(kinds) == 10
    assert min(kinds.values()) >= 2


def test_planted_card_and_account_numbers_pass_their_checksums() -> None:
    texts: dict[str, list[str]] = {"CREDIT_CARD": [], "IBAN_CODE": []}
    for entry in planted()["personal_data"]:
        texts.get(entry["type"], []).append(entry["text"].replace(" ", ""))
    for card in texts["CREDIT_CARD"]:
        doubled = [int(digit) * (1 + at % 2) for at, digit in enumerate(reversed(card))]
        assert sum(value - 9 * (value > 9) for value in doubled) % 10 == 0
    for iban in texts["IBAN_CODE"]:
        assert int("".join(str(int(sign, 36)) for sign in iban[4:] + iban[:4])) % 97 == 1


def test_other_rows_hold_no_number_address_or_link() -> None:
    personal = spots("personal_data") | spots("unsafe")
    for where, row in rows().items():
        assert where in personal or not re.search(r"\d|@|://|www\.", row.prompt), where


def test_exactly_the_planted_rows_are_unsafe() -> None:
    signs = {
        "html": r"</?[a-z]+[ >]",
        "script": r"<script",
        "remote_image": r"<img|!\[[^\]]*\]\(http",
        "zero_width": "[\u200b\u200c\u200d\u2060\ufeff]",
    }
    found = {
        (*where, what)
        for where, row in rows().items()
        for what, sign in signs.items()
        if re.search(sign, row.text)
    }
    assert found == {(*spot(entry), entry["what"]) for entry in planted()["unsafe"]}
    assert len(spots("unsafe")) >= 5


def test_planted_duplicates_and_contradictions_are_as_close_as_stated() -> None:
    for kept, copy in pairs_of("exact_duplicates"):
        assert rows()[kept][:2] == rows()[copy][:2]
    for kept, copy in pairs_of("near_duplicates"):
        one, two = rows()[kept], rows()[copy]
        assert one.prompt != two.prompt
        assert one.response == two.response
        assert min(closeness(one.text, two.text), closeness(one.prompt, two.prompt)) >= 0.8
    for kept, copy in pairs_of("contradictions"):
        one, two = rows()[kept], rows()[copy]
        assert one.response != two.response
        assert closeness(one.prompt, two.prompt) >= 0.8
    sizes = {kind: len(planted()[kind]) for kind in PAIR_KINDS}
    assert sizes == {"exact_duplicates": 6, "near_duplicates": 8, "contradictions": 7}


def test_leaks_repeat_a_held_out_pair() -> None:
    for entry in planted()["leaks"]:
        leaked, held = rows()[spot(entry)], rows()["held_out.jsonl", entry["held_out"]]
        assert closeness(leaked.text, held.text) >= 0.8
        assert leaked.response == held.response
    assert len(planted()["leaks"]) >= 4


def test_no_two_rows_are_close_unless_the_list_says_so() -> None:
    told = {frozenset(pair) for kind in PAIR_KINDS for pair in pairs_of(kind)}
    told |= {
        frozenset({spot(entry), ("held_out.jsonl", entry["held_out"])})
        for entry in planted()["leaks"]
    }
    for (here, one), (there, two) in combinations(rows().items(), 2):
        near = max(jaccard(one.prompt, two.prompt, cut) for cut in (by_blanks, by_letters))
        assert near < 0.5 or frozenset({here, there}) in told, (here, there, near)


def test_kept_side_of_every_pair_is_clean() -> None:
    kept = {first for kind in PAIR_KINDS for first, _ in pairs_of(kind)}
    assert kept <= set(clean())
    assert all(name in IMPORTS for name, _ in all_planted())
