"""Refuse to import what loads models. Python runs this file when it starts, in each process that
has its folder on `PYTHONPATH`; `tests/support/lanes.py` puts it there for tests without a model.
"""

import importlib.util
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

MODELS = frozenset(("torch", "transformers", "peft", "trl", "accelerate", "bitsandbytes"))


class ModelsRefused(ImportError):
    """A test that does not ask for `model_code` would load model code."""


class Refusal(MetaPathFinder, Loader):
    """Finds these packages as if they were installed and fails when one is imported."""

    active = True

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """A spec for a package that loads models, while active."""
        del path, target
        return ModuleSpec(name, self) if self.active and name in MODELS else None

    def exec_module(self, module: ModuleType) -> None:
        """Fail.

        Raises:
            ModelsRefused: always.
        """
        raise ModelsRefused(
            f"{module.__name__} loads models: import it inside a test, and let the test ask for "
            "the fixture model_code."
        )


refusal = Refusal()
sys.meta_path.insert(0, refusal)
if importlib.util.find_spec("another_system") is not None:  # Python runs one such file only
    import another_system  # noqa: F401 - importing it does it
