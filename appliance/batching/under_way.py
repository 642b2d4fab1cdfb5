"""One run under way: its work, its runner, its time, and whether it has been told to end.

Belongs to the event loop. What ends it early (cancel, time, the end of the service) is told to its runner first; work that doesn't
listen is cancelled as a task after a while.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from appliance.batching.runner import LimitedRunner, Processes
from appliance.batching.work import Context, Limits, Outcome, Run, Work
from appliance.clock import Clock
from appliance.errors import ApplianceError, JobFailed, QueryCancelled
from appliance.observe.jobs import RunRow
from appliance.serving.usage import Usage
from appliance.units import show_duration

log = logging.getLogger(__name__)
GRACE_S: Final = 10.0
"""Time in which work ends by itself once its queries and programs have been ended."""
TELL_EVERY_NS: Final = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Ended:
    """How an attempt has ended."""

    outcome: Outcome | None
    error: ApplianceError | None
    """None when it went well, or when the service is ending."""
    usage: Usage
    is_cancelled: bool = False
    is_stopping: bool = False
    """It had to make way: the run is done again, at the next start where the service is ending."""


class UnderWay:
    """One attempt of one run."""

    def __init__(
        self, work: Work, row: RunRow, *, limits: Limits, processes: Processes, clock: Clock, on_progress: Callable[[UnderWay], None]
    ) -> None:
        self.work = work
        self.row = row
        self.share: float | None = None
        self.doing = ""
        self._limits = limits
        self._clock = clock
        self._on_progress = on_progress
        self._told_ns = 0
        self._processes = processes
        self._stood_s = 0.0
        """Up to which batch work had been held still when the time was counted last."""
        self._runner = LimitedRunner(processes, limits, run_id=row.id, tell=self._progress)
        self._why: ApplianceError | None = None
        self._is_cancelled = False
        self._is_stopping = False
        self._task: asyncio.Task[Outcome] | None = None

    @property
    def usage(self) -> Usage:
        """What it has used so far."""
        return self._runner.usage

    async def run(self) -> Ended:
        """Does it; never raises but ``CancelledError`` of its own task."""
        loop = asyncio.get_running_loop()
        row = self.row
        context = Context(
            Run(row.id, row.name, row.due_us, row.reason, row.attempt, row.parameters),
            self._runner,
            self._progress,
            lambda: self._why is not None,
        )
        self._task = loop.create_task(_as_task(self.work, context))
        self._stood_s = self._processes.stood_s()
        self._timer = loop.call_later(self._limits.time_max_s, self._time_is_up)
        try:
            outcome = await self._task
            return Ended(outcome, None, self.usage)
        except ApplianceError as e:
            return self._ended(self._why or e)
        except asyncio.CancelledError:
            if self._why is None:
                raise
            return self._ended(self._why)
        except Exception as e:
            log.exception("the %s %s failed by a defect", row.kind, row.name)
            return self._ended(self._why or JobFailed(f"it failed by a defect: {type(e).__name__}: {e}"))
        finally:
            self._timer.cancel()
            self._runner.close()

    def cancel(self, why: str) -> None:
        """Ends it soon, for good."""
        self._is_cancelled = True
        self._end(QueryCancelled(why))

    def leave(self, why: str = "the appliance is stopping") -> None:
        """Ends it soon, to be done again: because the service ends, or has to make room."""
        self._is_stopping = True
        self._end(QueryCancelled(why))

    def _time_is_up(self) -> None:
        """The time for which batch work was held still does not count."""
        before, self._stood_s = self._stood_s, self._processes.stood_s()
        if self._stood_s > before:
            self._timer = asyncio.get_running_loop().call_later(self._stood_s - before, self._time_is_up)
            return
        limit = show_duration(self._limits.time_max_s)
        self._end(JobFailed(f"it took longer than it may ({limit}, time_max)", may_retry=False))

    def _end(self, why: ApplianceError) -> None:
        if self._why is not None:
            return
        self._why = why
        self._runner.stop(why)
        if self._task is not None:
            asyncio.get_running_loop().call_later(GRACE_S, self._task.cancel)

    def _ended(self, error: ApplianceError) -> Ended:
        return Ended(None, error, self.usage, is_cancelled=self._is_cancelled, is_stopping=self._is_stopping)

    def _progress(self, share: float | None, doing: str) -> None:
        self.share, self.doing = share, doing
        now_ns = self._clock.monotonic_ns()
        if now_ns - self._told_ns >= TELL_EVERY_NS:
            self._told_ns = now_ns
            self._on_progress(self)


async def _as_task(work: Work, context: Context) -> Outcome:
    return await work.run(context)
