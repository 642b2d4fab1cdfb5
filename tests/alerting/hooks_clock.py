"""A whole service in this process, whose clock a test moves."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from appliance.config import load_config
from appliance.service import Service
from tests.alerting.hooks import Hook
from tests.clock import FakeClock
from tests.running import QUIET, Running, wait_for


@contextmanager
def with_clock(folder: Path, rules: str, clock: FakeClock, hook: Hook, more: str = "") -> Iterator[Running]:
    """A service with these rules whose channel ``ops`` is the hook, until the end of the block; may be begun again on the same folder.
    ``more`` are further options of the channel."""
    ops = f'[notify.ops]\nurl = "json://127.0.0.1:{hook.port}/hook"\n{more}'
    config = f"{rules}\n[analysis]\ndefault = false\n{ops}"  # a leap of this clock is late for whatever the analysis has in hand
    running = Running(folder / "data", config=config, sources=QUIET)
    service = Service(load_config(data_dir=running.folder, file=running.config_file), clock=clock)
    with ThreadPoolExecutor(1) as pool:
        ended = pool.submit(lambda: asyncio.run(service.run()))
        try:
            wait_for(lambda: running.is_ready() or ended.done(), what="the service to be ready")
            yield running
        finally:
            service.stop()
            assert ended.result(60) == 0
