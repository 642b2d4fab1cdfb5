"""The pieces of work that the queue gets of reports: one each, and one that looks which have to be made anew."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from appliance.batch_options import Priority
from appliance.batching.report_definitions import Definition
from appliance.batching.report_making import counting_sql
from appliance.batching.reports import DELETED, LATE, Reports
from appliance.batching.work import Context, Limits, Outcome, When, Work
from appliance.cold.batch.reports.period import Period, local_day, period_of
from appliance.cold.batch.reports.revising import Issued, Stored, cut_by, has_changed, is_time, maybe_changed
from appliance.errors import ApplianceError, QueryCancelled, QueryRefused, RetryLater
from appliance.hot import deletions, issued
from appliance.hot.issued import Issue
from appliance.hot.state import State, StreamState
from appliance.manifest import Deletion

log = logging.getLogger(__name__)
REVISIONS: Final = "report revisions"
"""The name of the work that looks for what has to be made anew."""
REVISIONS_EVERY_S: Final = 300.0
RETRIES: Final = 3


def works(reports: Reports, state: Callable[[], State], definitions: Mapping[str, Definition]) -> list[Work]:
    """One for each report that can be made, and the one for revisions."""
    found: list[Work] = [ReportWork(d, reports) for d in definitions.values()]
    return [*found, RevisionsWork(reports, state)]


@dataclass(frozen=True, slots=True)
class ReportWork:
    """Issues one report: of the day that its run names, else of the newest that was over when it was due."""

    definition: Definition
    reports: Reports

    @property
    def name(self) -> str:
        return self.definition.name

    @property
    def kind(self) -> str:
        return "report"

    @property
    def when(self) -> When:
        return When(schedule=self.definition.options.schedule, after=self.definition.options.after)

    @property
    def priority(self) -> Priority:
        return "normal"

    @property
    def limits(self) -> Limits | None:
        return None

    @property
    def retries(self) -> int:
        return RETRIES

    @property
    def notify(self) -> Sequence[str]:
        return self.definition.options.notify

    async def run(self, context: Context) -> Outcome:
        """Parameters of the run: ``day`` and the report's own. What other work hands on and the report does not know is left aside."""
        run, reports = context.run, self.reports
        given = dict(run.parameters)
        period = reports.period(self.definition, given.pop("day", None), now_us=run.due_us)
        if run.reason.startswith("after "):
            given = {n: v for n, v in given.items() if n in self.definition.options.parameters}
        made = await reports.issue(
            self.definition, period, given, reason=run.reason, runner=context.runner, progress=_unless_cancelled(context)
        )
        rows = sum(len(p.table.rows) for p in made.report.parts if p.table is not None)
        return Outcome(made.words, rows=rows, parameters={"day": period.day.isoformat()})


