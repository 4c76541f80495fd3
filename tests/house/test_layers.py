"""What may import what, and what a page may not do: the layout, held by reading the code."""

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from storage.settings import ROOT
from tests.support.source import imports, nodes, sources, tree

LAYERS = ("storage", "curation", "training", "pages")
MODELS = ("torch", "transformers", "peft", "trl", "accelerate", "bitsandbytes", "safetensors")
FORBIDDEN: dict[str, tuple[str, ...]] = {
    "storage": ("streamlit", "pandas", *MODELS, "presidio_analyzer", "datasketch"),
    "curation": ("streamlit", "torch", "transformers", "peft", "trl"),
    "training": ("streamlit",),
    "pages": (
        *MODELS,
        "presidio_analyzer",
        "datasketch",
        "spacy",
        "storage.tables",
        "sqlalchemy.select",
    ),
}
FLOORS: dict[str, tuple[tuple[str, ...], ...]] = {
    "curation": (
        ("commands",),
        ("gate",),
        ("project",),
        ("policy",),
        ("health",),
        ("exchange",),
        ("versions",),
        ("overlap",),
        ("personal", "review"),
        ("schema_check", "statistics", "visible"),
        ("strict_json",),
    ),
    "training": (
        ("commands",),
        ("progress",),
        ("reports",),
        ("reconcile", "asks", "worker"),
        ("kinds",),
        ("chores", "scans"),
        ("exits",),
        ("lifecycle",),
        ("draft",),
        ("proving",),
        ("launch",),
        ("tuning", "hosted"),
        ("models",),
        ("work",),
        ("records",),
        ("settings",),
        ("families", "described"),
    ),
    "pages": (
        ("account", "label", "curate", "train", "prove", "operate"),
        ("parts",),
        ("frame",),
    ),
}
"""The rooms of a package from the top down: each imports lower ones only, and none beside it."""
ONLY_IN = {
    "presidio_analyzer": "curation/personal/presidio.py",
    "presidio_anonymizer": "curation/personal/presidio.py",
    "datasketch": "curation/overlap/near/minhash.py",
}
SLOW = {"torch", "transformers", "peft", "trl", "presidio_analyzer", "spacy", "datasketch"}
PAGES = sorted((ROOT / "pages").glob("*/*/page.py"))
OPEN_TO_ALL = {ROOT / "pages/account/sign_in/page.py"}
MARKDOWN_OF_OURS = {ROOT / "pages/frame/shell.py"}
"""Where Markdown is made from a variable: `shell.note`, which escapes it first."""


def _within(name: str, package: str) -> bool:
    return name == package or name.startswith(package + ".")


@pytest.mark.parametrize("layer", LAYERS)
def test_imports_point_downwards(layer: str) -> None:
    higher = (*LAYERS[LAYERS.index(layer) + 1 :], "app", "tests")
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in sources(layer)
        for name in imports(path)
        if any(_within(name, banned) for banned in (*higher, *FORBIDDEN[layer]))
    ]
    assert wrong == []


