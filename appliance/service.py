"""The wiring, top to bottom in the order of the flow, and the life of the process: start, ready, reload, drain, end.

Everything is made here and handed what it needs; nothing else knows the whole. Signals: SIGTERM and SIGINT drain and end with
status 0, SIGHUP reads the config again.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import Any, Final

from appliance import __version__
from appliance.alerting.alerting import Alerting, check_alerts
from appliance.alerting.asked import Asked
from appliance.assembly import make_alerting, make_batch, make_cache, make_keeper, make_store
from appliance.background import called, end_all
from appliance.batching.housekeeping import under_way
from appliance.batching.report_definitions import check_reports
from appliance.batching.side import BatchSide
from appliance.batching.steward import Steward
from appliance.box import Box, no_step
from appliance.clock import Clock, SystemClock
from appliance.config import Config, find_config, load_config
from appliance.errors import ApplianceError, RetryLater
from appliance.hybrid.side import HybridSide
from appliance.metering.metering import Metering, make_paths
from appliance.observe.author import author
from appliance.observe.descriptors import raise_descriptor_limit
from appliance.observe.health import status_line
from appliance.observe.notify_systemd import Notifier
from appliance.observe.path_budgets import query_threads, within_budgets
from appliance.observe.pressure import Readings
from appliance.observe.status import Problem, SourceStatus
from appliance.reconcile.config_log import note_start, note_stop
from appliance.reconcile.start import check_lake
from appliance.reloading import Reloading
from appliance.roll.keeper import Keeper
from appliance.serving import panels
from appliance.serving.board import Board
from appliance.serving.http.app import App
from appliance.serving.http.context import HttpContext
from appliance.serving.http.server import HttpServer
from appliance.serving.http.sockets import bind_tcp, bind_unix, inherited_sockets, is_for
from appliance.serving.letters import replay_letters
from appliance.serving.path_desk import PathDesk
from appliance.serving.push import Hub
from appliance.serving.queries import Queries
from appliance.serving.query_meter import QueryMeter
from appliance.sources.files import FileTaker
from appliance.sources.making import make_source
from appliance.sources.source import Source

log = logging.getLogger(__name__)
SOCKET_NAME: Final = "appliance.sock"
WATCHDOG_LATE_NS: Final = 20_000_000_000
"""The watchdog is fed only while the writer went round its loop within this time."""
TICK_S: Final = 1.0
GRACE_S: Final = 10.0
LOG_FORMAT: Final = "%(levelname)s %(name)s: %(message)s"


class Service:
    """A running box. ``run`` is its whole life; everything it owns is closed when that returns."""

    _board: Board

    def __init__(
        self,
        config: Config,
        *,
        clock: Clock | None = None,
        step: Callable[[str], None] = no_step,
        reload: Callable[[], Config] | None = None,
        readings: Callable[[], Readings] | None = None,
    ) -> None:
        """``step`` is told each named step of commit, roll and compaction, for tests that stop there; ``reload`` reads the config again;
        ``readings`` is what the box is short of (None: what the machine says)."""
        self.config = within_budgets(config)
        self._clock = clock or SystemClock()
        self._step = step
        self._reload, self._readings = reload, readings
        self._stop = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._fatal: BaseException | None = None
        self._state = "starting"
        self._problems: list[Problem] = []
        self._notifier = Notifier(os.environ)
        self._asked: Asked | None = None
        self._batch: BatchSide | None = None
        self._reloading: Reloading | None = None
        self._paths: PathDesk | None = None
        self._metering: Metering | None = None
        self._inherited: list[socket.socket] = []
        self.ready = asyncio.Event()

    def stop(self) -> None:
        """Drain and end; from any thread."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._stop.set)

    async def run(self) -> int:
        """Recovers, serves until told to stop, drains. The exit status: 0, or 1 when the hot store could not be written."""
        check_alerts(self.config)
        check_reports(self.config)
        raise_descriptor_limit()
        loop = self._loop = asyncio.get_running_loop()
        app = App(options=self.config.http, clock=self._clock, version=__version__)
        server = HttpServer(app, options=self.config.http, clock=self._clock)
        await self._listen(server)
        try:
            box = await loop.run_in_executor(None, self._open_box)
        except BaseException:
            await server.stop(grace_s=0.0)
            raise
        with ThreadPoolExecutor(self.config.budget.hot.threads, thread_name_prefix="parse") as pool:
            await self._serve(app, server, box, pool)
        box.close()
        self._notifier.close()
        return 0 if self._fatal is None else 1

    def _open_box(self) -> Box:
        box = Box(self.config, clock=self._clock, step=self._step, on_fatal=self._on_fatal)
        box.start_writer()
        self._problems += check_lake(box)
        note_start(box, self.config, author=author())
        box.open_door()
        return box

    async def _listen(self, server: HttpServer) -> None:
        """Listens before recovery: clients are told 503 and to come again instead of being refused."""
        listen = self.config.http.listen
        self._inherited = inherited_sockets(os.environ)
        sockets = [s for s in self._inherited if is_for(s, listen)]
        if listen and not sockets:
            sockets.append(bind_tcp(listen))
        self.config.data_dir.mkdir(parents=True, exist_ok=True)
        path = self.config.data_dir / SOCKET_NAME
        await server.start([*sockets, bind_unix(path)], remove_at_end=[path])

    async def _serve(self, app: App, server: HttpServer, box: Box, pool: ThreadPoolExecutor) -> None:
        cache = make_cache(box, self.config)
        store = make_store(box, self.config, lambda: self._board.status(), cache)
        options, note, threads = self.config.query, QueryMeter(box).note, query_threads(self.config)
        queries = Queries(
            data_dir=box.folder, options=options, clock=self._clock, store=store, processes=box.processes, threads=threads, on_end=note
        )
        hub = Hub()
        paths = self._paths = await asyncio.to_thread(make_paths, box, self.config)
        make_it = partial(make_batch, queries=queries, store=store, hub=hub, paths=paths, elsewhere=lambda: under_way(keeper.status()))
        batch: BatchSide = await asyncio.to_thread(make_it, box, self.config, step=self._step)
        self._batch = batch
        keeper: Keeper = make_keeper(box, batch, step=self._step)
        taker = FileTaker(box, clock=self._clock)
        make = partial(make_source, door=box.door, taker=taker, config=self.config, clock=self._clock, inherited=self._inherited_for)
        sources = [make(options) for options in self.config.sources]
        alerting = await asyncio.to_thread(make_alerting, box, self.config, hub, step=self._step)
        metering = self._metering = await asyncio.to_thread(Metering, box, self.config, alerting, keeper, queries, paths)
        make_hybrid = partial(HybridSide, alerting=alerting, batch=batch, queries=queries, hub=hub, cache=cache, store=store)
        hybrid = await asyncio.to_thread(make_hybrid, box, self.config, step=self._step)
        steward = Steward(box, batch.queue, queries, hub, rules_s=alerting.behind_s, clock=self._clock, readings=self._readings)
        board = self._board = Board(
            box,
            clock=self._clock,
            keeper=keeper.status,
            sources=lambda: (self._http_status(box), *(status for s in sources for status in s.status())),
            problems=lambda: (*self._problems, *alerting.problems(), *batch.problems(), *hybrid.problems(), *metering.problems()),
            alerts=alerting.desk.counts,
            queries_running=lambda: len(queries.running()),
            jobs=batch.queue.counts,
            state=lambda: self._state,
            budgets=steward.budgets,
        )
        self._problems += await asyncio.to_thread(batch.complete, alerting, board.status)
        await asyncio.to_thread(alerting.start)
        asked = self._asked = Asked(queries=queries, processor=alerting.processor, clock=self._clock)
        asked.configure(alerting.rulebook)
        alerting.sql_rules = asked.rules
        await batch.prepare()
        keeper.start()
        metering.start()
        steward.start()
        await batch.start(alerting.rulebook, writings=keeper.writings)
        await hybrid.start()
        paths.on_move = lambda _name, _path: batch.panels.moved()
        paths.start()
        assert self._loop is not None, "it runs"
        self._reloading = Reloading(
            self.config, alerting=alerting, asked=asked, batch=batch, hybrid=hybrid, paths=paths, metering=metering, loop=self._loop
        )
        ends: list[Callable[[], Any]] = [paths.stop, steward.stop, hybrid.stop, batch.stop, alerting.stop, keeper.stop, queries.close]
        ends += [metering.stop, board.close, partial(note_stop, box)]
        opened = partial(app.open, self._context(box, hybrid, taker, board, pool, alerting, hub))
        await self._live(app, opened, server, box, sources, ends)

    async def _live(
        self,
        app: App,
        opened: Callable[[], None],
        server: HttpServer,
        box: Box,
        sources: Sequence[Source],
        ends: Sequence[Callable[[], Any]],
    ) -> None:
        """From the first source to the last end: takes records until it is told to stop, then ends everything in this order.

        Clients are answered (``opened``) once every source has started: who is told "ready" may send to all of them.
        """
        started: list[Source] = []
        try:
            for source in sources:
                await called(source.start)
                started.append(source)
            opened()
            self._state = "running"
            self.ready.set()
            self._notifier.ready("running")
            log.info("ready: %s on %s", self.config.http.listen or "no TCP", self.config.data_dir)
            await self._until_stopped(box)
        finally:  # also where a source can't start: what goes on would keep the process
            self._state = "stopping"
            self._notifier.stopping("draining")
            app.shut()
            if self._asked is not None:
                self._asked.close()
            first: list[Callable[[], Any]] = [*(s.stop for s in started), partial(server.stop, grace_s=GRACE_S)]
            await end_all((*first, *ends))

    async def _until_stopped(self, box: Box) -> None:
        """Feeds systemd from the writer's progress once a second until the end is asked for."""
        while not self._stop.is_set():
            if self._clock.monotonic_ns() - box.writer.progress_ns < WATCHDOG_LATE_NS:
                self._notifier.feed(box.writer.progress_ns)
            if self._notifier.wanted:
                self._notifier.status(status_line(await asyncio.to_thread(self._board.status)))
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), TICK_S)

    def _context(
        self, box: Box, hybrid: HybridSide, taker: FileTaker, board: Board, pool: ThreadPoolExecutor, alerting: Alerting, hub: Hub
    ) -> HttpContext:
        assert self._batch is not None is not self._metering, "they are made before HTTP is opened"
        (spool := self.config.data_dir / "spool").mkdir(exist_ok=True)

        def latest(stream: str) -> Any | None:
            return panels.rows(box.last_values(stream)) if box.state.get(stream) is not None else None

        return HttpContext(
            config=self.config,
            door=box.door,
            queries=hybrid.cache.queries,
            cache=hybrid.cache.picture,
            ingest=taker.take_upload,
            parse_pool=pool,
            spool=spool,
            state=lambda: box.state,
            status=board.status,
            series=lambda stream, column, since: panels.series(box.state, stream, column, since_us=since, now_us=self._clock.now_us()),
            latest=latest,
            columns=lambda stream: panels.columns(box.state, stream),
            replay=lambda ids, stream: replay_letters(box, ids=ids, stream=stream, clock=self._clock),
            delete=lambda deletion, records: box.delete(deletion, records=records),
            alerts=alerting.desk,
            jobs=self._batch.queue.desk,
            paths=self._paths,
            meters=self._metering.desk,
            reports=self._batch.reports.desk,
            alert_events_after=alerting.desk.events_after,
            hub=hub,
            consistency=self._batch.reconciliation,
            activate_model=self._batch.models.store.activate,
            reload=self.reload,
            refresh_view=self._batch.views.refresh,
            panels=self._batch.panels,
            ladder=box.ladder,
            search=hybrid.search,
            analysis=hybrid.incidents,
        )

    def _inherited_for(self, address: str, kind: socket.SocketKind) -> list[socket.socket]:
        return [s for s in self._inherited if is_for(s, address, kind=kind)]

    def _http_status(self, box: Box) -> SourceStatus:
        listen = self.config.http.listen or "unix socket only"
        state = "paused" if box.door.is_behind else "ok"
        return SourceStatus("http", "http", state, listen, box.door.totals.get("http", 0), box.door.rejected.get("http", 0), 0)

    def _on_fatal(self, error: BaseException) -> None:
        """The writer's word that nothing may be written any more: end, so that the next start recovers."""
        self._fatal = error
        self.stop()

    def on_hang_up(self) -> None:
        """SIGHUP: reads the config again, in a thread since it waits for a commit, and says in the log what came of it."""

        def read() -> None:
            try:
                log.info("%s", self.reload("a signal (SIGHUP)"))
            except ApplianceError as e:
                log.error("the config was not reloaded, the old one stays in force: %s", e)  # noqa: TRY400 - one line says it
            except Exception:  # nobody waits for this thread's result
                log.exception("the config was not reloaded whole, by a defect")

        assert self._loop is not None
        self._loop.run_in_executor(None, read)

    def reload(self, author: str) -> str:
        """Reads the config again for ``author``; what has changed, in a line.

        Raises ``ConfigRefused``: the old one stays in force whole; ``RetryLater`` while it starts.
        """
        found = within_budgets(self._reload()) if self._reload is not None else self.config
        if self._reloading is None:
            raise RetryLater("the appliance is starting: have it read its config again when it is ready", after_s=1)
        return self._reloading.reload(found, author)


def run_service(config: Config) -> int:
    """Runs until SIGTERM or SIGINT; the exit status. Raises what keeps it from starting."""
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format=LOG_FORMAT)
    return asyncio.run(_run(make_service(config), signals=True))


def make_service(config: Config) -> Service:
    """A service that reads its own config again on a reload."""
    return Service(config, reload=lambda: load_config(data_dir=config.data_dir, file=config.file or find_config(config.data_dir)))


async def _run(service: Service, *, signals: bool) -> int:
    if signals:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, service.stop)
        loop.add_signal_handler(signal.SIGHUP, service.on_hang_up)
    return await service.run()
