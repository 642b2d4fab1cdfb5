"""Views, refreshed: each is a piece of work that defines its view, makes anew what has closed or got dirty, and tidies up.

Each step materializes the view's own answer of some buckets (see ``cold.batch.views.plan``): watch, compute, publish the file, commit.
A crash between any two of them leaves at most a file that nobody names, which the next start removes. Belongs to the event loop.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import Any, Final

from appliance.batch_options import Priority
from appliance.batching.view_definitions import Definer, Waits, finished
from appliance.batching.work import Context, Limits, Outcome, Runner, When
from appliance.clock import Clock, iso
from appliance.cold.batch.views.definition import ViewRefused
from appliance.cold.batch.views.plan import Extent, Step, plan_refresh, target_of
from appliance.cold.files import TMP_SUFFIX, Publisher, no_step, remove
from appliance.cold.segments import hash_file
from appliance.config import ViewOptions
from appliance.derived import ViewFile, ViewVersion
from appliance.door.commit import Committer
from appliance.door.views import FOLDER
from appliance.errors import JobFailed, QueryCancelled
from appliance.hot.state import State
from appliance.records import fold
from appliance.serving.handed import Handed
from appliance.spans import FIRST, Span, floor_to

log = logging.getLogger(__name__)
LISTED_MAX: Final = 2_048
"""Buckets that a condition names one by one."""
ROUNDS_MAX: Final = 8
"""Times that a run plans anew, for what has got dirty meanwhile."""


class ViewDesk:
    """What all views share: their options, the writer, the folder. ``works`` are for the queue."""

    def __init__(
        self,
        options: Mapping[str, ViewOptions],
        *,
        folder: Path,
        state: Callable[[], State],
        call: Callable[[Callable[[Committer], Any]], Future[Any]],
        clock: Clock,
        leased: Callable[[], frozenset[str]],
        step: Callable[[str], None] = no_step,
    ) -> None:
        """``call`` is ``Writer.call``; ``leased`` gives the paths that running queries read; ``step`` is told each named step."""
        self.folder = folder
        self.state = state
        self.call = call
        self.clock = clock
        self.leased = leased
        self.step = step
        self.definer = Definer(state=state, call=call)
        self.definer.options = dict(options)
        self._orphans: frozenset[str] = frozenset()

    @property
    def options(self) -> Mapping[str, ViewOptions]:
        return self.definer.options

    def works(self) -> list[RefreshView]:
        """One for each view of the config."""
        return [RefreshView(name, self) for name in self.options]

    async def configure(self, options: Mapping[str, ViewOptions]) -> None:
        """From now on these views: those that the config names no more are gone with their files, new ones are noted."""
        self.definer.options = dict(options)
        known = {fold(name) for name in options}
        for key, view in self.state().views.items():
            if key not in known:
                log.info("the view %s is not in the config any more: it is removed", view.name)
                await finished(self.call(partial(_remove, view.name)))
                await asyncio.to_thread(self.tidy, at_once=True)
        for name in options:
            if fold(name) not in self.state().views:
                await finished(self.call(partial(_note, name, "its SQL is being looked at; ask again in a moment")))

    async def define_all(self, runner: Runner) -> None:
        """Every view as far as it can be: those that read others after them. What is wrong with one is noted with it.

        Raises what keeps all of them from being looked at.
        """
        waiting = list(self.options)
        while waiting:
            left = []
            for name in waiting:
                try:
                    await self.definer.define(name, runner)
                except (ViewRefused, Waits) as e:
                    log.debug("view %s: %s", name, e)
                    left.append(name)
            if len(left) == len(waiting):
                return
            waiting = left

    def clean(self) -> int:
        """Removes every file below ``views`` that no view names; at the start, before anybody reads."""
        root = self.folder / FOLDER
        known = self._known()
        found = [str(p.relative_to(self.folder)) for p in root.rglob("*") if p.is_file()] if root.is_dir() else []
        return remove(self.folder, [p for p in found if p not in known], empty_folders=True)

    def tidy(self, *, at_once: bool = False) -> None:
        """Removes files that no view names and no query reads, once two looks have found them so, or at the first."""
        place = self.folder / FOLDER
        known = self._known() | self.leased()
        files = (str(p.relative_to(self.folder)) for p in place.rglob("*") if p.is_file() and p.suffix != TMP_SUFFIX)
        found = frozenset(p for p in files if p not in known) if place.is_dir() else frozenset()
        gone = found if at_once else found & self._orphans
        remove(self.folder, sorted(gone))
        self._orphans = found - gone
        if gone:
            self.step("views.removed")

    def _known(self) -> set[str]:
        versions = (v for view in self.state().views.values() for v in (view.active, view.building) if v is not None)
        return {f.path for v in versions for f in v.files}


class RefreshView:
    """One view as a piece of work; see ``work.Work``."""

    kind = "view"
    priority: Priority = "normal"
    limits: Limits | None = None
    retries = 3
    notify: Sequence[str] = ()

    def __init__(self, name: str, desk: ViewDesk) -> None:
        self.name = name
        self._desk = desk

    @property
    def when(self) -> When:
        return When(every_s=self._desk.options[self.name].every_s)

    async def run(self, context: Context) -> Outcome:
        """Defines it, refreshes it, and lets a new version answer once that has caught up."""
        desk, options = self._desk, self._desk.options[self.name]
        try:
            version = await desk.definer.define(self.name, context.runner)
        except Waits as e:
            return Outcome(str(e))
        except ViewRefused as e:
            raise JobFailed(f"the view {self.name} can't be used: {e}", may_retry=False) from None
        rows = steps = 0
        for _round in range(ROUNDS_MAX):
            version = self._current(version)
            target = target_of(desk.clock.now_us(), bucket_us=version.definition.bucket_us, settle_us=round(options.settle_s * 1e6))
            plan = plan_refresh(version, extents(desk.state(), version.stream), target_us=target)
            for number, step in enumerate(plan):
                if context.is_cancelled():
                    raise QueryCancelled(f"the refresh of {self.name} was cancelled; what it has made is kept")
                context.progress(number / len(plan), f"{step.why} buckets up to {iso(step.high)}")
                rows += await self._make(version, step, context.runner)
                steps += 1
            if not any(step.why == "new" for step in plan):
                break
        await self._settle(version, options)
        context.progress(1.0, "done")
        return Outcome(f"{steps or 'no'} {'span' if steps == 1 else 'spans'} of buckets made anew, {rows} rows", rows=rows)

    def _current(self, version: ViewVersion) -> ViewVersion:
        view = self._desk.state().views.get(fold(self.name))
        found = view.version(version.number) if view is not None else None
        if found is None:
            raise QueryCancelled(f"the view {self.name} has got another definition meanwhile")
        return found

    async def _make(self, version: ViewVersion, step: Step, runner: Runner) -> int:
        """One step, from the watch to the commit; the rows that it made."""
        desk = self._desk
        start_ns = desk.clock.monotonic_ns()
        await finished(desk.call(lambda c: c.views.begin(version.id, step.high)))
        written = await runner.file(self._sql(version, step), format="parquet")
        desk.step("views.computed")
        try:
            if written.notes:
                raise QueryCancelled(f"the view {self.name} is not refreshed, because records can't be read: {written.notes[0]}")
            files = await asyncio.to_thread(self._publish, version, step, written) if written.rows else ()
        finally:
            await asyncio.to_thread(written.path.unlink, missing_ok=True)
        cost_s = (desk.clock.monotonic_ns() - start_ns) / 1e9
        now_us = desk.clock.now_us()
        await finished(
            desk.call(lambda c: c.views.refresh(version.id, step.spans, files, snapshot=written.version, now_us=now_us, cost_s=cost_s))
        )
        return written.rows

    def _sql(self, version: ViewVersion, step: Step) -> str:
        definition = version.definition
        bucket = _quoted(definition.bucket)
        since = [] if step.low == FIRST else [f"{bucket} >= make_timestamp({step.low})"]
        within = [] if len(step.spans) == 1 else [f"({_any_of(bucket, step.spans, definition.bucket_us)})"]
        where = " AND ".join([*since, f"{bucket} < make_timestamp({step.high})", *within])
        order = ", ".join([bucket, *(_quoted(k.column) for k in definition.keys)])
        return f"SELECT * FROM {_quoted(f'{self.name}@{version.number}')} WHERE {where} ORDER BY {order}"

    def _publish(self, version: ViewVersion, step: Step, written: Handed) -> tuple[ViewFile, ...]:
        publisher = Publisher(
            self._desk.folder, owner=f"view-{version.id}", step=lambda name: self._desk.step(name.replace("segment.", "views."))
        )

        def fill(tmp: Path) -> tuple[str, tuple[ViewFile, ...]]:
            written.path.rename(tmp)
            sha256, size = hash_file(tmp)
            low = "begin" if step.low == FIRST else str(step.low)
            name = f"{low}-{step.high}-{written.version}-{sha256[:8]}.parquet"
            path = f"{version.folder}/{name}"
            seq = written.read.get(version.stream)
            return name, tuple(ViewFile(0, path, low, high, written.rows, size, sha256, whole=True, seq=seq) for low, high in step.spans)

        return publisher.publish(version.folder, fill)

    async def _settle(self, version: ViewVersion, options: ViewOptions) -> None:
        """After the steps: a new version answers, old buckets go, files that nothing names go."""
        desk = self._desk
        view = desk.state().views[fold(self.name)]
        version = self._current(version)
        is_new = view.building is not None and version.id == view.building.id
        if is_new and view.active is not None and version.used.closed_us >= view.active.used.closed_us:
            await finished(desk.call(lambda c: c.views.switch(self.name)))
        if options.keep_s is not None:
            newest = max((e.ts_max for e in extents(desk.state(), version.stream)), default=FIRST)
            until = floor_to(min(desk.clock.now_us(), newest) - round(options.keep_s * 1e6), version.definition.bucket_us)
            if version.files and version.files[0].low < until and version.used.sealed_us < until <= version.used.closed_us:
                await finished(desk.call(lambda c: c.views.forget_before(version.id, until)))
        await asyncio.to_thread(desk.tidy)


def extents(state: State, stream: str) -> list[Extent]:
    """Where the records of a stream lie in time: a span a segment, and one for each batch of the ring."""
    found = state.streams.get(stream)
    if found is None:
        return []
    cold = [Extent(s.ts_min, s.ts_max, s.rows) for s in found.segments]
    return cold + [Extent(c.ts_min, c.ts_max, c.rows) for c in found.hot_chunks()]


def _remove(name: str, committer: Committer) -> None:
    committer.views.remove(name)


def _note(name: str, reason: str, committer: Committer) -> None:
    committer.views.note(name, reason)


def _any_of(bucket: str, spans: Sequence[Span], width_us: int) -> str:
    """That a bucket lies in one of the spans; where they are few buckets, by their names, which is a look-up a row."""
    if spans[0][0] != FIRST and sum(high - low for low, high in spans) // width_us <= LISTED_MAX:
        starts = (start for low, high in spans for start in range(low, high, width_us))
        return f"{bucket} IN ({', '.join(f'make_timestamp({start})' for start in starts)})"
    bounded = ((low, f"{bucket} < make_timestamp({high})") for low, high in spans)
    return " OR ".join(until if low == FIRST else f"({bucket} >= make_timestamp({low}) AND {until})" for low, until in bounded)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
