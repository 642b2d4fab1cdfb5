"""The service as ``appliance run`` starts it, but for one thing: it kills itself at a named step.

usage: python -m tests.faults.program --data-dir DIR --config FILE [--kill-at STEP:N]
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from appliance.config import load_config
from appliance.service import Service


class KillAt:
    """SIGKILL to itself when a step is reached for the n-th time."""

    def __init__(self, text: str) -> None:
        name, _, count = text.partition(":")
        self._name = name
        self._count = int(count or 1)
        self._seen: Counter[str] = Counter()

    def __call__(self, step: str) -> None:
        self._seen[step] += 1
        if step == self._name and self._seen[step] >= self._count:
            os.kill(os.getpid(), signal.SIGKILL)


async def _run(service: Service) -> int:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, service.stop)
    return await service.run()


def main(arguments: Sequence[str] | None = None) -> int:
    """``arguments``: those of the command line when they are None."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--kill-at", default="")
    given = parser.parse_args(arguments)
    config = load_config(data_dir=given.data_dir, file=given.config)
    return asyncio.run(_run(Service(config, step=KillAt(given.kill_at))))


if __name__ == "__main__":
    sys.exit(main())
