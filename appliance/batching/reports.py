"""Reports of a running service: issued on a schedule, on request and anew when late records change them; what was issued stays.

A revision is durable in one transaction with the messages about it, after its files are published whole: a crash before it leaves
files that nobody knows (the next start removes them), one after it leaves nothing to do but hand the messages over. Nothing that was
issued is overwritten. A run that is repeated finds that nothing differs, and issues nothing.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any, Final, TypeVar

from appliance.batching.report_definitions import Definition
from appliance.batching.report_files import ReportFiles, stem_of
from appliance.batching.report_making import Maker
from appliance.batching.work import Runner
from appliance.clock import US_PER_S, Clock
from appliance.cold.batch.reports.data import document
from appliance.cold.batch.reports.difference import difference
from appliance.cold.batch.reports.forms import rendered
from appliance.cold.batch.reports.period import Period, period_asked, period_before
from appliance.cold.batch.reports.values import Difference, PartChange, Report
from appliance.cold.batch.reports.words import standing
from appliance.door.commit import Committer
from appliance.errors import UsageRefused
from appliance.hot import deletions, issued
from appliance.hot.alerts.tables import durable
from appliance.hot.alerts.telling import tell
from appliance.hot.issued import Issue
from appliance.hot.reader import HotReader

log = logging.getLogger(__name__)
T = TypeVar("T")
Told = Callable[[float | None, str], None]
LATE: Final = "late records"
DELETED: Final = "deleted records"


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What reports take of the service. ``call`` runs something with the write connection; the rest may be called from any thread."""

    definitions: Callable[[], Mapping[str, Definition]]
    maker: Maker
    files: ReportFiles
    reader: Callable[[], AbstractContextManager[HotReader]]
    call: Callable[[Callable[[Committer], Any]], Future[Any]]
    hand_over: Callable[[Sequence[int]], None]
    """Messages that are committed go now."""
    clock: Clock
    step: Callable[[str], None]
    """Told each named step: ``report.registering`` within the transaction, ``report.registered``, ``report.handed_over`` after it."""


@dataclass(frozen=True, slots=True)
class Made:
    """What an issue came to."""

    report: Report
    issue: Issue
    is_new: bool
    """False: nothing differs from ``issue``, and nothing was issued."""

    @property
    def words(self) -> str:
        """In one line."""
        i = self.issue
        partly = f", {i.failed} of {i.blocks} parts failed" if i.failed else ""
        if not self.is_new:
            return f"{i.name} {i.day}: nothing differs from revision {i.revision}{partly}"
        said = f"; differs in: {i.difference}" if i.revision > 1 else ""
        return f"{i.name} {i.day} revision {i.revision}{partly}{said}"


