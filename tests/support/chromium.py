"""Find a Chromium to test with, or install one; `python -m tests.support.chromium` says which."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
_ADVICE = (
    "No Chromium was found and none could be installed. Install one (Debian: apt-get install "
    "chromium) or set ASSAY_CHROMIUM to its path, then run make test again."
)


def find() -> str | None:
    """Path of a browser: `ASSAY_CHROMIUM`, an installed one, or Playwright's own."""
    named = os.environ.get("ASSAY_CHROMIUM")
    if named:
        return named if Path(named).exists() else None
    for name in NAMES:
        path = shutil.which(name)
        if path:
            return path
    caches = (Path.home() / ".cache/ms-playwright", Path.home() / "Library/Caches/ms-playwright")
    for cache in caches:
        for kept in sorted(cache.glob("chromium-*/chrome-*/*")):
            if kept.name in {"chrome", "Chromium.app"}:
                return str(kept)
    return None


def _install() -> None:
    """Playwright's browser first; Debian's package where that is refused and we are root."""
    subprocess.run([sys.executable, "-m", "playwright", "install", "chromium"], check=False)
    apt = shutil.which("apt-get")
    if find() is None and apt and os.geteuid() == 0:
        subprocess.run([apt, "update", "-q"], check=False)
        subprocess.run([apt, "install", "-y", "-q", "chromium"], check=False)


def main() -> int:
    """Print the browser that the tests will use; 1 where there is none."""
    if find() is None:
        _install()
    path = find()
    sys.stdout.write(f"Browser for the tests: {path}\n" if path else f"{_ADVICE}\n")
    return 0 if path else 1


if __name__ == "__main__":
    sys.exit(main())
