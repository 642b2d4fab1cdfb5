"""Batch work of a running service as the wiring sees it: the queue, and what is carried out by it: views, reports, models, audits, jobs.

Made in two steps, because the housekeeper and the status need the queue, and reports and models need what is made after those.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from appliance.alerting.alerting import Alerting
from appliance.alerting.rulebook import Rulebook
from appliance.background import end_all
from appliance.batching.audits import Audits
from appliance.batching.batch import Batch
from appliance.batching.panels.side import Panels
from appliance.batching.reconciling import Reconciliation
from appliance.batching.report_loop import ReportLoop
from appliance.batching.training import Models
from appliance.batching.view_loop import ViewLoop, view_loop, view_options
from appliance.batching.work import Work
from appliance.box import Box
from appliance.clock import Clock
from appliance.config import Config, ViewOptions
from appliance.observe.jobs import RunRow
from appliance.observe.status import Problem, Status
from appliance.paths.needs import Path
from appliance.serving.queries import Queries
from appliance.serving.source import Store, pinned_reader

WAIT_S: Final = 30.0


class BatchSide:
    """See the module. ``queue`` is there from the beginning, the others once it is ``completed``."""

    views: ViewLoop
    reports: ReportLoop
    models: Models

    def __init__(
        self,
        box: Box,
        config: Config,
        *,
        queries: Queries,
        store: Store,
        clock: Clock,
        publish: Callable[[str, Mapping[str, Any]], None],
        path_of: Callable[[str], Path],
        elsewhere: Callable[[], Sequence[RunRow]],
        step: Callable[[str], None],
    ) -> None:
        """Blocks for the hot store. ``publish`` takes an event and its data, ``path_of`` says where a workload runs,
        ``elsewhere`` is batch work that runs outside of the queue."""
        self._box = box
        self._config = config
        self._queries = queries
        self._clock = clock
        self._step = step
        self._loop: asyncio.AbstractEventLoop | None = None
        self._views: dict[str, ViewOptions] = {}
        self._alerting: Alerting | None = None
        self.others: list[Callable[[Config], Sequence[Work]]] = []
        """Who else has batch work, for a config."""
        self.readers: list[Callable[[], frozenset[str]]] = []
        """Who else reads files, and which: called from any thread."""
        self.audits = Audits(box, step=step, hand_over=self._hand_over)
        self.reconciliation = Reconciliation(box, config, publish=publish)
        self.reconciliation.hand_over = self._hand_over
        self.queue = Batch(
            box,
            config,
            store=store,
            reader=lambda: pinned_reader(box.folder),
            clock=clock,
            publish=publish,
            elsewhere=elsewhere,
            step=step,
            make=(self._works, self.reconciliation.works),
            hand_over=self._hand_over,
        )
        self.panels = Panels(
            box,
            config,
            store=store,
            clock=clock,
            path_of=path_of,
            ask=self._ask,
            works_changed=self.refresh_works,
            publish=publish,
            step=step,
        )

    def complete(self, alerting: Alerting, status: Callable[[], Status]) -> tuple[Problem, ...]:
        """Makes the rest, before alerts are evaluated; what is wrong with stored models. Blocks."""
        box, clock, step = self._box, self._clock, self._step
        self._alerting = alerting
        self.models = Models(box, self._config, alerting.baselines, clock=clock, step=step, hand_over=alerting.hand_over)
        problems = self.models.load()
        self.views = view_loop(box, self._queries, self.queue.queue, clock=clock, leased=self.leased, step=step)
        self.reports = ReportLoop(
            box, self._queries, config=lambda: self._config, status=status, hand_over=alerting.hand_over, clock=clock, step=step
        )
        return tuple(problems)

    async def prepare(self) -> None:
        """Before anybody asks: names the panels and views that there are."""
        await self.panels.prepare()
        await self.views.note(self._view_options(self._config))

    async def start(self, rulebook: Rulebook, *, writings: Callable[[], tuple[int, ...]] = tuple) -> None:
        """Begins; on the event loop. ``writings``: see ``Keeper.writings``."""
        self.reconciliation.writings = writings
        self._loop = loop = asyncio.get_running_loop()
        self.reconciliation.ask = lambda name: _ask(loop, self.queue, name)
        self._views = self._view_options(self._config)
        await self.views.start(self._views)
        self.queue.start()
        self.reconciliation.start()
        self.models.start(lambda name: self.queue.queue.ask(name, {}), rulebook)
        await self.panels.start()

    async def stop(self) -> None:
        """Ends what is under way, which is done again at the next start."""
        self.models.close()
        await end_all((self.panels.stop, self.reconciliation.stop, self.views.stop, self.queue.stop))

    def problems(self) -> tuple[Problem, ...]:
        """What is degraded; from any thread."""
        return (*self.queue.problems(), *self.reconciliation.problems(), *self.panels.problems())

    def reload(self, config: Config, rulebook: Rulebook) -> None:
        """From now on the work of this config; from any thread but the loop's."""
        self._config = config
        if self._loop is None:
            return
        asyncio.run_coroutine_threadsafe(self.refresh_works(), self._loop).result(WAIT_S)
        self.panels.reload(config)
        self._loop.call_soon_threadsafe(self.models.configure, config, rulebook)

    async def refresh_works(self) -> None:
        """From now on what is to be done now: of the config, and what others have put there. On the event loop."""
        found = self._view_options(self._config)
        if found != self._views:
            self._views = found
            await self.views.start(found)
        self.queue.reload(self._config)

    def leased(self) -> frozenset[str]:
        """Files that queries of any kind read now: they must stay. From any thread."""
        own = self._queries.leased() | self.queue.leased() | self.audits.leased() | self.panels.leased()
        return own.union(*(reader() for reader in self.readers))

    async def _ask(self, name: str) -> None:
        await self.queue.queue.ask(name, {})

    def _works(self, config: Config) -> Sequence[Work]:
        works = [*self.views.works(self._view_options(config)), *self.reports.works(config), *self.models.works(config)]
        works += [*self.audits.works(config), *self.panels.works(config)]
        return [*works, *(work for other in self.others for work in other(config))]

    def _view_options(self, config: Config) -> dict[str, ViewOptions]:
        return {**view_options(config), **self.panels.views()}

    def _hand_over(self, ids: Sequence[int]) -> None:
        assert self._alerting is not None, "batch work begins after alerting"
        self._alerting.hand_over(ids)


def _ask(loop: asyncio.AbstractEventLoop, queue: Batch, name: str) -> None:
    asyncio.run_coroutine_threadsafe(queue.queue.ask(name, {}), loop).result(WAIT_S)
