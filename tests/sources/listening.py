"""A line-protocol listener on a loop of its own, over a real data folder, so that tests can send to it as any program would."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from appliance.box import Box
from appliance.clock import SystemClock
from appliance.config import Config, LineProtocolSource
from appliance.observe.status import SourceStatus
from appliance.records import Receipt, Submission
from appliance.sources.line_protocol import LineProtocolListener

BOTH = LineProtocolSource(udp="127.0.0.1:0", tcp="127.0.0.1:0")


class FaultyDoor:
    """The real door, with faults on demand."""

    def __init__(self, box: Box) -> None:
        self._door = box.door
        self.behind = False
        self.refuse: Exception | None = None
        self.hold = threading.Event()
        self.hold.set()
        self.submissions = 0

    @property
    def is_behind(self) -> bool:
        return self.behind

    def submit_blocking(self, submission: Submission, timeout_s: float | None = None) -> Receipt:
        self.submissions += 1
        self.hold.wait(30)
        if self.refuse is not None:
            raise self.refuse
        return self._door.submit_blocking(submission, timeout_s)


class Listening:
    """A listener on a loop of its own, over a real data folder."""

    def __init__(self, folder: Path, options: LineProtocolSource, *, inherited: tuple[socket.socket, ...] = ()) -> None:
        config = Config(data_dir=folder)
        self.box = Box(config)
        self.box.start()
        self.door = FaultyDoor(self.box)
        self.listener = LineProtocolListener(options, door=self.door, clock=SystemClock(), limits=config.limits, inherited=inherited)
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever)  # noqa: TID251 - the loop of the listener under test
        self._thread.start()
        self.stopped = False

    def start(self) -> None:
        async def begin() -> None:
            self.listener.start()
            await self.listener.listening()

        asyncio.run_coroutine_threadsafe(begin(), self.loop).result(10)

    def stop(self) -> None:
        self.door.hold.set()
        if not self.stopped:
            self.stopped = True
            self.listener.stop()

    def close(self) -> None:
        self.stop()
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(10)
        self.loop.close()
        self.box.close()

    @property
    def status(self) -> SourceStatus:
        return self.listener.status()

    def tcp(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.listener.ports["tcp"]), timeout=20)

    def udp(self) -> socket.socket:
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.connect(("127.0.0.1", self.listener.ports["udp"]))
        return sock

    def count(self, stream: str) -> int:
        found = self.box.state.get(stream)
        return 0 if found is None else found.last_seq

    def values(self, stream: str, column: str) -> list[Any]:
        found = self.box.state.get(stream)
        return [v for chunk in (found.ring if found is not None else ()) for v in chunk.data.column(column).to_pylist()]

    def letters(self) -> list[tuple[str, bytes]]:
        with closing(self.box.reader()) as reader:
            rows: list[tuple[Any, ...]] = reader.execute("SELECT reason, raw FROM dead_letter ORDER BY id")
        return [(row[0], bytes(row[1])) for row in rows]


@contextmanager
def listening(folder: Path, options: LineProtocolSource = BOTH, *, inherited: tuple[socket.socket, ...] = ()) -> Iterator[Listening]:
    made = Listening(folder, options, inherited=inherited)
    try:
        made.start()
        yield made
    finally:
        made.close()
