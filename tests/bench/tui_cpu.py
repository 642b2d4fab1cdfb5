"""What the UI's first screen costs: ``python -m tests.bench.tui_cpu [--seconds 20]``.

The UI runs on a pseudo-terminal of its own against a simulated box of 30 streams in another process, four refreshes a second. Measured
from outside: CPU of the UI's process as a share of one core, bytes to the terminal, resident memory. The limit is 10 % of a core.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

from tests.bench.report import Row, show
from tests.tui.served import wait_until_there
from tests.tui.terminal import PseudoTerminal

LIMIT = 0.10
CASES = (
    ("80x24", b"", "first screen"),
    ("120x40", b"", "first screen"),
    ("200x50", b"", "first screen"),
    ("120x40", b"j\r", "screen of one stream"),
)
_WARM_UP_S = 6.0


def measure(*, size: tuple[int, int], seconds: float, keys: bytes = b"") -> tuple[float, float, int]:
    """Share of a core, bytes a second to the terminal, resident bytes; after ``keys`` were pressed."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "appliance.sock"
        box = subprocess.Popen([sys.executable, "-m", "tests.tui.served", str(path)])
        try:
            wait_until_there(path)
            command = [sys.executable, "-m", "tests.tui.demo", "--socket", str(path)]
            environ = os.environ | {"TERM": "xterm-256color", "COLORTERM": "truecolor"}
            with PseudoTerminal(command, size=size, environ=environ) as terminal:
                terminal.wait_for("press-line-3", deadline_s=20)
                terminal.write(keys)
                terminal.read(_WARM_UP_S)
                process = psutil.Process(terminal.pid)
                before, sent, start = process.cpu_times(), terminal.received, time.monotonic()
                terminal.read(seconds)
                after, took = process.cpu_times(), time.monotonic() - start
                spent = after.user + after.system - before.user - before.system
                return spent / took, (terminal.received - sent) / took, process.memory_info().rss
        finally:
            box.terminate()
            box.wait()


def rows(*, seconds: float = 20.0) -> Iterator[Row]:
    """The first screen at three sizes, and the screen of one stream."""
    for size, keys, what in CASES:
        columns, _, lines = size.partition("x")
        share, sent, resident = measure(size=(int(columns), int(lines)), seconds=seconds, keys=keys)
        figure = f"{share:.1%} of a core, {sent / 1000:.1f} kB/s, {resident / 1e6:.0f} MB"
        yield Row(f"the UI's {what} at {size}, 30 streams, 4 refreshes/s", figure, f"≤ {LIMIT:.0%} of a core", share <= LIMIT)


def main() -> None:
    """Prints a line for each screen and size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20.0)
    show(rows(seconds=parser.parse_args().seconds))


if __name__ == "__main__":
    main()
