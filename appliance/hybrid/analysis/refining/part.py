"""The deep pass of a running service, for its wiring: hears of incidents, has batch look at them, keeps models in use."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Final

from appliance.batching.side import BatchSide
from appliance.batching.work import Work
from appliance.box import Box, no_step
from appliance.clock import US_PER_S
from appliance.config import Config
from appliance.errors import ApplianceError
from appliance.hybrid.analysis.keeping.incidents import Incidents
from appliance.hybrid.analysis.live.live import Live
from appliance.hybrid.analysis.refining.in_use import ModelsInUse
from appliance.hybrid.analysis.refining.training import AnalysisTraining, model_name
from appliance.hybrid.analysis.refining.work import INCIDENT, Look, Night, Surroundings, look_name, not_looked_at
from appliance.hybrid_options import AnalysisOptions, analyses
from appliance.observe.analysis import IncidentRow
from appliance.observe.status import Problem

log = logging.getLogger(__name__)
AFTER_US: Final = 300 * US_PER_S
"""So long after its end an incident is looked at once more: then there is something that came after."""
TICK_S: Final = 5.0
LATER_MAX: Final = 1_000
"""Incidents that wait for that; of more the oldest are left to the night."""


class Refining:
    """A part of hybrid work (``hybrid.side.Part``). ``wanted`` may be called from any thread; the rest belongs to the event loop."""

    def __init__(
        self, box: Box, config: Config, *, incidents: Incidents, live: Live, batch: BatchSide, step: Callable[[str], None] = no_step
    ) -> None:
        self._box, self._config, self._incidents, self._batch = box, config, incidents, batch
        self.models: Final = ModelsInUse(box, live, lambda: batch.models.store)
        incidents.models = self.models.of
        self._around = Surroundings(incidents, lambda: box.state, box.clock, config.node.timezone, box.latencies, self.models.of, step)
        self._analyses = analyses(config.workloads, config.analysis)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ticking: asyncio.Task[None] | None = None
        self._asking: set[asyncio.Task[None]] = set()
        self._watched: set[int] = set()
        """Open incidents that were looked at."""
        self._later: dict[int, tuple[str, int]] = {}
        """Closed ones that are looked at once more: workload, and when."""
        self._trouble = ""

    async def start(self) -> None:
        """Incidents that nobody has looked at are looked at now."""
        self._loop = asyncio.get_running_loop()
        await asyncio.to_thread(self.models.start, [model_name(name) for name in self._analyses])
        self._incidents.on_open.append(self.wanted)
        self._incidents.on_grow.append(self.wanted)
        rows = await asyncio.to_thread(self._incidents.open)
        self._watched |= {r.id for r in rows}
        for row in not_looked_at(rows):
            await self._ask(row.id, row.workload)
        self._ticking = self._loop.create_task(self._tick())

    async def stop(self) -> None:
        """Asks for no more; what is under way the queue does again."""
        for heard in (self._incidents.on_open, self._incidents.on_grow):
            if self.wanted in heard:
                heard.remove(self.wanted)
        tasks = [t for t in (self._ticking, *self._asking) if t is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._loop = None

    def reload(self, config: Config) -> None:
        """From now on these analyses."""
        self._config = config
        self._analyses = analyses(config.workloads, config.analysis)

    def works(self, config: Config) -> Sequence[Work]:
        """A look for each analysis, and a night."""
        found: list[Work] = []
        for name, options in analyses(config.workloads, config.analysis).items():
            if options.deep:
                found.append(Look(name, self._around))
                found.append(Night(name, options, self._around))
            store = self.models.store
            found.append(AnalysisTraining(name, options, self._around, store=store, words=self._incidents.feedback))
        return found

    def problems(self) -> Sequence[Problem]:
        """What is degraded; from any thread."""
        if not self._trouble:
            return ()
        hint = "first answers stand; it is tried again by itself"
        return (Problem("WARN", f"incidents can't be looked at again: {self._trouble}", self._box.clock.now_us(), hint),)

    def wanted(self, incident_id: int) -> None:
        """An incident has opened or grown; from any thread, returns at once."""
        loop = self._loop
        if loop is not None:
            loop.call_soon_threadsafe(self._heard, incident_id)

    def _heard(self, incident_id: int) -> None:
        if self._loop is None:
            return
        task = self._loop.create_task(self._look_up(incident_id))
        self._asking.add(task)
        task.add_done_callback(self._asking.discard)

    async def _look_up(self, incident_id: int) -> None:
        row = next((r for r in self._incidents.open() if r.id == incident_id), None)
        if row is not None:
            self._watched.add(incident_id)
            await self._ask(incident_id, row.workload)

    async def _ask(self, incident_id: int, workload: str) -> None:
        options = self._options(workload)
        if options is None or not options.deep:
            return
        await asyncio.to_thread(self._incidents.set_deep, incident_id, "queued")
        try:
            await self._batch.queue.queue.ask(look_name(workload), {INCIDENT: str(incident_id)})
        except ApplianceError as e:
            if not self._trouble:
                log.warning("the deep pass of incident %d can't be asked for: %s", incident_id, e)
            self._trouble = str(e)
            self._later[incident_id] = (workload, self._box.clock.now_us())
            return
        self._trouble = ""

    def _options(self, workload: str) -> AnalysisOptions | None:
        return self._analyses.get(workload)

    async def _tick(self) -> None:
        """Looks every few seconds which incidents are over, and asks for those whose time has come."""
        while True:
            await asyncio.sleep(TICK_S)
            now_us = self._box.clock.now_us()
            await asyncio.to_thread(self.models.refresh)
            if self._watched:
                await asyncio.to_thread(self._note_closed, self._incidents.open(), now_us)
            for incident_id, (workload, at_us) in tuple(self._later.items()):
                if now_us >= at_us:
                    del self._later[incident_id]
                    await self._ask(incident_id, workload)

    def _note_closed(self, rows: Sequence[IncidentRow], now_us: int) -> None:
        is_open = {r.id for r in rows}
        for incident_id in sorted(self._watched - is_open):
            workload = self._workload_of(incident_id)
            if workload is not None:
                self._later[incident_id] = (workload, now_us + AFTER_US)
        self._watched &= is_open
        for incident_id in sorted(self._later)[:-LATER_MAX]:
            del self._later[incident_id]

    def _workload_of(self, incident_id: int) -> str | None:
        picture = self._incidents.show(incident_id)
        return None if picture is None or picture.incident.feedback else picture.incident.workload
