"""What the documents say is so: commands, make targets, files, counts, rooms and words."""

import ast
import re
import shlex
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from curation.__main__ import app as curation
from curation.gate import readiness
from curation.personal.id_numbers import COUNTRIES
from curation.review.decisions import Reason
from curation.versions.layouts import LAYOUTS
from storage.__main__ import app as storage
from storage.settings import ROOT
from tests.support.source import nodes, sources
from training.__main__ import app as training
from training.exits.registry import EXITS
from training.settings import METHODS

APPS = {"storage": storage, "curation": curation, "training": training}
GROUPS = {name: typer.main.get_group(app) for name, app in APPS.items()}
CONTRIBUTING = ROOT / "CONTRIBUTING.md"
DOCUMENTS = sorted([ROOT / "README.md", CONTRIBUTING, *(ROOT / "docs").rglob("*.md")])
TOP = ("app.py", "pages", "curation", "training", "storage", "tests", "docs", "benchmarks")
_COMMAND = re.compile(r"-m ((?:storage|curation|training|benchmarks\.\w+)\b)([^`\n|#(]*)")
_TASKS = ROOT / "training/lifecycle/check_tasks"
COUNTS = {
    "export formats": len(LAYOUTS),
    "exits": len(EXITS),
    "readiness lines": len(readiness.KEYS),
    "reject reasons": len(Reason),
    "countries": len(COUNTRIES),
    "methods": len(METHODS),
    "general tasks": len((_TASKS / "general.jsonl").read_text().splitlines()),
    "red-team prompts": len((_TASKS / "red_team.jsonl").read_text().splitlines()),
}
"""What a document may count, and how many there are."""
_NUMBERS = re.findall(
    r"\w+",
    "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
    "sixteen seventeen eighteen nineteen twenty",
)
LEFT_AS_IT_IS = ("--send-rows", "Repeats a test row", "Set aside: could not be read whole")
"""Texts on the pages with a word that the glossary forbids: an option, a reason as it is stored,
and a text that no scan could read.
"""


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8").replace("\\\n", " ")


def _commands() -> Iterator[tuple[str, str, list[str]]]:
    """Every command that a document shows: where, its module, what follows it."""
    for path in DOCUMENTS:
        for module, rest in _COMMAND.findall(_text(path)):
            try:
                yield _name(path), module, shlex.split(rest)
            except ValueError:  # an apostrophe of the prose that follows
                yield _name(path), module, rest.split()


def _options(module: str, command: str) -> set[str]:
    entry = GROUPS[module].get_command(None, command)  # type: ignore[arg-type]
    assert entry is not None, f"{module} has no command {command}"
    return {name for param in entry.params for name in (*param.opts, *param.secondary_opts)}


OF_OURS = sorted(
    {
        (module, arguments[0])
        for _, module, arguments in _commands()
        if module in APPS
        and arguments
        and re.fullmatch(r"[a-z-]+", arguments[0].strip(".,;:"))
        and not arguments[0].startswith("-")
    }
)


@pytest.mark.parametrize("shown", OF_OURS, ids=" ".join)
def test_the_help_of_each_command_shown_reads(shown: tuple[str, str]) -> None:
    module, command = shown
    done = CliRunner().invoke(APPS[module], [command.strip(".,;:"), "--help"])
    assert (done.exit_code, "Usage:" in done.output) == (0, True), done.output


@pytest.mark.parametrize("package", APPS)
def test_the_help_of_each_package_reads(package: str) -> None:
    assert "Usage:" in CliRunner().invoke(APPS[package], ["--help"]).output


def test_the_documents_show_many_commands() -> None:
    assert len(OF_OURS) > 25


def test_each_option_shown_is_one_of_its_command() -> None:
    wrong = []
    for where, module, arguments in _commands():
        shown = {a.partition("=")[0].strip("[].,;:") for a in arguments if re.match(r"\[?--\w", a)}
        if module in APPS and (module, arguments[0] if arguments else "") in OF_OURS:
            missing = shown - {"--help"} - _options(module, arguments[0])
        elif module.startswith("benchmarks."):
            file = (ROOT / module.replace(".", "/")).with_suffix(".py")
            missing = {option for option in shown if option not in file.read_text()}
        else:
            continue
        wrong += [f"{where}: {module} {arguments[0]} {option}" for option in sorted(missing)]
    assert wrong == []


