"""The wiring of the meters: made once a start, told the config, started and stopped with the service."""

from __future__ import annotations

from appliance.alerting.alerting import Alerting
from appliance.box import Box
from appliance.config import Config
from appliance.metering.desk import Desk
from appliance.metering.meters import Meters
from appliance.observe.status import Problem
from appliance.roll.keeper import Keeper
from appliance.serving.path_desk import PathDesk
from appliance.serving.path_figures import Meters as Measured
from appliance.serving.queries import Queries
from appliance.serving.source import pinned_reader


def make_paths(box: Box, config: Config) -> PathDesk:
    """Who decides where workloads run, by what is measured of them. Blocks for the hot store."""
    measured = Measured(box.costs, box.latencies, trials=box.costs.trials)
    desk = PathDesk(call=box.writer.call, reader=lambda: pinned_reader(box.folder), meters=measured, clock=box.clock)
    desk.configure(config)
    return desk


class Metering:
    """Everything about latency and cost of a running service."""

    def __init__(self, box: Box, config: Config, alerting: Alerting, keeper: Keeper, queries: Queries, paths: PathDesk) -> None:
        """Blocks for what was stored."""
        self._meters = Meters(box, config, alerting=alerting, keeper=keeper)
        self.desk = Desk(box, config, meters=self._meters, queries=queries, paths=paths)

    def start(self) -> None:
        """Begins; on the event loop."""
        self._meters.start()

    def reload(self, config: Config) -> None:
        """From now on these workloads; from any thread."""
        self.desk.configure(config)

    async def stop(self) -> None:
        """Ends, with everything stored; before the writer ends, and after whoever notes."""
        await self._meters.stop()

    def problems(self) -> tuple[Problem, ...]:
        """Budgets that are missed."""
        return self._meters.problems()
