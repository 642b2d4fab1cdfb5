"""Who answers for latency and cost: pictures of now, and trials. Any thread may ask, but for ``trial``, which is the event loop's."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from appliance.box import Box
from appliance.config import Config
from appliance.metering.meters import Meters
from appliance.metering.trial import try_workload
from appliance.observe.meter_pictures import cost_picture, cost_row, default_since_us, latency_picture
from appliance.observe.meters import CostPicture, CostRow, LatencyPicture, Trial
from appliance.paths.rules import PathCost
from appliance.serving.board import resident_bytes
from appliance.serving.held import held_bytes
from appliance.serving.path_desk import PathDesk
from appliance.serving.queries import Queries


class Desk:
    """The ``MeterDesk`` of a running service."""

    def __init__(self, box: Box, config: Config, *, meters: Meters, queries: Queries, paths: PathDesk) -> None:
        self._box = box
        self._config = config
        self._meters = meters
        self._queries = queries
        self._paths = paths

    def configure(self, config: Config) -> None:
        """From now on these workloads; from any thread."""
        self._config = config
        self._meters.configure(config)

    def latency(self) -> LatencyPicture:
        """How long workloads take."""
        return latency_picture(self._box.latencies, self._meters.budgets, self._paths_of(), now_us=self._box.clock.now_us())

    def cost(self, since_us: int | None) -> CostPicture:
        """What they have cost."""
        box, now_us = self._box, self._box.clock.now_us()
        return cost_picture(
            box.costs,
            since_us=default_since_us(now_us) if since_us is None else since_us,
            now_us=now_us,
            disk=held_bytes(box.folder, box.state),
            memory={"hot": resident_bytes()},
            endurance_bytes=self._config.node.endurance_bytes,
        )

    def totals(self) -> Sequence[CostRow]:
        """What they have cost since the service started."""
        return [cost_row(key, spent, measured_s=0.0, disk_bytes=0) for key, spent in self._box.costs.since_start().items()]

    async def trial(self, name: str) -> Trial:
        """What a workload costs on each path, measured now. Raises ``UsageRefused`` where it can't be tried."""
        now_us = self._box.clock.now_us()
        found = await try_workload(name, self._config, self._queries, path=self._paths_of().get(name, ""), now_us=now_us)
        for side in found.sides:
            self._box.costs.note_trial(name, side.path, PathCost(side.cpu_s_day))
        return found

    def _paths_of(self) -> dict[str, str]:
        """Where each workload runs that has a place; one that was just added may have none yet."""
        found: dict[str, str] = {}
        for name in self._config.all_workloads:
            with suppress(KeyError):
                found[name] = self._paths.path_of(name)
        return found
