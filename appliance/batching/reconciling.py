"""Reconciliation of a running service: looks every few seconds and minutes, the slow pass as batch work, and what people ask for.

Belongs to the event loop; each look runs in a thread, one at a time, what takes long in a process of batch priority, part by part, so that
a pass that was cut short goes on where it was. What is found goes into the book; nothing is mended unless somebody asks for it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import msgspec

from appliance.batch_options import Priority
from appliance.batching.looks import HOUR_S, PARTS_BYTES, Looks, parts_of, segments_due
from appliance.batching.program import Program, own_program
from appliance.batching.rows import OWN
from appliance.batching.work import Context, Limits, Outcome, When, Work
from appliance.box import Box
from appliance.config import Config
from appliance.errors import ApplianceError, QueryCancelled
from appliance.hot import divergences, tallies
from appliance.hot.divergences import WRONG
from appliance.manifest import Segment
from appliance.observe.consistency import ConsistencyPicture, FindingRow, ReconcileAnswer
from appliance.observe.status import Problem
from appliance.reconcile.book import Book
from appliance.reconcile.engine import CHECKS, REPAIRS, Result, mend
from appliance.reconcile.finding import Finding
from appliance.reconcile.look import Check, Hands, RepairFunction, Scope
from appliance.reconcile.order import Order, Report
from appliance.reconcile.passing import pass_live
from appliance.units import show_size

log = logging.getLogger(__name__)
FIRST_S: Final = 1.0
"""Before the first look: a box that starts is there for its clients first."""
HOT_EVERY_S: Final = 4.0
"""Two looks see each batch and each part of the ring: within 10 s."""
NEWEST_EVERY_S: Final = 120.0
WHOLE_EVERY: Final = 15
"""While something of the hot side is wrong, each so many looks at it are whole: only those can tell that it is over."""
WORK_EVERY_S: Final = 6 * HOUR_S
SAMPLES_EVERY_S: Final = HOUR_S
MAPPED_BYTES: Final = 512 << 20
"""What Python, Arrow and DuckDB map before the first question; most of it is never touched."""
BUSY_SHARE: Final = 0.3
"""Of the time that the pass in the background works."""
NAME: Final = f"{OWN}reconcile"


class Reconciliation:
    """See the module. Made before the event loop's work begins: reads what is known to be wrong."""

    def __init__(self, box: Box, config: Config, *, publish: Callable[[str, Mapping[str, Any]], None]) -> None:
        """Blocks. ``publish`` takes an event and its data, from any thread, and returns at once."""
        self._box = box
        self._config = config
        self.book = Book(box, tell=lambda row: publish("divergence", msgspec.to_builtins(row)))
        self.looks = Looks(box)
        self.writings: Callable[[], tuple[int, ...]] = tuple
        """See ``Keeper.writings``."""
        self.ask: Callable[[str], None] = lambda _name: None
        """Asks for a run of a piece of batch work; from any thread."""
        self.hand_over: Callable[[Sequence[int]], None] = lambda _ids: None
        """Messages of the outbox that are committed go now."""
        self.checks: list[Check] = []
        """Further ones, of what lies above; they run within the service."""
        self.repairs: dict[str, RepairFunction] = {}
        """Of what these find."""
        self._memo: dict[str, Any] = {}
        self._turns: dict[str, int] = {}
        self._turn = asyncio.Lock()
        self._tasks: list[asyncio.Task[None]] = []
        self._stopping = asyncio.Event()
        self._programs: set[Program] = set()

    def start(self) -> None:
        """Looks from now on."""
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(self._always("hot", HOT_EVERY_S)), loop.create_task(self._always("newest", NEWEST_EVERY_S))]

    async def stop(self) -> None:
        """Ends after the look under way; a process is ended at once."""
        self._stopping.set()
        for program in self._programs:
            program.stop(QueryCancelled("the service ends"))
        await asyncio.gather(*self._tasks)

    def works(self, _config: Config) -> list[Work]:
        """For the queue."""
        samples = any(c.needs == "query" and "newest" in c.scopes for c in CHECKS)
        return [ReconcileWork(self), *([SampleWork(self)] if samples else [])]

    def problems(self) -> tuple[Problem, ...]:
        """What is wrong now, and a pass that failed; from any thread."""
        return (*self.book.problems(), *self.looks.problems())

    def picture(self) -> ConsistencyPicture:
        """Everything about agreement; reads the store, so in a thread."""
        return self.looks.picture(self.book.wrong(), next_s={"hot": HOT_EVERY_S, "newest": NEWEST_EVERY_S, "full": WORK_EVERY_S})

    async def reconcile(self, *, since_us: int | None = None, repair: bool = False, full: bool = False) -> ReconcileAnswer:
        """One pass on request, with repairs where they are asked for; then what is wrong is looked for again."""
        scope: Scope = "full" if full else "all"
        found = await self._whole(scope, since_us)
        rows = {row.id: row for row in (await asyncio.to_thread(self._rows_of, found))}
        if repair and rows:
            async with self._turn:  # a file that a repair writes is no stranger
                for row in await asyncio.to_thread(self._mend, found):
                    rows[row.id] = row
            for row in await asyncio.to_thread(self._rows_of, await self._whole(scope, since_us)):
                rows[row.id] = row
        passes = tuple(p for p in self.looks.passes() if p.kind == scope)
        wrong = sum(row.state in WRONG for row in rows.values())
        return ReconcileAnswer(findings=tuple(rows.values()), passes=passes, wrong=wrong)

    def _rows_of(self, found: Sequence[Finding]) -> list[FindingRow]:
        known = {(row.kind, row.where, row.key): row for row in self.book.wrong()}
        return [known[f.name] for f in found if f.name in known]

    def _mend(self, found: Sequence[Finding]) -> list[FindingRow]:
        return self.book.repaired(mend(found, Hands(box=self._box, ask=self.ask, hand_over=self.hand_over), {**REPAIRS, **self.repairs}))

    async def _whole(self, scope: Scope, since_us: int | None) -> list[Finding]:
        """What is quick in this process, what takes long in another; both into the book."""
        begun = self.looks.begin(scope)
        try:
            quick = await self._look(scope, since_us=since_us, note=False)
            now_us = self._box.clock.now_us()
            order = Order(data_dir=str(self._box.folder), scope=scope, now_us=now_us, since_us=since_us)
            report = await self.program(order, replace(self.limits(), gives_way=False))  # somebody waits for it
            await asyncio.to_thread(self.take_report, report)
        except ApplianceError as e:
            self.looks.fail(begun, e)
            raise
        found = [*quick.findings, *report.findings]
        self.looks.end(begun, records=report.records, segments=report.segments, bytes_=report.bytes, found=len(found), keep=True)
        return found

    def take_report(self, report: Report) -> list[FindingRow]:
        """What a process has seen: into the book, with when each segment was looked at and tallies that were not known. Blocks."""
        rows = self.book.take(report.result)
        found = report.tallies()
        if report.right or found:
            now_us = self._box.clock.now_us()

            def write(committer: Any) -> None:
                db = committer.store.connection
                with committer.store.transaction():
                    divergences.note_looked(db, report.right, at_us=now_us)
                    tallies.note_segments(db, found)
                    for (stream_id,) in db.execute("SELECT id FROM stream").fetchall() if found else ():
                        tallies.settle(db, stream_id)

            self._box.writer.call(write).result()
        return rows

    async def program(self, order: Order, limits: Limits) -> Report:
        """One part of a pass in a process of its own. Raises ``JobFailed``, or ``QueryCancelled`` at the end of the service."""
        program = Program(own_program("appliance.reconcile.process"), folder=self._box.folder, limits=limits)
        self._programs.add(program)
        try:
            return msgspec.json.decode(await program.run(msgspec.json.encode(order)), type=Report)
        finally:
            self._programs.discard(program)

    def limits(self) -> Limits:
        """Of the process of a pass."""
        o = self._config.batch
        return Limits(
            memory_max=o.memory_max + MAPPED_BYTES, threads=max(2, o.threads), time_max_s=o.time_max_s, disk_bytes_max=o.disk_bytes_max
        )

    async def _look(self, scope: Scope, *, since_us: int | None = None, note: bool = True) -> Result:
        """One look in a thread, one at a time."""
        async with self._turn:
            turn = self._turns[scope] = self._turns.get(scope, 0) + 1
            is_whole = scope == "hot" and turn % WHOLE_EVERY == 0 and bool(self.book.wrong())
            return await asyncio.to_thread(self._look_now, "all" if is_whole else scope, scope, turn, since_us, note)

    def _look_now(self, scope: Scope, of: Scope, turn: int, since_us: int | None, note: bool) -> Result:
        """``of`` is the pass that this look belongs to: of the continuous ones every so many are whole."""
        begun = self.looks.begin(of) if note else None
        checks = [c for c in (*CHECKS, *self.checks) if of in c.scopes and (of in ("hot", "newest") or not c.in_process)]
        done = pass_live(
            self._box, scope, checks=checks, writings=self.writings, memo=self._memo, turn=turn, since_us=since_us, last_values=self._last
        )
        self.book.take(done.result)
        if begun is not None:
            seen = done.seen
            found = len(done.result.findings)
            self.looks.end(begun, records=seen.records, segments=seen.segments, bytes_=seen.bytes, found=found, keep=False)
        return done.result

    def _last(self, stream: str) -> Any:
        return self._box.last_values(stream)

    @property
    def folder(self) -> Path:
        """The data folder."""
        return self._box.folder

    def now_us(self) -> int:
        """The wall clock."""
        return self._box.clock.now_us()

    @property
    def has_views(self) -> bool:
        """Whether anything is kept ready."""
        return bool(self._box.state.views)

    def segments(self) -> list[Segment]:
        """All live ones."""
        return [s for stream in self._box.state.streams.values() for s in stream.segments]

    async def _always(self, scope: Scope, every_s: float) -> None:
        wait_s = FIRST_S
        while not await self._stops_within(wait_s):
            wait_s = every_s
            try:
                await self._look(scope)
            except ApplianceError as e:
                self.looks.fail_kind(scope, e)
            except Exception as e:
                log.exception("the look %s failed by a defect and is tried again", scope)
                self.looks.fail_kind(scope, e)

    async def _stops_within(self, wait_s: float) -> bool:
        try:
            await asyncio.wait_for(self._stopping.wait(), wait_s)
        except TimeoutError:
            return False
        return True


