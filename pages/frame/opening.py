"""Open the browser without naming the key: with what a process was started, every user of the
computer can read. The browser is started with a page of ours that only its owner can read, and
that leads on to the link.
"""

import os
import webbrowser
from html import escape
from threading import Event

from storage.settings import Settings

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Assay</title>
<meta name="referrer" content="no-referrer"><meta http-equiv="refresh" content="0;url={url}">
</head><body><p>Opening Assay. <a href="{url}">Go on</a></p></body></html>"""
_SECONDS = 60.0
"""After so long nobody reads the page any more."""


def open_link(config: Settings, url: str, used: Event) -> None:
    """Lead the browser to a link, and take the page away once the link was used.

    A browser that may not read the data folder (some are shut in by the system) shows an empty
    page; the link still stands in the terminal.
    """
    page = config.data / "open.html"
    page.unlink(missing_ok=True)
    try:
        with os.fdopen(os.open(page, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(_PAGE.format(url=escape(url)))
        webbrowser.open(page.as_uri())
        used.wait(_SECONDS)
    finally:
        page.unlink(missing_ok=True)
