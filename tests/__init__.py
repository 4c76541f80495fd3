"""Tests of Assay. `ASSAY_ELSEWHERE=1` takes away what other systems lack, before anything else."""

import os
import sys
from pathlib import Path

if os.environ.get("ASSAY_ELSEWHERE") == "1":
    _folder = str(Path(__file__).parent / "support/elsewhere")
    _path = (_folder, os.environ.get("PYTHONPATH"))
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, _path))
    sys.path.insert(0, _folder)
    import another_system  # noqa: F401 - importing it does it