class Reports:
    """The one who issues. ``issue`` belongs to the event loop, one at a time; what blocks goes into threads."""

    def __init__(self, surroundings: Surroundings) -> None:
        self.surroundings = surroundings
        self._lock = asyncio.Lock()

    def definition(self, name: str) -> Definition:
        """Raises ``UsageRefused`` for a report that there is not."""
        known = self.surroundings.definitions()
        found = next((d for n, d in known.items() if n.lower() == name.lower()), None)
        if found is None:
            raise UsageRefused(f"there is no report {name!r}; there are {', '.join(known) or 'none'}")
        return found

    def period(self, definition: Definition, day: str | None, *, now_us: int) -> Period:
        """The one asked for by one of its days; None: the newest that is over."""
        zone = self.surroundings.maker.zone
        if day is None:
            return period_before(now_us, covers=definition.options.covers, zone=zone)
        return period_asked(day, now_us=self.surroundings.clock.now_us(), covers=definition.options.covers, zone=zone)

    async def render(self, name: str, given: Mapping[str, str], day: str | None, form: str, runner: Runner) -> str:
        """A report as of now, in one form, issued nowhere. Raises as ``Maker.make``."""
        definition = self.definition(name)
        period = self.period(definition, day, now_us=self.surroundings.clock.now_us())
        report = await self.surroundings.maker.make(definition, period, given, runner)
        return await asyncio.to_thread(rendered, report, form, self.surroundings.maker.zone)  # type: ignore[arg-type]  # checked by its asker

    async def issue(
        self,
        definition: Definition,
        period: Period,
        given: Mapping[str, str],
        *,
        reason: str,
        runner: Runner,
        progress: Told = lambda *_: None,
    ) -> Made:
        """Makes it and, where anything differs from its last revision, issues it as the next one. Raises as ``Maker.make``,
        ``RetryLater`` on a full disk."""
        async with self._lock:
            deletion = await asyncio.to_thread(self.deletion)
            report = await self.surroundings.maker.make(definition, period, given, runner, progress)
            progress(None, "writing")
            return await asyncio.to_thread(self._issue, definition, report, reason, deletion)

    def deletion(self) -> int:
        """The highest id of a deletion: what is read from now on knows all up to it. Blocks."""
        with self.surroundings.reader() as reader:
            return deletions.newest(reader.cursor)

    def _issue(self, definition: Definition, report: Report, reason: str, deletion: int) -> Made:
        s = self.surroundings
        with s.reader() as reader:
            before = issued.newest(reader, report.name, report.period.name, report.parameters)
        if before is not None:
            found = self._compared(before, report)
            if not found.parts and (before.is_over, before.failed, before.removed_us) == (report.is_over, report.failed, None):
                self.checked(before, {u.stream.lower(): u.seq for u in report.used}, deletion=deletion)
                return Made(report, before, is_new=False)
            report = replace(report, revision=before.revision + 1, difference=found)
        own = {n: v for n, v in report.parameters.items() if v != definition.options.parameters.get(n)}
        forms = {form: rendered(report, form, s.maker.zone) for form in dict.fromkeys((*definition.options.formats, "json"))}
        files = s.files.publish(report.name, stem_of(report.period.name, own, report.revision), forms)
        issue = _issue_of(report, files, reason, deletion)
        issue = self._write(lambda db: self._register(db, definition, report, issue))
        s.step("report.registered")
        s.hand_over(issue.told)
        s.step("report.handed_over")
        log.info("report %s %s revision %d was issued (%s)", issue.name, issue.day, issue.revision, reason)
        return Made(report, issue, is_new=True)

    def _compared(self, before: Issue, report: Report) -> Difference:
        path = next((f.path for f in before.files if f.format == "json"), None)
        content = self.surroundings.files.read(path) if path is not None and before.removed_us is None else None
        try:
            old = json.loads(content) if content is not None else None
            if old is not None:
                return difference(old, document(report))
        except (ValueError, KeyError, TypeError) as e:
            log.warning("the report %s can't be compared with: %s", path, e)
        return Difference(before.revision, (PartChange("", words=f"revision {before.revision} can't be read any more"),))

    def _register(self, db: sqlite3.Connection, definition: Definition, report: Report, issue: Issue) -> Issue:
        """Within the transaction: the row, and the messages about it."""
        number = issued.add(db, issue)
        attached = [f.path for f in issue.files if f.format in definition.options.formats][:1]
        revised = f" (revision {issue.revision})" if issue.revision > 1 else ""
        told = [
            tell(
                db,
                channel,
                f"{issue.title} {issue.day}{revised}{f' from {report.node}' if report.node else ''}",
                _message(report, issue, self.surroundings.maker),
                attached,
                about=f"report {issue.name}",
                key=f"{issue.day} {issued.key_of(issue.parameters)} r{issue.revision}",
                now_us=issue.issued_us,
                severity="warning" if issue.failed else "info",
            )
            for channel in definition.options.notify
        ]
        ids = tuple(i for i in told if i is not None)
        issued.set_told(db, number, ids)
        self.surroundings.step("report.registering")
        return replace(issue, id=number, told=ids)

    def checked(self, issue: Issue, up_to: Mapping[str, int], *, deletion: int) -> None:
        """Notes that everything up to these sequences, and each deletion up to that one, was looked at and changes nothing. Blocks."""
        seen = {u.stream.lower(): u.seq for u in issue.used} | dict(issue.checked or {})
        if deletion > issue.deletion or any(seq > seen.get(stream, -1) for stream, seq in up_to.items()):
            known = {**(issue.checked or {}), **up_to}
            self._write(lambda db: issued.set_checked(db, issue.id, known, deletion=max(deletion, issue.deletion)))

    def expire(self, *, now_us: int) -> int:
        """Removes what is older than its report's ``keep``; how many revisions. A crash within leaves files that nobody knows. Blocks."""
        definitions = self.surroundings.definitions()
        with self.surroundings.reader() as reader:
            there = issued.all_issues(reader, is_there=True)
        kept_us = {n: d.options.keep_s * US_PER_S for n, d in definitions.items() if d.options.keep_s is not None}
        old = [i for i in there if i.name in kept_us and i.until_us < now_us - kept_us[i.name]]
        if old:
            self._write(lambda db: issued.set_removed(db, [i.id for i in old], now_us=now_us))
            self.surroundings.step("report.expired")
            self.surroundings.files.remove(f.path for i in old for f in i.files)
        return len(old)

    def tidy(self) -> None:
        """Removes what a run that was cut short has left; once, before anything is issued. Blocks."""
        with self.surroundings.reader() as reader:
            there = issued.all_issues(reader)
        names = {*self.surroundings.definitions(), *(i.name for i in there)}
        left = self.surroundings.files.tidy(names, frozenset(f.path for i in there if i.removed_us is None for f in i.files))
        if left:
            log.info("removed %d files of reports that were not finished", len(left))

    def _write(self, run: Callable[[sqlite3.Connection], T]) -> T:
        def write(committer: Committer) -> T:
            db = committer.store.connection
            with durable(db), committer.store.transaction():
                return run(db)

        found: T = self.surroundings.call(write).result()
        return found


def _issue_of(report: Report, files: tuple[issued.File, ...], reason: str, deletion: int) -> Issue:
    return Issue(
        name=report.name,
        title=report.title,
        day=report.period.name,
        since_us=report.period.since_us,
        until_us=report.period.until_us,
        parameters=report.parameters,
        revision=report.revision,
        reason=reason,
        issued_us=report.made_us,
        is_over=report.is_over,
        failed=report.failed,
        blocks=report.blocks,
        files=files,
        used=tuple(issued.UsedStream(u.stream, u.seq, u.records, u.newest_us, u.dirty) for u in report.used),
        notes=report.notes,
        difference="" if report.difference is None else report.difference.words,
        deletion=deletion,
    )


def _message(report: Report, issue: Issue, maker: Maker) -> str:
    """What a channel is told that can carry no file."""
    lines = [line for _, line in standing(report, maker.zone)]
    known = [u for u in report.used if u.records is not None]
    if known:
        lines.append(f"{sum(u.records or 0 for u in known)} records of {len(known)} streams.")
    if not issue.failed and not lines:
        lines.append("Complete.")
    return "\n".join(lines)
