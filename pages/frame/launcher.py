"""What `make run` starts: prepare the data folder, refuse what is unsafe, become the server."""

import argparse
import os
import socket
import sys
from collections.abc import Sequence
from contextlib import closing, suppress

from pages.frame import startup
from storage import folder, migrate, private, settings, systems, troubles
from storage.backups import staging
from storage.engine import open_engine
from storage.errors import AssayError, Unavailable
from storage.settings import ROOT, Settings

_ADDRESS = "127.0.0.1"
_DESCRIPTORS = 10_240
"""Each connection is one, also of a program that never says anything; macOS begins with 256."""


def prepare(config: Settings, port: int) -> None:
    """Bring the database up to date; the server itself checks and locks again when it starts.

    Raises:
        Unavailable: settings are unsafe, the port is taken, or another server uses the folder.
    """
    startup.refuse_faults()
    if sentence := private.close(config.data, all_files=True):
        sys.stdout.write(f"{sentence}\n")
    with closing(folder.hold(config)):
        _refuse_used(port)
        for sentence in staging.at_start(config):
            sys.stdout.write(f"{sentence}\n")
        engine = open_engine(config.database)
        migrate.upgrade(engine)
        engine.dispose()


def _refuse_used(port: int) -> None:
    with closing(socket.socket()) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((_ADDRESS, port))
        except OSError as error:
            raise Unavailable(
                f"Port {port} is in use. Stop what uses it, or choose another: make run PORT=8600"
            ) from error


def _allow_descriptors() -> None:
    """As many open files and connections as the system lets one process have, where it tells."""
    resource = systems.limits()
    if resource is None:
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, _DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def main(arguments: Sequence[str] | None = None) -> None:
    """Become the server.

    Raises:
        SystemExit: it must not start; why was printed.
    """
    parser = argparse.ArgumentParser(prog="python -m pages.frame.launcher", description=__doc__)
    parser.add_argument("--port", type=int, default=8501, help="port on this computer (8501)")
    parser.add_argument("--no-browser", action="store_true", help="only print the link")
    chosen = parser.parse_args(arguments)
    os.chdir(ROOT)
    try:
        with troubles.spoken(settings.current().data):
            prepare(settings.current(), chosen.port)
    except AssayError as error:
        sys.stderr.write(f"Assay did not start. {error}\n")
        raise SystemExit(2) from error
    _allow_descriptors()
    os.environ["ASSAY_OPEN_BROWSER"] = "0" if chosen.no_browser else "1"
    sys.stdout.flush()
    command = [
        sys.executable,
        "-m",
        "streamlit",
        "run",
        "app.py",
        "--server.port",
        str(chosen.port),
    ]
    os.execv(sys.executable, command)  # noqa: S606 - a fixed list of arguments, no shell


if __name__ == "__main__":
    main()