def test_each_make_target_shown_is_in_the_makefile() -> None:
    targets = set(re.findall(r"^([a-z-]+):(?!=)", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for path in DOCUMENTS:
        text = _text(path)
        shown = re.findall(r"`make ([a-z-]+)|^make ([a-z-]+)", text, re.MULTILINE)
        assert {a or b for a, b in shown} <= targets, _name(path)


def _paths(text: str) -> Iterator[str]:
    """What a document names that begins like a file or folder of ours."""
    tops = "|".join(map(re.escape, TOP))
    yield from re.findall(rf"(?<![\w./])((?:{tops})/[\w./-]*\w/?)", text)


@pytest.mark.parametrize("path", DOCUMENTS, ids=_name)
def test_each_file_named_exists(path: Path) -> None:
    text = _text(path)
    linked = re.findall(r"\]\((?!https?:)([^)#]+)", text)
    assert [name for name in _paths(text) if not (ROOT / name).exists()] == []
    assert [name for name in linked if not (path.parent / name).exists()] == []


@pytest.mark.parametrize("path", DOCUMENTS, ids=_name)
def test_each_module_named_exists(path: Path) -> None:
    for name in re.findall(r"`((?:storage|curation|training|pages)(?:\.\w+)+)`", _text(path)):
        module, _, attribute = name.rpartition(".")
        holder = import_module(module)
        assert hasattr(holder, attribute) or import_module(name), name


@pytest.mark.parametrize("path", DOCUMENTS, ids=_name)
def test_what_is_counted_is_so_many(path: Path) -> None:
    numbers, text = "|".join((r"\d+", *_NUMBERS)), " ".join(_text(path).split())
    for noun, count in COUNTS.items():
        for number in re.findall(rf"(?<![\w-])({numbers}) {noun}\b", text, re.IGNORECASE):
            n = int(number) if number.isdigit() else _NUMBERS.index(number.lower()) + 1
            assert n == count, f"{number} {noun}"


def _section(title: str) -> str:
    return _text(CONTRIBUTING).split(f"\n## {title}\n", 1)[1].split("\n## ", 1)[0]


def _table(title: str) -> list[list[str]]:
    """The cells of a section's table, without its head."""
    lines = [line for line in _section(title).splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


@pytest.mark.parametrize("package", ["curation", "training", "pages"])
def test_the_tree_names_every_room(package: str) -> None:
    tree = _section("The tree").split(f"\n{package}/", 1)[1]
    block = re.split(r"\n(?=\w)", tree, maxsplit=1)[0]
    listed = set(re.findall(r"^ {2}((?:\w+/ ?)+)", block, re.MULTILINE))
    rooms = {p.relative_to(ROOT / package).parts[0] for p in sources(package) if p.parent.name}
    folders = {room for room in rooms if (ROOT / package / room).is_dir()}
    assert {name for line in listed for name in line.replace("/", " ").split()} == folders


@pytest.mark.parametrize("row", _table("Recipes"), ids=lambda row: row[0])
def test_a_recipe_names_what_is_in_its_files(row: list[str]) -> None:
    files = [ROOT / name for name in _paths(row[1]) if (ROOT / name).is_file()]
    text = "\n".join(file.read_text(encoding="utf-8") for file in files)
    names = [name for name in re.findall(r"`(\w+)`", row[1]) if name not in ("prepare", "ingest")]
    assert files
    assert [name for name in names if name not in text] == []


def _on_screen(path: Path) -> Iterator[str]:
    """What a page's file may draw: its texts, without docstrings, keys and addresses."""
    quiet = {id(node.value) for node in nodes(path) if isinstance(node, ast.Expr)}
    for node in nodes(path):
        match node:
            case ast.Constant(value=str(text)) if id(node) not in quiet:
                if " " in text.strip() or text[:1].isupper():
                    yield text


def test_the_pages_keep_to_the_glossary() -> None:
    words = [word.strip() for row in _table("Glossary") for word in row[2].split(",") if word]
    forbidden = re.compile(rf"\b({'|'.join(filter(None, words))})s?\b", re.IGNORECASE)
    assert "evaluation" in words
    wrong = [
        f"{_name(path)}: {text}"
        for path in sources("pages")
        for text in _on_screen(path)
        if forbidden.search(text) and not any(part in text for part in LEFT_AS_IT_IS)
    ]
    assert wrong == []
