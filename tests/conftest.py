"""Fixtures that all tests share."""

from tests.ui import engine, open_page

__all__ = ["engine", "open_page"]
