"""The n-th-operation loop: some work is done again and again, and each time another operation on
a file fails (full disk, failing disk, no permission) or the process is killed before it.

    table = faults.loop(tmp_path, before, "tests.storage.backups.test_faults", ["backup"])

`before` is a data folder; for each case a copy of it is given to the function that is named, in a
process of its own below which `faults.c` stands, SQLite included. What it raises must be a sentence
(`AssayError`, or what `storage.troubles` gives words to). Then the function of the same name with
`_holds` after it looks at the copy, and the work is done once more, undisturbed. Functions stand in
a module, as another process calls them. It needs a C compiler and Linux; without, the test skips.
"""

import ctypes
import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from importlib import import_module
from pathlib import Path

import pytest

from storage import troubles
from storage.errors import AssayError
from storage.settings import ROOT
from tests.support.patience import PATIENCE

KILL = 0
ERRORS = (errno.ENOSPC, errno.EIO, errno.EACCES)
_SOURCE = Path(__file__).with_name("faults.c")
_WHOLE, _REFUSED, _BUG = 0, 3, 4


@dataclass(frozen=True, slots=True)
class Faults:
    """What a loop counted."""

    operations: int
    """Operations on files of the work, undisturbed."""
    cases: int
    killed: int
    refused: int
    """Cases that ended with a sentence."""
    whole: int
    """Cases that went through all the same."""


@cache
def _built() -> Path:
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None or sys.platform != "linux":
        pytest.skip("The fault loop needs Linux and a C compiler.")
    library = Path(os.environ.get("TMPDIR", "/tmp")) / f"assay-faults-{os.getpid()}.so"
    command = [compiler, "-shared", "-fPIC", "-O1", "-o", str(library), str(_SOURCE), "-ldl"]
    subprocess.run(command, check=True, capture_output=True)
    return library


def loop(
    folder: Path,
    before: Path,
    module: str,
    works: Sequence[str],
    most: int = 200,
    *,
    every_error: bool = False,
    seconds: float = PATIENCE * 4,
) -> dict[str, Faults]:
    """Every case of each piece of work, by its name. `most` operations are tried, spread evenly
    over a longer one. Each is killed and fails with one of the errors in turn, or with every one.

    Raises:
        AssertionError: with the case, and what did not hold.
    """
    names = ",".join(works)
    arguments = [str(folder), str(before), module, names, str(most), str(int(every_error))]
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.faults", *arguments],
        cwd=ROOT,
        env={**os.environ, "LD_PRELOAD": str(_built())},
        capture_output=True,
        text=True,
        check=False,
        timeout=seconds,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    counts = json.loads(done.stdout.splitlines()[-1])
    return {work: Faults(**counts[work]) for work in works}


def _shim() -> ctypes.CDLL:
    shim = ctypes.CDLL(None)
    shim.faults_kinds.restype = ctypes.c_char_p
    return shim


def _in_child(shim: ctypes.CDLL, case: Path, work: Callable[[Path], None], n: int, how: int) -> int:
    """Do the work with one fault; its exit status, or minus the signal that ended it."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    status = _WHOLE
    try:
        shim.faults_arm(n, how)
        work(case)
    except BaseException as error:
        shim.faults_rest()
        sentence = troubles.sentence(error, case)
        status = _BUG if sentence is None else _REFUSED
        case.with_suffix(".error").write_text(sentence or traceback.format_exc())
    shim.faults_rest()
    reached = shim.faults_reached() or how < 0
    case.with_suffix(".kinds").write_bytes(shim.faults_kinds())
    os._exit(status if reached else 99)


def _chosen(kinds: str, most: int) -> list[int]:
    """The operations to fail: each that is no write, each write that follows or precedes such a
    one, and others between them, evenly.
    """
    edges = [n for n, kind in enumerate(kinds) if kind != "w" or set(kinds[n - 1 : n + 2]) != {"w"}]
    others = sorted(set(range(len(kinds))) - set(edges))
    left = max(most - len(edges), 0)
    if len(edges) > most:
        edges = edges[:: len(edges) // most + 1]
    return sorted([*edges, *(others[:: max(len(others) // (left or 1), 1)][:left])])


def _main(
    folder: Path, before: Path, module: str, name: str, most: int, every_error: bool
) -> Faults:
    work = getattr(import_module(module), name)
    holds = getattr(import_module(module), f"{name}_holds")
    folder.mkdir()
    shim = _shim()
    first = folder / "undisturbed"
    shutil.copytree(before, first)
    holds(first, False)  # also fills what the process remembers, so that no case counts it
    assert _in_child(shim, first, work, -1, -1) == _WHOLE, first.with_suffix(".error").read_text()
    holds(first, True)
    kinds = first.with_suffix(".kinds").read_text()
    counts = {_WHOLE: 0, _REFUSED: 0, -signal.SIGKILL: 0}
    for turn, n in enumerate(_chosen(kinds, most)):
        for how in (KILL, *(ERRORS if every_error else [ERRORS[turn % len(ERRORS)]])):
            case = folder / f"case-{n}-{errno.errorcode.get(how, 'KILL')}"
            shutil.copytree(before, case)
            status = _in_child(shim, case, work, n, how)
            if status == 99:  # it took fewer operations this time
                continue
            assert status in counts, f"{case.name}: {case.with_suffix('.error').read_text()}"
            counts[status] += 1
            try:
                holds(case, status == _WHOLE)
                work(case)
                holds(case, True)
            except (AssertionError, AssayError) as error:
                raise AssertionError(f"{name}, {case.name} of {len(kinds)} ({kinds[n]})") from error
            shutil.rmtree(case)
    killed = counts[-signal.SIGKILL]
    return Faults(len(kinds), sum(counts.values()), killed, counts[_REFUSED], counts[_WHOLE])


if __name__ == "__main__":
    place, template, source, names, limit, all_errors = sys.argv[1:]
    table = {
        name: asdict(
            _main(Path(place, name), Path(template), source, name, int(limit), all_errors == "1")
        )
        for name in names.split(",")
    }
    sys.stdout.write(json.dumps(table) + "\n")
