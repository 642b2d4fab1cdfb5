"""``run --tui``: the service in a thread of its own, the terminal UI in the main one, which talks to it over the socket like any other.

Leaving the UI, or losing its terminal, leaves the service running; ctrl+c or SIGTERM then ends it in order. Log lines go to
``appliance.log`` in the data folder, because the terminal belongs to the UI.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable
from logging.handlers import RotatingFileHandler
from typing import Final

from appliance.config import Config
from appliance.service import LOG_FORMAT, Service, make_service

LOG_BYTES_MAX: Final = 1024 * 1024
LOG_NAME: Final = "appliance.log"


class ServiceThread:
    """Owns the thread and the event loop in it."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._ready = threading.Event()
        self._service: Service | None = None
        self._error: BaseException | None = None
        self._status = 1
        self._thread = threading.Thread(target=self._run, name="service")  # noqa: TID251 - its owner

    def start(self) -> None:
        """Returns when the service is ready. Raises what keeps it from starting."""
        self._thread.start()
        self._ready.wait()
        if self._error is not None:
            self._thread.join()
            raise self._error

    def stop(self) -> None:
        """Asks it to drain and end."""
        if self._service is not None:
            self._service.stop()

    def join(self) -> int:
        """Waits for its end; the exit status. Raises what has ended it otherwise."""
        while self._thread.is_alive():
            self._thread.join(0.5)  # in pieces, so that signals are handled meanwhile
        if self._error is not None:
            raise self._error
        return self._status

    def _run(self) -> None:
        try:
            self._status = asyncio.run(self._serve())
        except BaseException as e:  # noqa: BLE001 - raised again in the thread that waits
            self._error = e
        finally:
            self._ready.set()

    async def _serve(self) -> int:
        service = self._service = make_service(self._config)
        task = asyncio.ensure_future(service.run())
        ready = asyncio.ensure_future(service.ready.wait())
        await asyncio.wait({task, ready}, return_when=asyncio.FIRST_COMPLETED)
        ready.cancel()
        if not task.done():
            self._ready.set()
        return await task


def run_with_tui(config: Config, *, show: Callable[[], None]) -> int:
    """Runs both; ``show`` blocks while the UI is there. The exit status of the service."""
    config.data_dir.mkdir(parents=True, exist_ok=True)
    handler = RotatingFileHandler(config.data_dir / LOG_NAME, maxBytes=LOG_BYTES_MAX, backupCount=1, encoding="utf-8")
    logging.basicConfig(level=logging.INFO, handlers=[handler], format="%(asctime)s " + LOG_FORMAT)
    service = ServiceThread(config)
    service.start()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: service.stop())
    try:
        show()
    except BaseException:
        service.stop()
        service.join()
        raise
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: service.stop())
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    _say(f"the screen is gone, the service goes on (process {os.getpid()}); ctrl+c ends it, `appliance tui` shows it again")
    return service.join()


def _say(text: str) -> None:
    """To the terminal, if it is still there."""
    try:
        print(text, file=sys.stderr, flush=True)
    except OSError:
        logging.getLogger(__name__).info("the terminal is gone, the service goes on")
