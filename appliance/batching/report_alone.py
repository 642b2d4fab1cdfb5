"""A report of a folder that nobody serves, made in the calling process. Nothing is issued; the folder is not changed."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from zoneinfo import ZoneInfo

from appliance.batching.folder_runner import folder_runner
from appliance.batching.report_definitions import definitions_of
from appliance.batching.report_making import Maker
from appliance.clock import Clock
from appliance.cold.batch.reports.forms import rendered
from appliance.cold.batch.reports.period import period_asked
from appliance.config import Config
from appliance.errors import UsageRefused
from appliance.serving.folder import folder_status


def report_alone(config: Config, name: str, *, day: str | None, parameters: Mapping[str, str], form: str, clock: Clock) -> str:
    """Its text in one form. Raises ``UsageRefused`` for an unknown report or a folder that is none, and as ``Maker.make``.

    The process is caged (address space), so it should be one that ends soon.
    """
    known = definitions_of(config)
    definition = next((d for n, d in known.items() if n.lower() == name.lower()), None)
    if definition is None:
        raise UsageRefused(f"there is no report {name!r}; there are {', '.join(known) or 'none'}")
    folder, zone = config.data_dir, ZoneInfo(config.node.timezone)
    period = period_asked(day, now_us=clock.now_us(), covers=definition.options.covers, zone=zone)
    threads = len(os.sched_getaffinity(0))
    with folder_runner(folder, memory_max=config.query.memory_max, threads=threads, clock=clock) as (runner, state):
        node = config.node
        maker = Maker(
            node=node.name,
            zone=node.timezone,
            state=lambda: state,
            status=lambda: folder_status(folder, clock=clock),
            now_us=clock.now_us,
        )
        report = asyncio.run(maker.make(definition, period, parameters, runner))
        return rendered(report, form, maker.zone)  # type: ignore[arg-type]  # the command line offers no other