class SampleWork:
    """What is computed anew of the newest, by samples: every hour where there is something that is derived."""

    name = f"{NAME}_samples"
    kind = "reconcile"
    priority: Priority = "low"
    retries = 0
    notify: Sequence[str] = ()
    when = When(every_s=SAMPLES_EVERY_S)

    def __init__(self, owner: Reconciliation) -> None:
        self._owner = owner

    @property
    def limits(self) -> Limits | None:
        """Those of the process."""
        return self._owner.limits()

    async def run(self, context: Context) -> Outcome:
        """One look in a process; nothing where there are no views."""
        owner = self._owner
        if not owner.has_views:
            return Outcome("there are no views")
        order = Order(data_dir=str(owner.folder), scope="newest", now_us=owner.now_us(), paths=(), busy_share=BUSY_SHARE)
        output = await context.runner.program(own_program("appliance.reconcile.process"), input=msgspec.json.encode(order))
        report = msgspec.json.decode(output, type=Report)
        await asyncio.to_thread(owner.take_report, report)
        return Outcome(f"{len(report.findings)} disagree" if report.findings else "all agree")


class ReconcileWork:
    """The slow pass: every few hours the segments that have waited longest, each at least once a week."""

    name = NAME
    kind = "reconcile"
    priority: Priority = "low"
    retries = 1
    notify: Sequence[str] = ()
    when = When(every_s=WORK_EVERY_S)

    def __init__(self, owner: Reconciliation) -> None:
        self._owner = owner

    @property
    def limits(self) -> Limits | None:
        """Those of the process."""
        return self._owner.limits()

    async def run(self, context: Context) -> Outcome:
        """Part by part; what is done is noted after each, so that a later run goes on from there."""
        owner = self._owner
        begun = owner.looks.begin("full")
        due = await asyncio.to_thread(self._due)
        parts = parts_of(due, bytes_max=PARTS_BYTES) or [()]
        records = done_bytes = segments = found = 0
        try:
            for number, part in enumerate(parts):
                if context.is_cancelled():
                    raise QueryCancelled("the reconciliation was cancelled; what was looked at stays noted")
                share = number / len(parts)
                context.progress(share, f"segment {segments + 1} of {len(due)}")
                owner.looks.progress(begun, share)
                order = Order(
                    data_dir=str(owner.folder),
                    scope="full",
                    now_us=owner.now_us(),
                    paths=tuple(s.path for s in part),
                    files_only=number > 0,
                    busy_share=BUSY_SHARE,
                )
                output = await context.runner.program(own_program("appliance.reconcile.process"), input=msgspec.json.encode(order))
                report = msgspec.json.decode(output, type=Report)
                await asyncio.to_thread(owner.take_report, report)
                records, done_bytes = records + report.records, done_bytes + report.bytes
                segments, found = segments + report.segments, found + len(report.findings)
        except ApplianceError as e:
            owner.looks.fail(begun, e)
            raise
        owner.looks.end(begun, records=records, segments=segments, bytes_=done_bytes, found=found, keep=True)
        verdict = "all agree" if not found else f"{found} disagree"
        return Outcome(f"{segments} segments ({show_size(done_bytes)}), {records} records: {verdict}", rows=records)

    def _due(self) -> list[Segment]:
        owner = self._owner
        return segments_due(owner.segments(), owner.looks.looked(), now_us=owner.now_us(), every_s=WORK_EVERY_S)
