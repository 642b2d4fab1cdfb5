"""Reports over a real box with real query processes; the clock, the queue and the channels are the test's."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from appliance.batching.query_runner import QueryRunner
from appliance.batching.report_definitions import definitions_of
from appliance.batching.report_desk import ReportDesk
from appliance.batching.report_files import ReportFiles
from appliance.batching.report_making import Maker
from appliance.batching.report_works import works
from appliance.batching.reports import Reports, Surroundings
from appliance.batching.work import Context, Outcome, Run, Work
from appliance.box import Box
from appliance.clock import US_PER_S
from appliance.config import Config, load_config
from appliance.hot.alerts.values import Message
from appliance.observe.status import Status
from appliance.serving.folder import folder_status
from appliance.serving.queries import Queries
from appliance.serving.source import Store, pinned_reader
from appliance.serving.state_tables import TABLES
from tests.clock import NOON_US, FakeClock
from tests.door.batches import FOR_TESTS, batch, submission
from tests.hot.alerts.waiting import waiting
from tests.serving.queries_of import ask

HOUR = 3_600 * US_PER_S
DAY = 24 * HOUR
BERLIN = '[node]\nname = "box-1"\ntimezone = "Europe/Berlin"\n'


@dataclass
class Living:
    """An open box and its reports."""

    box: Box
    config: Config
    clock: FakeClock
    queries: Queries
    reports: Reports
    desk: ReportDesk
    steps: list[str] = field(default_factory=list)
    at_step: Callable[[str], None] = lambda _name: None
    """A test may raise in it."""
    handed_over: list[int] = field(default_factory=list)

    def write(self, stream: str, ts: Sequence[int], **fields: Any) -> None:
        """Records with the tag ``device`` ("d1" unless given), acknowledged."""
        device = fields.pop("device", ["d1"] * len(ts))
        self.box.door.put(submission(batch(stream, ts, tags={"device": device}, **fields))).result(30)

    async def run(self, name: str, *, reason: str = "schedule", due_us: int | None = None, **parameters: str) -> Outcome:
        """One run of one piece of work, as the queue gives it."""
        work: Work = next(w for w in works(self.reports, lambda: self.box.state, definitions_of(self.config)) if w.name == name)
        run = Run(1, name, self.clock.now_us() if due_us is None else due_us, reason, parameters=parameters)
        return await work.run(Context(run, self.runner(), lambda _share, _words: None, lambda: False))

    def runner(self) -> QueryRunner:
        return QueryRunner(self.queries, folder=self.box.folder)

    def files(self, name: str) -> list[str]:
        """What lies in a report's folder."""
        folder = self.box.folder / "reports" / name
        return sorted(p.name for p in folder.iterdir()) if folder.exists() else []

    def messages(self) -> list[Message]:
        """What waits to be handed over."""
        with sqlite3.connect(f"file:{self.box.folder}/hot.sqlite?mode=ro", uri=True) as connection:
            return waiting(connection)

    async def sql(self, sql: str) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = await ask(self.queries, sql, id_=f"t{len(self.steps)}")
        return rows


@asynccontextmanager
async def living(folder: Path, workloads: str = "", *, head: str = BERLIN, now_us: int = NOON_US) -> AsyncIterator[Living]:
    """``workloads``: TOML; the channel ``ops`` is there."""
    file = folder / "c.toml"
    file.write_text(f'{head}{FOR_TESTS}{workloads}\n[notify.ops]\nurl = "file:notes.jsonl"\n')
    config = load_config(data_dir=folder / "data", file=file, environment={})
    clock = FakeClock(now_us)
    box = Box(config, clock=clock)
    box.start()
    store = Store(
        state=lambda: box.state,
        reader=lambda: pinned_reader(box.folder),
        latest=lambda s: box.last_values(s.name),
        tables=TABLES,
        hot_bytes_max=1 << 28,
        damaged=lambda _segment, _reason: None,
    )
    queries = Queries(data_dir=box.folder, options=config.query, clock=clock, store=store, threads=1)

    def step(name: str) -> None:
        made.steps.append(name)
        made.at_step(name)

    def status() -> Status:
        return folder_status(box.folder, clock=clock)

    node = config.node
    reports = Reports(
        Surroundings(
            definitions=lambda: definitions_of(config),
            maker=Maker(node=node.name, zone=node.timezone, state=lambda: box.state, status=status, now_us=clock.now_us),
            files=ReportFiles(box.folder, step=step),
            reader=lambda: pinned_reader(box.folder),
            call=box.writer.call,
            hand_over=lambda ids: made.handed_over.extend(ids),
            clock=clock,
            step=step,
        )
    )
    desk = ReportDesk(reports, runner=lambda: made.runner())
    made = Living(box, config, clock, queries, reports, desk)
    try:
        yield made
    finally:
        await queries.close()
        box.close()
