"""Fixtures that all tests share."""

from tests.ui import engine, migrated, open_page

__all__ = ["engine", "migrated", "open_page"]
