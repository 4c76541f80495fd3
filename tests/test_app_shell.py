"""The frame: who sees which pages, what the sign-in page does, how figures read."""

import pytest
from sqlalchemy import Engine

from pages.parts import shell
from pages.parts.plain import plain
from storage.types import Role
from tests.ui import OpenPage, join



def test_an_empty_install_asks_for_the_first_profile(open_page: OpenPage) -> None:
    page = open_page(None, user=None)
    assert not page.exception
    assert page.title[0].value == "Who are you?"
    assert all(box.value for box in page.checkbox)
