"""The life of the server process: checks, then the key, the job reconciler, the printed link."""

import logging
import os
import secrets
import socket
import sys
import threading
import traceback
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import streamlit as st

from pages.frame import opening, startup, wiring
from pages.frame.plain import plain
from pages.frame.security import Key
from storage import events, folder, migrate, private, settings, troubles
from storage.backups import proof, schedule, staging
from storage.errors import AssayError
from storage.locks import Lock
from storage.settings import ROOT, Settings

log = logging.getLogger("assay")

KEY = Key()
"""Empty until `lifespan` has set it; the gate refuses everything until then."""


@asynccontextmanager
async def lifespan(_app: st.App) -> AsyncIterator[dict[str, object]]:
    """Start and stop what lives beside the pages; ends the process where it must not start."""
    from training import reconcile  # here, because a page should not wait for it

    quieten()
    with closing(_begin()):
        stop = threading.Event()
        reconciler = threading.Thread(
            target=reconcile.forever,
            args=(wiring.engine(), settings.current(), stop),
            name="jobs",
            daemon=True,
        )
        reconciler.start()
        backups = threading.Thread(
            target=schedule.forever,
            args=(wiring.engine(), settings.current(), stop),
            name="backups",
            daemon=True,
        )
        backups.start()
        announcer = threading.Thread(target=_announce, args=(stop,), name="announce", daemon=True)
        announcer.start()
        yield {}
        stop.set()
        KEY.used.set()  # so that the page with the link goes too
        reconciler.join(timeout=5)
        backups.join(timeout=5)
        announcer.join(timeout=5)
        KEY.value = ""


def _begin() -> Lock:
    """Check everything, make the key, and give back the lock that the server holds."""
    config = settings.current()
    try:
        with troubles.spoken(config.data):
            lock = _checked(config)
            KEY.value = startup.new_key(config)
    except AssayError as error:
        # Raised further, the web server would bury the one sentence under its own traceback.
        sys.stderr.write(f"Assay did not start. {error}\n")
        sys.stderr.flush()
        os._exit(2)
    return lock


def _checked(config: Settings) -> Lock:
    startup.refuse_faults()
    if sentence := private.close(config.data):
        sys.stdout.write(f"{sentence}\n")
    lock = folder.hold(config)
    for sentence in staging.at_start(config):
        sys.stdout.write(f"{sentence}\n")
    proof.sound(wiring.engine())
    migrate.check(wiring.engine())
    with wiring.looking() as session:
        newest = events.latest(session, limit=1)
    if sentence := startup.clock(newest, datetime.now(UTC)):
        sys.stdout.write(f"{sentence}\n")
    return lock


def _announce(stop: threading.Event) -> None:
    """Print the link once the server answers, and open it where that is wished."""
    host, port = str(st.get_option("server.address")), int(st.get_option("server.port"))
    while not stop.wait(0.05):
        with closing(socket.socket()) as probe:
            if probe.connect_ex((host, port)) == 0:
                break
    else:
        return
    url = f"http://{host}:{port}/?token={KEY.value}"
    sys.stdout.write(f"\nAssay is ready. Open this link:\n\n  {url}\n\nStop it with Ctrl+C.\n")
    sys.stdout.flush()
    if os.environ.get("ASSAY_OPEN_BROWSER") == "1":
        opening.open_link(settings.current(), url, KEY.used)


def quieten() -> None:
    """Keep messages of exceptions out of all logs: they may hold the text of a pair.

    Streamlit logs an exception with its message before `on_script_error` is asked. What stays is
    the type and the code location.
    """
    make = logging.getLogRecordFactory()

    def without_message(*args: Any, **kwargs: Any) -> logging.LogRecord:  # noqa: ANN401 - as logging has it
        record = make(*args, **kwargs)
        if record.exc_info and record.exc_info[1] is not None:
            record.msg, record.args = f"{record.msg}: {where(record.exc_info[1])}", record.args
            record.exc_info = None
        return record

    logging.setLogRecordFactory(without_message)


def where(error: BaseException) -> str:
    """Type and code locations of an error, without its message."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if _is_ours(frame.filename)] or frames
    places = [f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in ours]
    return f"{type(error).__name__} at {' > '.join(places) or 'an unknown place'}"


def _is_ours(filename: str) -> bool:
    path = Path(filename)
    return path.is_relative_to(ROOT) and ".venv" not in path.parts


def on_script_error(error: Exception) -> bool:
    """Say what was refused. For a bug, show a reference number and log where it happened; never
    what it was about.
    """
    sentence = troubles.sentence(error, settings.current().data)
    if sentence is not None:
        log.warning("refused: %s", where(error))
        st.error(plain(sentence))
        return True
    reference = secrets.token_hex(4)
    log.error("error %s: %s", reference, where(error))
    st.error(
        f"Something went wrong, and nothing was saved. Reload the page; if it happens again, "
        f"tell whoever runs Assay this number: {reference}"
    )
    return True