@dataclass(frozen=True, slots=True)
class RevisionsWork:
    """Makes issued reports anew whose records have changed or were deleted since, and removes those whose time is over."""

    reports: Reports
    state: Callable[[], State]

    @property
    def name(self) -> str:
        return REVISIONS

    @property
    def kind(self) -> str:
        return "report"

    @property
    def when(self) -> When:
        return When(every_s=REVISIONS_EVERY_S)

    @property
    def priority(self) -> Priority:
        return "low"

    @property
    def limits(self) -> Limits | None:
        return None

    @property
    def retries(self) -> int:
        return 0

    @property
    def notify(self) -> Sequence[str]:
        return ()

    async def run(self, context: Context) -> Outcome:
        """One that can't be made anew is said and does not hold up the others. Asked for by a person, none waits for its pause."""
        now_us = self.reports.surroundings.clock.now_us()
        removed = await asyncio.to_thread(self.reports.expire, now_us=now_us)
        state = self.state()
        stored = {name: stored_of(stream) for name, stream in state.streams.items()}
        made: list[str] = []
        failed: list[str] = []
        current, deleted = await asyncio.to_thread(self._current)
        for issue in current:
            definition = self.reports.surroundings.definitions().get(issue.name)
            if context.is_cancelled():
                raise QueryCancelled("the run was cancelled")
            if definition is None or not definition.options.revise:
                continue
            known = issued_of(issue)
            may = now_us >= issue.until_us if context.run.reason == "asked" else is_time(known, now_us=now_us)
            streams, cut = (maybe_changed(known, stored), cut_by(known, deleted)) if may else ((), ())
            if not streams and not cut:
                continue
            try:
                words = await self._look(issue, definition, known, streams, cut, state, context)
            except (QueryCancelled, RetryLater):
                raise
            except ApplianceError as e:
                log.warning("report %s %s can't be made anew: %s", issue.name, issue.day, e)
                failed.append(f"{issue.name} {issue.day}: {e}")
                continue
            made += [words] if words else []
        said = [f"{len(made)} made anew" if made else "nothing to make anew", *made[:5], *failed[:5]]
        if removed:
            said.append(f"{removed} removed because of their age")
        return Outcome("; ".join(said), rows=len(made))

    def _current(self) -> tuple[list[Issue], list[Deletion]]:
        """The issues, and every deletion that one of them may not know."""
        with self.reports.surroundings.reader() as reader:
            found = issued.current(reader)
            return found, deletions.after(reader.cursor, min((i.deletion for i in found), default=0)) if found else []

    def _expired(self, issue: Issue) -> set[str]:
        with self.reports.surroundings.reader() as reader:
            return deletions.expired_since(reader.cursor, at_us=issue.issued_us, since_us=issue.since_us, until_us=issue.until_us)

    async def _look(
        self,
        issue: Issue,
        definition: Definition,
        known: Issued,
        streams: Sequence[str],
        cut: Sequence[str],
        state: State,
        context: Context,
    ) -> str | None:
        """What was issued, or why nothing can be, in a line; None where nothing has changed.

        ``streams`` may hold late records, of ``cut`` records may have been deleted. What retention has removed is in no new revision,
        so a report that lives on such records stays as it was issued.
        """
        deletion = await asyncio.to_thread(self.reports.deletion)
        up_to = {s: state.streams[s].last_seq for s in streams}
        gone = set(known.up_to) & await asyncio.to_thread(self._expired, issue)
        if gone:
            await asyncio.to_thread(self.reports.checked, issue, up_to, deletion=deletion)
            return None
        day = local_day(issue.since_us, self.reports.surroundings.maker.zone)
        period = period_of(day, covers=definition.options.covers, zone=self.reports.surroundings.maker.zone)
        if not cut:
            asked = {state.streams[s].name: (s, known.up_to[s]) for s in streams}
            table = await context.runner.table(counting_sql(asked, period, above=True))
            if not has_changed({row["stream"]: row["n"] for row in table.to_pylist()}):
                await asyncio.to_thread(self.reports.checked, issue, up_to, deletion=issue.deletion)
                return None
        _check_same(issue, period)
        context.progress(None, f"{issue.name} {issue.day}")
        made = await self.reports.issue(
            definition,
            period,
            issue.parameters,
            reason=DELETED if cut else LATE,
            runner=context.runner,
            progress=_unless_cancelled(context),
        )
        return made.words if made.is_new else None


def issued_of(issue: Issue) -> Issued:
    """What decides about a revision."""
    up_to = {u.stream.lower(): u.seq for u in issue.used}
    checked: Mapping[str, int] = issue.checked or {}
    return Issued(
        since_us=issue.since_us,
        until_us=issue.until_us,
        revision=issue.revision,
        issued_us=issue.issued_us,
        up_to={stream: max(seq, checked.get(stream, 0)) for stream, seq in up_to.items()},
        deletion=issue.deletion,
    )


def stored_of(stream: StreamState) -> list[Stored]:
    """Where a stream's records lie. Those that are neither in the ring nor in the lake may be of any time."""
    found = [Stored(s.last, s.ts_min, s.ts_max) for s in stream.segments]
    found += [Stored(c.last, c.ts_min, c.ts_max) for c in stream.ring if c.last > stream.mark]
    if stream.ring_first > stream.mark + 1:
        found.append(Stored(stream.ring_first - 1, -(2**63), 2**63 - 1))
    return found


def _check_same(issue: Issue, period: Period) -> None:
    """The node's zone, or what the report covers, may be another than it was: then this is another report."""
    if (period.since_us, period.until_us, period.name) != (issue.since_us, issue.until_us, issue.day):
        raise QueryRefused("its days are others now: the time zone or what it covers has been changed since it was issued")


def _unless_cancelled(context: Context) -> Callable[[float | None, str], None]:
    def progress(share: float | None, words: str) -> None:
        if context.is_cancelled():
            raise QueryCancelled("the run was cancelled")
        context.progress(share, words)

    return progress
