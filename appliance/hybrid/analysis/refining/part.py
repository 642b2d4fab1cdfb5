"""The deep pass of a running service, for its wiring: hears of incidents, has batch look at them, keeps models in use."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Final

from appliance.background import Background
from appliance.batching.side import BatchSide
from appliance.batching.work import Limits, Work
from appliance.box import Box, no_step
from appliance.clock import US_PER_S
from appliance.config import Config
from appliance.errors import ApplianceError
from appliance.hybrid.analysis.keeping.incidents import Incidents
from appliance.hybrid.analysis.live.live import Live
from appliance.hybrid.analysis.refining.around import Surroundings
from appliance.hybrid.analysis.refining.in_use import ModelsInUse
from appliance.hybrid.analysis.refining.training import AnalysisTraining, model_name
from appliance.hybrid.analysis.refining.work import INCIDENT, Look, Night, look_name, not_looked_at
from appliance.hybrid_options import MIB, analyses
from appliance.observe.status import Problem

log = logging.getLogger(__name__)
AFTER_US: Final = 300 * US_PER_S
"""So long after its end an incident is looked at once more: then there is something that came after."""
AGAIN_US: Final = 10 * US_PER_S
"""After the queue could not take it."""
GROWN_US: Final = 15 * US_PER_S
"""Between two looks at an incident that goes on growing: each takes about a second of processor time from whoever sends."""
MEMORY_MIN: Final = 256 * MIB
"""Of each process of a look."""
LOOK_S_MAX: Final = 300.0
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
        self._around = Surroundings(incidents, lambda: box.state, box.clock, config.node.timezone, box.latencies, self.models.of_deep, step)
        self._analyses = analyses(config.workloads, config.analysis)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._background = Background()
        self._later: dict[int, int] = {}
        """Incidents that are looked at once more, and when: closed ones, grown ones, and those that could not be asked for."""
        self._heard_us: dict[int, int] = {}
        """When a look was last asked for because an incident had opened or grown."""
        self._trouble = ""

    async def start(self) -> None:
        """Incidents that nobody has looked at are looked at now."""
        self._loop = asyncio.get_running_loop()
        await asyncio.to_thread(self.models.start, [model_name(name) for name in self._analyses])
        self._incidents.on_open.append(self.wanted)
        self._incidents.on_grow.append(self.wanted)
        self._incidents.on_close.append(self.closed)
        rows = await asyncio.to_thread(self._incidents.open)
        for row in not_looked_at(rows):
            await self._ask(row.id)
        self._background.begin(self._tick(), "the ticks of the deep pass")

    async def stop(self) -> None:
        """Asks for no more; what is under way the queue does again."""
        for listeners in (self._incidents.on_open, self._incidents.on_grow, self._incidents.on_close):
            listeners[:] = [each for each in listeners if each not in (self.wanted, self.closed)]
        await self._background.stop()
        self._loop = None

    def reload(self, config: Config) -> None:
        """From now on these analyses."""
        self._config = config
        self._analyses = analyses(config.workloads, config.analysis)

    def works(self, config: Config) -> Sequence[Work]:
        """A look for each analysis, and a night."""
        found: list[Work] = []
        batch = config.batch
        limits = Limits(max(batch.memory_max, MEMORY_MIN), batch.threads, LOOK_S_MAX, batch.disk_bytes_max, gives_way=False)
        for name, options in analyses(config.workloads, config.analysis).items():
            if options.deep:
                found.append(Look(name, self._around, limits))
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

    def closed(self, incident_id: int) -> None:
        """An incident is over; from any thread, returns at once."""
        loop = self._loop
        if loop is not None:
            loop.call_soon_threadsafe(self._put_off, incident_id, self._box.clock.now_us() + AFTER_US)

    def _heard(self, incident_id: int) -> None:
        if self._loop is None:
            return
        now_us = self._box.clock.now_us()
        due_us = self._heard_us.get(incident_id, now_us - GROWN_US) + GROWN_US
        if now_us < due_us:
            self._put_off(incident_id, due_us)
            return
        self._heard_us[incident_id] = now_us
        for oldest in sorted(self._heard_us)[:-LATER_MAX]:
            del self._heard_us[oldest]
        self._background.begin(self._ask(incident_id), f"the question for incident {incident_id}")

    async def _ask(self, incident_id: int) -> None:
        """Has an incident looked at, where anybody may; what can't be asked for now is asked for again."""
        try:
            await self._queue_look(incident_id)
        except ApplianceError as e:
            if not self._trouble:
                log.warning("the deep pass of incident %d can't be asked for: %s", incident_id, e)
            self._trouble = str(e)
        except Exception as e:
            log.exception("the deep pass of incident %d can't be asked for, by a defect", incident_id)
            self._trouble = f"a defect ({type(e).__name__}: {e}); see the log"
        else:
            return
        self._put_off(incident_id, self._box.clock.now_us() + AGAIN_US)

    async def _queue_look(self, incident_id: int) -> None:
        picture = await asyncio.to_thread(self._incidents.show, incident_id)
        options = None if picture is None else self._analyses.get(picture.incident.workload)
        if picture is None or options is None or not options.deep or picture.incident.feedback:
            return
        await asyncio.to_thread(self._incidents.set_deep, incident_id, "queued")
        await self._batch.queue.queue.ask(look_name(picture.incident.workload), {INCIDENT: str(incident_id)})
        self._trouble = ""

    def _put_off(self, incident_id: int, at_us: int) -> None:
        self._later[incident_id] = at_us
        for oldest in sorted(self._later)[:-LATER_MAX]:
            del self._later[oldest]

    def _refresh(self) -> None:
        self.models.start([model_name(name) for name in self._analyses])
        self.models.refresh()

    async def _tick(self) -> None:
        """Asks for those whose time has come, and has models swapped in."""
        while True:
            await asyncio.sleep(TICK_S)
            try:
                await asyncio.to_thread(self._refresh)
            except Exception:  # a defect must not end the ticks for good; the models in use stay
                log.exception("models could not be swapped in, by a defect")
            now_us = self._box.clock.now_us()
            for incident_id in [i for i, at_us in self._later.items() if now_us >= at_us]:
                del self._later[incident_id]
                await self._ask(incident_id)
