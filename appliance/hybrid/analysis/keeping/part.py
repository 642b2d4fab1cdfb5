"""Incidents as a part of the hybrid side: taken up, stored at the end, told of another config."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from appliance.batching.work import Work
from appliance.box import Box
from appliance.config import Config
from appliance.errors import RetryLater
from appliance.hybrid.analysis.keeping.incidents import Incidents
from appliance.observe.status import Problem

log = logging.getLogger(__name__)


class IncidentsPart:
    """See the module. To be stopped after whoever gives sightings."""

    def __init__(self, box: Box, incidents: Incidents) -> None:
        self._box, self._incidents = box, incidents

    async def start(self) -> None:
        """Alerts of incidents that were dismissed meanwhile end."""
        await asyncio.to_thread(self._incidents.settle)

    async def stop(self) -> None:
        """Everything that was taken is stored, where it can be."""
        try:
            await asyncio.to_thread(self._incidents.save, self._box.clock.now_us())
        except RetryLater as e:
            log.warning("the newest of incidents is not stored; it is found again at the next start: %s", e)

    def reload(self, config: Config) -> None:
        """From now on with this config."""
        self._incidents.reload(config)

    def problems(self) -> Sequence[Problem]:
        """What can't be stored."""
        return self._incidents.problems()

    def works(self, _config: Config) -> Sequence[Work]:
        """Nothing in batch."""
        return ()
