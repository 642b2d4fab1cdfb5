"""A real server on real sockets over a real data folder, in a thread of its own, so that tests can be as rude as any client.

Only what must misbehave on demand is in between: ``TestDoor`` passes everything on to the real door until a test tells it not to.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, cast

from appliance.box import Box
from appliance.clock import Clock, SystemClock
from appliance.config import Config, HotOptions, HttpOptions
from appliance.observe.jobs import JobDesk
from appliance.observe.status import LakeStatus, LatencyStatus, SourceStatus, Status, StoreStatus, StreamStatus
from appliance.records import Format, Receipt, Submission
from appliance.serving import panels
from appliance.serving.http.app import App
from appliance.serving.http.context import HttpContext
from appliance.serving.http.server import HttpServer
from appliance.serving.http.sockets import bind_tcp, bind_unix
from appliance.serving.letters import replay_letters
from appliance.serving.push import Hub
from appliance.serving.question import Question
from tests.http.alert_desk import DeskInMemory
from tests.http.meter_desk import MetersInMemory
from tests.http.report_desk import ReportsInMemory

DEADLINE_S = 20.0


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class TestDoor:
    """The real door, with faults on demand."""

    __test__ = False

    def __init__(self, box: Box) -> None:
        self._door = box.door
        self.submissions: list[Submission] = []
        self.refuse: Exception | None = None
        """Raised instead of taking anything."""
        self.behind = False
        self.hold = threading.Event()
        """Submissions wait while it is not set."""
        self.hold.set()

    @property
    def is_behind(self) -> bool:
        return self.behind or self._door.is_behind

    async def submit(self, submission: Submission) -> Receipt:
        self.submissions.append(submission)
        if not self.hold.is_set():
            await asyncio.to_thread(self.hold.wait, DEADLINE_S)
        if self.refuse is not None:
            raise self.refuse
        return await self._door.submit(submission)


@dataclass
class FakeQueries:
    """Answers any question with prepared pieces, and notes what it was asked."""

    pieces: list[bytes] = field(default_factory=lambda: [b'[{"n":', b"1}]"])
    fail: Exception | None = None
    endless: bool = False
    break_off: Exception | None = None
    """Raised after the pieces."""
    notes: tuple[str, ...] = ()
    asked: list[Question] = field(default_factory=list)
    closed: threading.Event = field(default_factory=threading.Event)

    async def run(self, question: Question) -> FakeResult:
        self.asked.append(question)
        if self.fail is not None:
            raise self.fail
        return FakeResult(self)

    def progress(self, query_id: str) -> Any | None:
        return {"id": query_id, "share": 0.5} if query_id == "known" else None

    def cancel(self, query_id: str) -> bool:
        return query_id == "known"


class FakeResult:
    """The pieces that were prepared."""

    cached = ""

    def __init__(self, queries: FakeQueries) -> None:
        self._queries = queries
        self.notes = queries.notes
        self.whole: bytes | None = None

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._queries.pieces:
            yield piece
        while self._queries.endless:
            yield b"x" * 65_536
            await asyncio.sleep(0)
        if self._queries.break_off is not None:
            raise self._queries.break_off

    async def aclose(self) -> None:
        self._queries.closed.set()


class FakeIngest:
    """Keeps what was uploaded."""

    def __init__(self) -> None:
        self.taken: list[tuple[bytes, str, str | None, Format | None, bool]] = []
        self.fail: Exception | None = None

    async def __call__(self, path: Path, *, name: str, stream: str | None, format: Format | None, again: bool) -> Any:
        if self.fail is not None:
            raise self.fail
        self.taken.append((await asyncio.to_thread(path.read_bytes), name, stream, format, again))
        return {"records": 3}


class Serving:
    """A server that runs while it is entered."""

    def __init__(
        self,
        folder: Path,
        *,
        http_options: HttpOptions | None = None,
        hot: HotOptions | None = None,
        clock: Clock | None = None,
        ready: bool = True,
    ) -> None:
        self.options = http_options or HttpOptions(listen="127.0.0.1:0")
        self.config = Config(data_dir=folder, http=self.options, hot=hot or HotOptions())
        self.clock = clock or SystemClock()
        self.loop = asyncio.new_event_loop()
        self.box = Box(self.config, clock=self.clock)
        self.box.start()
        self.door = TestDoor(self.box)
        self.queries = FakeQueries()
        self.ingest = FakeIngest()
        self.alerts = DeskInMemory()
        self.hub = Hub()
        self.reload: Callable[[], str] = lambda: "the config is right and unchanged"
        self.socket_path = folder / "appliance.sock"
        self.port = 0
        self._ready = ready
        self._pool = ThreadPoolExecutor(2, thread_name_prefix="parse")
        self._thread = threading.Thread(target=self._run, name="serving")  # noqa: TID251 - the server under test

    def __enter__(self) -> Serving:
        self._thread.start()
        self.call(self._start())
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self.door.hold.set()
        self.alerts.hold.set()
        self.call(self._stop())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(DEADLINE_S)
        self.loop.close()
        self._pool.shutdown()
        self.box.close()

    def call(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Runs something on the server's loop."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(DEADLINE_S)

    def open(self) -> None:
        """What the wiring does when recovery is over."""
        self.loop.call_soon_threadsafe(self.app.open, self.context)
        self.call(asyncio.sleep(0))

    def shut(self) -> None:
        """What the wiring does when the end is asked for."""
        self.loop.call_soon_threadsafe(self.app.shut)
        self.call(asyncio.sleep(0))

    def request(
        self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None, *, local: bool = False
    ) -> Answer:
        """One request on a connection of its own, on TCP or on the unix socket."""
        connection: http.client.HTTPConnection
        connection = UnixConnection(self.socket_path) if local else http.client.HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE_S)
        try:
            connection.request(method, path, body=body, headers=headers or {})
            answer = connection.getresponse()
            return Answer(answer.status, answer.msg, answer.read())
        finally:
            connection.close()

    def write(self, lines: str | bytes, query: str = "db=x", *, path: str = "/write", headers: dict[str, str] | None = None) -> Answer:
        return self.request("POST", f"{path}?{query}", lines.encode() if isinstance(lines, str) else lines, headers)

    def connect(self) -> socket.socket:
        """A raw connection to the TCP port."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=DEADLINE_S)

    def rows(self, stream: str) -> list[dict[str, Any]]:
        """What the ring has of a stream, in order of arrival; ``ts`` in microseconds, columns without null."""
        found = self.box.state.get(stream)
        rows: list[dict[str, Any]] = []
        for chunk in found.ring if found is not None else ():
            at = chunk.data.schema.get_field_index("ts")
            rows += chunk.data.set_column(at, "ts", chunk.data.column(at).cast("int64")).to_pylist()
        return [{k: v for k, v in row.items() if v is not None} for row in rows]

    def letters(self) -> list[tuple[str, bytes]]:
        """Reason and bytes of each dead letter."""
        reader = self.box.reader()
        try:
            rows: list[tuple[Any, ...]] = reader.execute("SELECT reason, raw FROM dead_letter ORDER BY id")
            return [(row[0], bytes(row[1])) for row in rows]
        finally:
            reader.close()

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()

    async def _start(self) -> None:
        spool = self.config.data_dir / "spool"
        spool.mkdir(exist_ok=True)
        self.app = App(options=self.options, clock=self.clock, version="0.0.test")
        self.context = HttpContext(
            config=self.config,
            door=self.door,
            queries=self.queries,
            ingest=self.ingest,
            parse_pool=self._pool,
            spool=spool,
            state=lambda: self.box.state,
            status=self.status,
            series=lambda stream, column, since: panels.series(self.box.state, stream, column, since_us=since, now_us=self.clock.now_us()),
            latest=lambda stream: None if self.box.state.get(stream) is None else panels.rows(self.box.last_values(stream)),
            columns=lambda stream: panels.columns(self.box.state, stream),
            replay=lambda ids, stream: replay_letters(self.box, ids=ids, stream=stream, clock=self.clock),
            delete=lambda deletion, records: self.box.delete(deletion, records=records),
            reports=ReportsInMemory(),
            alerts=self.alerts,
            jobs=cast("JobDesk", None),  # what is asked of it is tested in a whole service
            meters=MetersInMemory(),
            alert_events_after=self.alerts.after,
            hub=self.hub,
            activate_model=lambda name, version, author: f"{name} {version} {author}",
            reload=lambda _author: self.reload(),
        )
        self.server = HttpServer(self.app, options=self.options, clock=self.clock)
        tcp = bind_tcp(self.options.listen)
        self.port = tcp.getsockname()[1]
        await self.server.start([tcp, bind_unix(self.socket_path)], remove_at_end=[self.socket_path])
        if self._ready:
            self.app.open(self.context)

    async def _stop(self) -> None:
        self.app.shut()
        await self.server.stop(grace_s=2.0)

    def status(self) -> Status:
        """A picture with odd names in it."""
        stream = StreamStatus('odd "name"\\', 1.5, 10, 4, 6, 1, 100, 200, 6, 10, 1_700_000_000_000_000, None, 0, 3, 2, (1, 2))
        return Status(
            as_of_us=self.clock.now_us(),
            node="n",
            version="0.0.test",
            data_dir=str(self.config.data_dir),
            pid=1,
            started_us=0,
            health="OK",
            state="running",
            streams=(stream,),
            store=StoreStatus(1, 2, 3, 4, 5, "crash", 6, None, 7, 8),
            lake=LakeStatus(1, 2, 3, 0, None, None, False, None, 10, 20),
            ingest=LatencyStatus(1.0, 2.0, 3.0, 4),
            rate=1.0,
            history=(1,),
            history_s=60,
            sources=(SourceStatus("udp", "line_protocol", "ok", "", 1, 2, 3),),
            dead_letters=0,
            dead_letters_new=0,
            last_dead_letter=None,
            problems=(),
            memory_bytes=1,
            cpu_share=0.1,
            queries_running=0,
        )


class UnixConnection(http.client.HTTPConnection):
    """``http.client`` on a unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=DEADLINE_S)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(DEADLINE_S)
        self.sock.connect(str(self._path))


def read_answer(sock: socket.socket) -> Answer:
    """The next answer on a raw connection."""
    response = http.client.HTTPResponse(sock)
    response.begin()
    return Answer(response.status, response.msg, response.read())
