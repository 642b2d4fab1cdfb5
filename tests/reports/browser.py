"""A real headless browser over a page: what it makes of it, what it would fetch, how it looks."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
STARTS_MAX = 3
MISSING = "no browser is installed (package chromium)"
_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--force-color-profile=srgb",
)


def run(page: Path, *arguments: str, profile: Path | None = None) -> str:
    """What the browser says of a page on disk. One that ends before it has said anything is begun again: on a busy machine it does."""
    for _ in range(STARTS_MAX - 1):
        done = _started(page, arguments, profile)
        if done.returncode == 0 or done.stdout:
            break
    else:
        done = _started(page, arguments, profile)
    assert done.returncode == 0, f"status {done.returncode}: {done.stderr[-2000:]}"
    return done.stdout


def _started(page: Path, arguments: tuple[str, ...], profile: Path | None) -> subprocess.CompletedProcess[str]:
    assert BROWSER is not None
    with tempfile.TemporaryDirectory(prefix="browser-") as own:
        command = [BROWSER, *_FLAGS, f"--user-data-dir={profile or own}", *arguments, page.absolute().as_uri()]
        return subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)


def screenshot(page: Path, to: Path, *, width: int, height: int, dark: bool = False) -> Path:
    """A picture of the page at a width."""
    flags = ["--blink-settings=preferredColorScheme=0"] if dark else []
    run(page, f"--screenshot={to}", f"--window-size={width},{height}", *flags)
    return to
