"""Fixtures that all tests share, and what is done around each of them."""

import os

import pytest

from tests.support import lanes, proofs
from tests.support.browser_fixture import browser
from tests.support.handed import models
from tests.support.lanes import in_process, model_code, starts, workers
from tests.support.proofs import proof
from tests.support.seconds import Seconds
from tests.support.tiny_model import small
from tests.support.ui import engine, migrated, open_page, own_main
from tests.support.yields import points

__all__ = [
    "browser",
    "engine",
    "in_process",
    "migrated",
    "model_code",
    "models",
    "open_page",
    "own_main",
    "points",
    "proof",
    "small",
    "starts",
    "workers",
]


def pytest_configure(config: pytest.Config) -> None:
    """Mark tests by what they load, and say at the end which files were slow."""
    config.pluginmanager.register(lanes)
    config.pluginmanager.register(proofs)
    config.pluginmanager.register(Seconds())


def pytest_xdist_auto_num_workers() -> int:
    """One more than there are cores: a third of the time, tests wait for servers and browsers."""
    return (os.cpu_count() or 1) + 1
