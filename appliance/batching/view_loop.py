"""The views of a running service: defined as soon as they can be, refreshed by the queue. Belongs to the event loop."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol

from appliance.batching.query_runner import QueryRunner
from appliance.batching.views import RefreshView, ViewDesk
from appliance.batching.work import Runner, Work
from appliance.box import Box
from appliance.clock import Clock
from appliance.config import Config, ViewOptions
from appliance.errors import ApplianceError, JobFailed, UsageRefused
from appliance.observe.jobs import RunRow
from appliance.records import fold
from appliance.serving.queries import Queries

log = logging.getLogger(__name__)
LOOK_S: Final = 1.0
"""How often it is looked whether a view that waits for its stream can be defined."""


class Queue(Protocol):
    """What this module asks of the queue."""

    async def ask(self, name: str, parameters: Mapping[str, str]) -> RunRow:
        """Queues a run."""

    async def ended(self, run_id: int) -> RunRow | None:
        """Waits until a run is over, or has failed."""


class ViewLoop:
    """Owns the task that defines views."""

    def __init__(self, desk: ViewDesk, *, runner: Runner, queue: Queue) -> None:
        self._desk = desk
        self._runner = runner
        self._queue = queue
        self._task: asyncio.Task[None] | None = None

    def works(self, options: Mapping[str, ViewOptions]) -> Sequence[Work]:
        """One for each of these views, for the queue."""
        return [RefreshView(name, self._desk) for name in options]

    async def note(self, options: Mapping[str, ViewOptions]) -> None:
        """These views are there, looked at or not: for whoever asks before ``start``."""
        await self._desk.configure(options)

    async def start(self, options: Mapping[str, ViewOptions]) -> None:
        """From now on these views."""
        await self.stop()
        await self.note(options)
        if options:
            self._task = asyncio.create_task(self._define_always())

    async def stop(self) -> None:
        """Defines no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def refresh(self, name: str) -> str:
        """Has a view refreshed now; what was done, in a line. Raises what keeps it from being refreshed."""
        known = next((n for n in self._desk.options if fold(n) == fold(name)), None)
        if known is None:
            raise UsageRefused(f"there is no view {name!r}")
        asked = await self._queue.ask(known, {})
        row = await self._queue.ended(asked.id)
        if row is None or row.state != "done":
            raise JobFailed(
                f"the view {known} was not refreshed: {asked.state if row is None else row.error or row.words}", may_retry=False
            )
        return row.words

    async def _define_always(self) -> None:
        """Looks after views that are not defined yet, and has each refreshed when it is."""
        tried: tuple[int, ...] = ()
        while True:
            undefined = self._undefined()
            seen = tuple(sorted(s.id for s in self._desk.state().streams.values()))
            if undefined and seen != tried and await self._define(undefined):
                tried = seen
            await asyncio.sleep(LOOK_S)

    async def _define(self, undefined: Sequence[str]) -> bool:
        """Whether all of them were looked at: where that could not be now, it is tried again also without a new stream."""
        try:
            await self._desk.define_all(self._runner)
            for name in set(undefined) - set(self._undefined()):
                await self._queue.ask(name, {})
        except ApplianceError as e:
            log.info("views are looked at again later: %s", e)
            return False
        except Exception:  # a defect in one view must not end the others for good; it is not tried again before a stream comes
            log.exception("views could not be defined, by a defect")
        return True

    def _undefined(self) -> list[str]:
        views = self._desk.state().views
        return [n for n in self._desk.options if (view := views.get(fold(n))) is None or view.active is None or view.reason is not None]


def view_loop(
    box: Box, queries: Queries, queue: Queue, *, clock: Clock, leased: Callable[[], frozenset[str]], step: Callable[[str], None]
) -> ViewLoop:
    """The loop of a service, with what was left behind by an earlier process removed. Before anybody reads. ``leased`` names the files
    that queries of any kind read."""
    desk = ViewDesk({}, folder=box.folder, state=lambda: box.state, call=box.writer.call, clock=clock, leased=leased, step=step)
    desk.clean()
    return ViewLoop(desk, runner=QueryRunner(queries, folder=box.folder), queue=queue)


def view_options(config: Config) -> dict[str, ViewOptions]:
    """The views of a config by name."""
    return {name: w for name, w in config.workloads.items() if isinstance(w, ViewOptions)}
