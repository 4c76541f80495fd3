"""Names say what a thing is: few vague words, no type name twice, one word per idea."""

import ast
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from storage.settings import ROOT
from tests.support.source import sources, tree

PACKAGES = ("storage", "curation", "training", "pages")
VAGUE = frozenset(
    {
        "found",
        "told",
        "made",
        "known",
        "one",
        "said",
        "asked",
        "kept",
        "words",
        "shown",
        "given",
        "seen",
        "held",
        "taken",
        "whole",
        "here",
        "there",
        "rest",
        "same",
        "other",
    }
)
"""Words that say how a thing was come by, not what it is."""
LIMIT = 0.01


def _trees(package: str) -> Iterator[tuple[Path, ast.Module]]:
    for path in sources(package):
        if "migrations" not in path.parts:  # written once, never touched again
            yield path.relative_to(ROOT), tree(path)


def _bound(tree: ast.Module) -> Iterator[str]:
    """Every name that the code itself chose: variables, parameters, functions, classes."""
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name, ctx=ast.Store()) | ast.arg(arg=name):
                yield name
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield name
            case ast.ClassDef(name=name) | ast.ExceptHandler(name=str(name)):
                yield name
            case ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
                yield name


def _is_vague(name: str) -> bool:
    return not VAGUE.isdisjoint(name.strip("_").lower().split("_"))


@pytest.mark.parametrize("package", PACKAGES)
def test_few_names_are_vague(package: str) -> None:
    names = Counter(name for _, tree in _trees(package) for name in _bound(tree))
    vague = {name: count for name, count in names.items() if _is_vague(name)}
    assert sum(vague.values()) < LIMIT * names.total(), vague


def test_no_two_types_share_a_name() -> None:
    places: dict[str, list[str]] = {}
    for package in PACKAGES:
        for path, module in _trees(package):
            for node in ast.walk(module):
                if isinstance(node, ast.ClassDef):
                    places.setdefault(node.name, []).append(str(path))
    assert {name: paths for name, paths in places.items() if len(paths) > 1} == {}