def _module(path: Path) -> str:
    """The name under which a file is imported."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _depends() -> dict[str, set[str]]:
    """The modules of ours that each one imports, wherever the import stands: inside a function and
    for type checking too.
    """
    modules = {_module(path): path for path in [*sources(*LAYERS), ROOT / "app.py"]}
    return {
        module: {name for name in imports(path) if name in modules} - {module}
        for module, path in modules.items()
    }


def _page(module: str) -> str:
    """The page to which a module of a section belongs; "" elsewhere."""
    parts = module.split(".")
    return ".".join(parts[:3]) if len(parts) > 3 and parts[1] in FLOORS["pages"][0] else ""


def test_no_page_draws_with_the_parts_of_another() -> None:
    wrong = [
        f"{module} imports {name}"
        for module, names in _depends().items()
        for name in names
        if _page(module) and _page(name) not in ("", _page(module))
    ]
    assert wrong == []


def _drawn_by(part: str, depends: dict[str, set[str]]) -> set[str]:
    """The pages that import a part, by itself or through another part."""
    users = {module for module, names in depends.items() if part in names}
    pages = {_page(module) for module in users} - {""}
    for module in users:
        if _within(module, "pages.parts"):
            pages |= _drawn_by(module, depends)
    return pages


def test_a_part_is_drawn_by_two_pages_or_more() -> None:
    depends = _depends()
    parts = {_module(path) for path in sources("pages/parts") if path.name != "__init__.py"}
    assert [part for part in sorted(parts) if len(_drawn_by(part, depends)) < 2] == []


def _room(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


@pytest.mark.parametrize("package", FLOORS)
def test_rooms_import_lower_rooms_only(package: str) -> None:
    floors = {room: at for at, rooms in enumerate(FLOORS[package]) for room in rooms}
    wrong = [
        f"{module} imports {name}"
        for module, names in _depends().items()
        for name in names
        if _within(module, package) and _within(name, package) and _room(name)
        if _room(module) != _room(name) and floors[_room(module)] >= floors[_room(name)]
    ]
    assert wrong == []


def test_no_imports_go_in_a_circle() -> None:
    depends = _depends()
    while leaves := {module for module, names in depends.items() if not names & depends.keys()}:
        depends = {module: names for module, names in depends.items() if module not in leaves}
    assert depends == {}, "these import each other, or what does"


@pytest.mark.parametrize("package", ONLY_IN)
def test_some_packages_have_one_home(package: str) -> None:
    homes = {
        str(path.relative_to(ROOT))
        for path in sources(*LAYERS)
        for name in imports(path)
        if _within(name, package)
    }
    assert homes <= {ONLY_IN[package]}


def test_no_page_lies_directly_in_pages() -> None:
    # Streamlit would run it without app.py, so without asking who is there.
    assert list((ROOT / "pages").glob("*.py")) == []


def _acts(node: ast.stmt) -> bool:
    """Whether a statement at the top of a module does more than define something."""
    if isinstance(node, ast.Import | ast.ImportFrom | ast.FunctionDef | ast.ClassDef):
        return False
    return any(isinstance(part, ast.Call) for part in ast.walk(node))


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.parent.name)
def test_each_page_first_asks_who_is_there(path: Path) -> None:
    if path in OPEN_TO_ALL:
        return
    first = next(node for node in tree(path).body if _acts(node))
    assert ast.unparse(first).endswith("require_user()"), ast.unparse(first)


def _calls(path: Path) -> Iterator[ast.Call]:
    return (node for node in nodes(path) if isinstance(node, ast.Call))


def _is_ours(words: ast.expr) -> bool:
    """Whether a text is fixed in the code: a literal, or a constant by its name."""
    return isinstance(words, ast.Constant) or (isinstance(words, ast.Name) and words.id.isupper())


@pytest.mark.parametrize(
    "path", sources("pages"), ids=lambda path: path.relative_to(ROOT).as_posix()
)
def test_pages_never_draw_html_or_markdown_from_data(path: Path) -> None:
    for call in _calls(path):
        receiver, _, name = ast.unparse(call.func).rpartition(".")
        where = f"line {call.lineno}: {receiver}.{name}"
        assert all(item.arg != "unsafe_allow_html" for item in call.keywords), where
        if receiver and receiver not in ("file", "sys.stdout", "sys.stderr"):
            assert name not in ("html", "write", "exception"), where
        if name == "markdown" and path not in MARKDOWN_OF_OURS:
            assert _is_ours(call.args[0]), where


def test_a_cold_page_loads_no_model_code() -> None:
    wanted = sorted({line for path in PAGES for line in _import_lines(path)})
    script = "\n".join(
        [
            "import app, json, sys",
            "from training import reconcile",
            *wanted,
            "print(json.dumps(list(sys.modules)))",
        ]
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert SLOW & set(json.loads(done.stdout.splitlines()[-1])) == set()


def _import_lines(path: Path) -> list[str]:
    return [
        ast.unparse(node)
        for node in tree(path).body
        if isinstance(node, ast.Import | ast.ImportFrom)
    ]


def test_pairs_and_links_are_asked_for_by_their_class() -> None:
    """What is hidden of them while an import is under way is hidden there (`storage.unseen`)."""
    bare = ("PairRow.__table__", "LinkRow.__table__", "FROM pair", "FROM link", "JOIN pair")
    homes = {
        str(path.relative_to(ROOT))
        for path in sources(*LAYERS)
        if "migrations" not in path.parts and any(name in path.read_text("utf-8") for name in bare)
    }
    assert homes - {"storage/unseen.py"} == {"storage/imports.py", "storage/pairs.py"}
