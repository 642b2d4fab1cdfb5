"""The service, to which an incident is given and then an answer that overturns it; it kills itself at a named step.

usage: python -m tests.incidents.program --data-dir DIR --config FILE [--kill-at STEP:N]
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from appliance.config import load_config
from appliance.service import Service
from tests.faults.program import KillAt
from tests.incidents.house import LOAD, deep


def _act(service: Service, end: threading.Event) -> None:
    """What the first and the deep pass would do."""
    while not service.ready.is_set():
        if end.wait(0.01):
            return
    assert service._reloading is not None
    incidents = service._reloading.hybrid.incidents
    incidents.take(LOAD, 0)
    for row in incidents.open():
        incidents.answer(row.id, deep("dismissed", "The backup ran an hour later than usual."))


async def _run(service: Service) -> int:
    end = threading.Event()
    acting = asyncio.create_task(asyncio.to_thread(_act, service, end))
    try:
        return await service.run()
    finally:
        end.set()
        await acting


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
