"""What serves where a system lacks something. The tests that bear `differs` also run with it taken
away, by `ASSAY_ELSEWHERE=1`.
"""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from curation.exchange import files
from curation.exchange.source import Limits
from storage import systems
from storage.errors import BadInput
from storage.settings import ROOT
from tests.support.source import sources, tree

ELSEWHERE = str(ROOT / "tests/support/elsewhere")
ASKED_IN_ONE_PLACE = {
    "fcntl": (),
    "resource": ("training/models/template_child.py", "training/work/memory_limit.py"),
    "sched_getaffinity": ("storage/systems.py",),
    "cpu_count": (
        "storage/systems.py",
        "training/work/memory_limit.py",
    ),
    "SIGALRM": ("training/models/render.py",),
}
"""What differs between systems, and who names it: nobody, or a module that does without as well."""


def test_there_are_processors_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    assert systems.cores() >= 1
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    assert systems.cores() == os.cpu_count()


def test_memory_is_counted_by_process() -> None:
    mine = systems.memory(os.getpid())
    assert 10_000_000 < mine < 10_000_000_000
    peak = systems.peak_memory()
    assert peak is not None
    assert 10_000_000 < peak < 10_000_000_000
    assert systems.memory(2**22 + 1) == 0


def test_a_reader_that_outgrows_its_memory_is_ended_where_the_system_lets_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", ELSEWHERE)
    monkeypatch.setattr(systems, "holds_memory", lambda: False)
    path = tmp_path / "rows.csv"
    with path.open("w") as file:
        file.write("prompt,response\n")
        file.writelines(f"{n} {'x' * 200},answer\n" for n in range(50_000))
    with pytest.raises(BadInput, match="takes more memory or time to read than is allowed"):
        files.read(path, "rows.csv", Limits(memory_bytes=20_000_000))


def test_the_whole_of_what_differs_can_be_taken_away() -> None:
    lacks = (
        "import os, signal; del signal.SIGALRM\n"
        "from storage import locks, systems\n"
        "from training.work import evidence, machine\n"
        "from training.models import render\n"
        "assert not hasattr(os, 'sched_getaffinity')\n"
        "assert not systems.holds_memory() and systems.cores() and evidence.boot_id()\n"
        "assert machine.peak_mb() and machine.memory_mb() > 0\n"
        "with render.time_limit(1): pass\n"
    )
    environment = {**os.environ, "PYTHONPATH": ELSEWHERE}
    subprocess.run([sys.executable, "-c", lacks], cwd=ROOT, env=environment, check=True)


@pytest.mark.parametrize("name", ASKED_IN_ONE_PLACE)
def test_what_differs_is_asked_at_one_place(name: str) -> None:
    wrong = [
        str(path.relative_to(ROOT))
        for path in sources("storage", "curation", "training", "pages")
        if name in _names(tree(path))
        and str(path.relative_to(ROOT)) not in ASKED_IN_ONE_PLACE[name]
    ]
    assert wrong == []


def _names(module: ast.Module) -> set[str]:
    """Names of modules and attributes that a file uses."""
    found = {node.attr for node in ast.walk(module) if isinstance(node, ast.Attribute)}
    for node in ast.walk(module):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found
