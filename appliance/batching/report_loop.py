"""The wiring of reports: made once a start out of what the service has; their runs are the queue's."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from appliance.batching.query_runner import QueryRunner
from appliance.batching.report_definitions import definitions_of
from appliance.batching.report_desk import ReportDesk
from appliance.batching.report_files import ReportFiles
from appliance.batching.report_making import Maker
from appliance.batching.report_works import works
from appliance.batching.reports import Reports, Surroundings
from appliance.batching.work import Work
from appliance.box import Box
from appliance.clock import Clock
from appliance.config import Config
from appliance.observe.status import Status
from appliance.serving.queries import Queries
from appliance.serving.source import pinned_reader


class ReportLoop:
    """Everything about reports of a running service. ``desk`` is whom people ask, ``works`` what the queue gets."""

    def __init__(
        self,
        box: Box,
        queries: Queries,
        *,
        config: Callable[[], Config],
        status: Callable[[], Status],
        hand_over: Callable[[Sequence[int]], None],
        clock: Clock,
        step: Callable[[str], None],
    ) -> None:
        """Removes what a run that was cut short has left. Blocks. ``config``: the one in force."""
        self._state = lambda: box.state
        node = config().node
        self.reports = Reports(
            Surroundings(
                definitions=lambda: definitions_of(config()),
                maker=Maker(node=node.name, zone=node.timezone, state=self._state, status=status, now_us=clock.now_us),
                files=ReportFiles(box.folder, step=step),
                reader=lambda: pinned_reader(box.folder),
                call=box.writer.call,
                hand_over=hand_over,
                clock=clock,
                step=step,
            )
        )
        self.reports.tidy()
        self.desk = ReportDesk(self.reports, runner=lambda: QueryRunner(queries, folder=box.folder))

    def works(self, config: Config) -> Sequence[Work]:
        """The pieces of work of a config, which is about to be in force."""
        return works(self.reports, self._state, definitions_of(config))
