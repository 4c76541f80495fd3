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
