"""Refreshes views by themselves: one after the other, each every so often, or when somebody asks. Belongs to the event loop."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Final

from appliance.batching.plain import PlainRunner
from appliance.batching.views import RefreshView, ViewDesk
from appliance.batching.work import Context, Run, Runner
from appliance.box import Box
from appliance.clock import Clock
from appliance.config import Config, ViewOptions
from appliance.errors import ApplianceError, UsageRefused
from appliance.records import fold
from appliance.serving.queries import Queries

log = logging.getLogger(__name__)
AGAIN_S: Final = 5.0
"""After a refresh that could not be, as that of a view whose stream is not there yet."""
FIRST_S: Final = 1.0
"""After a start, so that what people ask comes first."""


class ViewLoop:
    """Owns a task for each view; at most one refreshes at a time."""

    def __init__(self, desk: ViewDesk, *, runner: Callable[[str], Runner]) -> None:
        """``runner`` makes the runner of a view by its name."""
        self._desk = desk
        self._runner = runner
        self._one = asyncio.Lock()
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self, options: Mapping[str, ViewOptions]) -> None:
        """From now on these views, defined as far as they can be."""
        await self.stop()
        await self._desk.configure(options)
        if options:
            self._tasks.append(asyncio.create_task(self._begin()))

    async def stop(self) -> None:
        """Ends what is under way; what it has committed stays."""
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def refresh(self, name: str) -> str:
        """Refreshes a view now; what was done, in a line. Raises what keeps it from being refreshed."""
        work = next((w for w in self._desk.works() if fold(w.name) == fold(name)), None)
        if work is None:
            raise UsageRefused(f"there is no view {name!r}")
        return await self._run(work, "asked")

    async def _begin(self) -> None:
        try:
            await self._desk.define_all(self._runner("define"))
        except ApplianceError as e:
            log.info("views are defined with their first refresh: %s", e)
        await asyncio.sleep(FIRST_S)
        self._tasks += [asyncio.create_task(self._always(work)) for work in self._desk.works()]

    async def _always(self, work: RefreshView) -> None:
        while True:
            pause_s = work.when.every_s or 1.0
            try:
                await self._run(work, "every")
            except ApplianceError as e:
                pause_s = min(pause_s, AGAIN_S)
                log.info("the view %s was not refreshed: %s", work.name, e)
            except Exception:  # a defect in one view must not end its refreshes for good
                log.exception("the refresh of the view %s failed by a defect", work.name)
            await asyncio.sleep(pause_s)

    async def _run(self, work: RefreshView, reason: str) -> str:
        async with self._one:
            run = Run(0, work.name, 0, reason)
            context = Context(run, self._runner(work.name), lambda part, what: log.debug("%s: %s %s", work.name, part, what), lambda: False)
            return (await work.run(context)).words


def view_loop(box: Box, queries: Queries, *, clock: Clock, step: Callable[[str], None]) -> ViewLoop:
    """The loop of a service, with what was left behind by an earlier process removed. Before anybody reads."""
    desk = ViewDesk({}, folder=box.folder, state=lambda: box.state, call=box.writer.call, clock=clock, leased=queries.leased, step=step)
    desk.clean()
    return ViewLoop(desk, runner=lambda name: PlainRunner(queries, folder=box.folder, name=f"view-{name}"))


def view_options(config: Config) -> dict[str, ViewOptions]:
    """The views of a config by name."""
    return {name: w for name, w in config.workloads.items() if isinstance(w, ViewOptions)}
