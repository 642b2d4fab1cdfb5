"""Shows the UI over a simulated box: ``python -m tests.tui.demo``.

The box is simulated in a process of its own and asked over a unix socket, as a real service is, so that what the UI costs can be
measured from outside. ``--in-process`` leaves the socket out; ``--socket PATH`` asks somebody else's.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from appliance.clock import SystemClock
from appliance.observe.status import Problem
from tests.tui.fake import FakeClient, S
from tests.tui.served import wait_until_there
from tui.app import run_app
from tui.socket_client import SocketClient


def main() -> None:
    """Runs until it is left."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--in-process", action="store_true")
    parser.add_argument("--trouble", action="store_true", help="a box with problems")
    parser.add_argument("--socket", type=Path)
    chosen = parser.parse_args()
    if chosen.socket is not None:
        run_app(SocketClient(chosen.socket), detach=False)
    elif chosen.in_process:
        run_app(simulated(trouble=chosen.trouble), detach=False)
    else:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "appliance.sock"
            box = subprocess.Popen([sys.executable, "-m", "tests.tui.served", str(path), *(["--trouble"] if chosen.trouble else [])])
            try:
                wait_until_there(path)
                run_app(SocketClient(path), detach=False)
            finally:
                box.terminate()
                box.wait()


def simulated(*, trouble: bool) -> FakeClient:
    """The simulated box, well or not."""
    clock = SystemClock()
    now = clock.now_us()
    troubles = (
        Problem("WARN", "mqtt: the broker at mqtt://localhost:1883 is not reached", now - 190 * S, "check that it runs"),
        Problem("CRIT", "the disk is full in 3 h at this rate", now - 1200 * S, "lower [retention] disk_max, or free some space"),
    )
    return FakeClient(clock, problems=troubles if trouble else ())


if __name__ == "__main__":
    main()
