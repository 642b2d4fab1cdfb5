"""The incidents of a running service: sightings and answers in, stored and told."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from typing import Any, Final
from zoneinfo import ZoneInfo

import msgspec

from appliance.alerting.alerting import Alerting
from appliance.box import Box, no_step
from appliance.config import Config
from appliance.errors import RetryLater, UsageRefused
from appliance.hot import incident_tables
from appliance.hot.incident_tables import Change
from appliance.hot.reader import HotReader
from appliance.hybrid.analysis.incidents.answering import Answered, answered, worded_by
from appliance.hybrid.analysis.incidents.cases import Case
from appliance.hybrid.analysis.incidents.grouping import Group, Outcome, Rules, step
from appliance.hybrid.analysis.incidents.values import Answer
from appliance.hybrid.analysis.incidents.wording import SUMMARY_CHARS_MAX, explained
from appliance.hybrid.analysis.keeping.bodies import body_of, going_on, group_of
from appliance.hybrid.analysis.keeping.first import closed_row, first_answer, grown_row, late_change, new_row
from appliance.hybrid.analysis.keeping.shown import counting_of, event_of, missing, quality_rows
from appliance.hybrid.analysis.keeping.storing import NOT_STORED, Storing, Write, Writes
from appliance.hybrid.analysis.phrases import plain
from appliance.hybrid.analysis.sighting import Sighting
from appliance.hybrid_options import AnalysisOptions
from appliance.observe.analysis import (
    AnalysisPicture,
    AnswerRow,
    FeedbackRow,
    IncidentPicture,
    IncidentRow,
    LearningRow,
    MemberRow,
)
from appliance.observe.status import Problem

log = logging.getLogger(__name__)
Words = Callable[[IncidentPicture, str], tuple[str | None, str]]
"""(incident, question) -> an answer by whoever words better, or None: the built-in one stands; and a line about it, or ""."""
SAVE_EVERY_US: Final = 5_000_000
"""What only grows is stored so often; what opens, closes or is answered at once."""
TAKE_S: Final = 5.0
"""How long the first pass waits for the store; after that it goes on, and it is stored as soon as it can be."""
ANSWER_S: Final = 30.0
VERDICTS: Final = ("confirm", "dismiss")


class Incidents:
    """See the module. Every method but those that say otherwise may be called from any thread but the event loop's, and blocks."""

    def __init__(
        self,
        box: Box,
        config: Config,
        *,
        alerting: Alerting,
        publish: Callable[[str, Mapping[str, Any]], None],
        step: Callable[[str], None] = no_step,
    ) -> None:
        """Blocks for what was stored: open incidents are open again. ``publish`` takes an event (``incident``, ``answer``) and its data."""
        self.on_open: list[Callable[[int], None]] = []
        """Told the id of each incident that was opened, once that is durable, in the thread that opened it; must return at once."""
        self.on_grow: list[Callable[[int], None]] = []
        """Likewise of one that has become much larger or graver than when it was last told of."""
        self.on_close: list[Callable[[int], None]] = []
        """Likewise of one that is over: now there is something after it to look at."""
        self.learning: Callable[[], Sequence[LearningRow]] = tuple
        """What is followed, and how far it has been learned; whoever follows sets it. From any thread."""
        self.memory: Callable[[], int] = lambda: 0
        """Bytes of all state of the analysis; likewise."""
        self.models: Callable[[str], Mapping[str, str]] = lambda _workload: {}
        """Workload -> model -> version in use; likewise."""
        self.on_answer: list[Callable[[int], None]] = []
        """Likewise of one that has another answer by ``answer``."""
        self.words: Words = lambda _incident, _question: (None, "")
        """Who answers "why" better than what is built in; may take its time."""
        self._box, self._publish = box, publish
        self._storing = Storing(box, alerting, step=step)
        self._lock = threading.Lock()
        self._failed_us = 0
        self._saved_us = 0
        self._queue: list[tuple[Write, str]] = []
        """What is decided and not stored, with the event that tells of it."""
        self._dirty: set[int] = set()
        """Incidents that have grown since they were stored."""
        self._groups: dict[str, Group] = {}
        self._rows: dict[int, IncidentRow] = {}
        """Of the incidents that go on, as they are stored or are to be."""
        self.reload(config)
        with closing(box.reader()) as reader:
            self._take_up(reader)

    def settle(self) -> None:
        """Ends alerts of incidents that were said to be over while nobody ran: once, after alerts are evaluated."""
        with closing(self._box.reader()) as reader:
            for workload, incident_id in self._storing.firing(self._options):
                row = self._rows.get(incident_id) or incident_tables.load(reader, incident_id)
                if row is not None and row.state != "open":
                    write = Write(change=Change(row=row), act="resolve", at_us=row.until_us)
                    with self._lock:
                        self._queue.append((write, "incident"))
                    log.info("the alert of incident %d of %s ends: it is %s", incident_id, workload, row.state)
        with self._lock:
            self._try_to_save(self._box.clock.now_us(), timeout_s=TAKE_S)

    def take(self, sightings: Sequence[Sighting], now_us: int, *, seen: Mapping[str, int] | None = None) -> None:
        """One round of the first pass, in the order of event time; also without sightings, since time alone closes.

        ``seen``: stream -> event time up to which its records have been scored; of streams that are missing the newest sighting counts.
        What opens or closes an incident is durable when it returns, with its alert; further members at the latest with ``save``.
        Sightings that were taken before (a start that goes on from an earlier place gives them again) change nothing. Never raises
        because the disk is full: then it is stored as soon as it can be.
        """
        if not sightings and not self._groups:
            return
        with self._lock:
            by: dict[str, list[Sighting]] = {name: [] for name in self._groups}
            for s in sightings:
                by.setdefault(s.workload, []).append(s)
            told: list[tuple[Sequence[Callable[[int], None]], int]] = []
            for workload, found in by.items():
                group = self._groups.get(workload, Group())
                outcome = step(group, found, seen or {}, workload=workload, rules=self._rules(workload), new_id=self._new_id)
                self._groups[workload] = outcome.group
                told += self._note(outcome, now_us)
            is_due = self._dirty and abs(now_us - self._saved_us) >= SAVE_EVERY_US
            if self._queue or is_due:
                self._try_to_save(now_us, timeout_s=TAKE_S)
        for listeners, incident_id in told:
            for listener in listeners:
                listener(incident_id)

    def save(self, now_us: int) -> None:
        """Everything that was taken is durable when it returns: to be called before a place behind those sightings is stored. Raises
        ``RetryLater`` where the disk is full."""
        with self._lock:
            self._save(now_us, timeout_s=ANSWER_S)

    def open(self) -> Sequence[IncidentRow]:
        """Incidents that are open, the gravest first. From any thread; waits for nothing."""
        return sorted((r for r in tuple(self._rows.values()) if r.state == "open"), key=lambda r: (-r.severity, r.id))

    def answer(self, incident_id: int, answer: Answer) -> IncidentRow | None:
        """Another answer: with what it supersedes and what follows for alert and messages in one transaction, durable when it returns.

        A person's word goes before: where there is one, the answer is kept and does not count. None where there is no such incident any
        more. Raises ``RetryLater``.
        """
        now_us = self._box.clock.now_us()
        with self._lock, closing(self._box.reader()) as reader:
            self._save_decided(now_us)
            row, before, members = self._known(reader, incident_id)
            if row is None:
                return None
            found = answered(row, before, members, answer, now_us=now_us)
            change = Change(row=found.row, members=found.members, answer=found.answer, evidence=answer.evidence, lines=answer.lines or None)
            self._store_answer(found, change, now_us)
        for listener in self.on_answer:
            listener(incident_id)
        return found.row

    def found_late(self, workload: str, answer: Answer, *, since_us: int, until_us: int) -> IncidentRow:
        """An incident that is over and that the first pass had not told of: the deep pass' answer is the first. Told once, and durable when
        it returns. Raises ``RetryLater``."""
        now_us = self._box.clock.now_us()
        with self._lock:
            self._save_decided(now_us)
            change = late_change(self._new_id(), workload, answer, since_us=since_us, until_us=until_us, now_us=now_us)
            self._put(((Write(change=change, act="late", at_us=since_us), "incident"),), now_us, timeout_s=ANSWER_S)
        for listener in self.on_answer:
            listener(change.row.id)
        return change.row

    def set_deep(self, incident_id: int, state: str) -> None:
        """The deep pass: ``none``, ``queued``, ``running``, ``done``, ``failed``; stored with the next ``save`` or a few seconds later."""
        with self._lock, closing(self._box.reader()) as reader:
            row = self._rows.get(incident_id) or incident_tables.load(reader, incident_id)
            if row is None or row.deep == state:
                return
            row = msgspec.structs.replace(row, deep=state)
            if incident_id in self._rows:
                self._rows[incident_id] = row
            self._queue.append((Write(change=Change(row=row)), "incident"))

    def reword(self, incident_id: int, number: int, summary: str, written_by: str) -> bool:
        """Another wording of one answer's summary, nothing else; whether it was taken (the answer still counts). Told as ``answer``."""
        now_us = self._box.clock.now_us()
        with self._lock, closing(self._box.reader()) as reader:
            self._save_decided(now_us)
            row, before, _ = self._known(reader, incident_id)
            if row is None or before is None or before.number != number:
                return False
            made = msgspec.structs.replace(before, summary=plain(summary, SUMMARY_CHARS_MAX), written_by=written_by)
            row = msgspec.structs.replace(row, summary=made.summary)
            found = Answered(row=row, answer=made, members=None, act="reword", superseded=None)
            self._store_answer(found, Change(row=row, answer=made), now_us)
        return True

    def say(self, incident_id: int, verdict: str, *, author: str, comment: str = "") -> IncidentRow:
        """A person's word, ``confirm`` or ``dismiss``: kept for the next training, and it counts from now on. Durable when it returns.

        Raises ``UsageRefused`` where there is no such incident or verdict, ``RetryLater``.
        """
        if verdict not in VERDICTS:
            raise UsageRefused(f"there is no verdict {verdict[:40]!r}; there are: {', '.join(VERDICTS)}")
        now_us = self._box.clock.now_us()
        with self._lock, closing(self._box.reader()) as reader:
            self._save_decided(now_us)
            row, before, _ = self._known(reader, incident_id)
            if row is None or before is None:
                raise missing(incident_id)
            said, found = worded_by(row, before, verdict, author=author, comment=comment, now_us=now_us)
            self._store_answer(found, Change(row=found.row, answer=found.answer, feedback=said), now_us)
        return found.row

    def show(self, incident_id: int) -> IncidentPicture | None:
        """One incident, whole; None where there is none."""
        with closing(self._box.reader()) as reader:
            found = incident_tables.load_picture(reader, incident_id)
        return found and self._newest(found)

    def picture(self, *, limit: int = 100, state: str | None = None) -> AnalysisPicture:
        """Everything, with at most ``limit`` incidents (of one ``state``: open, closed, dismissed)."""
        with closing(self._box.reader()) as reader:
            rows = incident_tables.load_many(reader, state=state, limit=limit)
            counts = incident_tables.counts(reader)
        known = dict(self._rows)
        quality = quality_rows(counts, {name: self.models(name) for name in {*counts, *self._options}})
        incidents = tuple(known.get(row.id, row) for row in rows)
        return AnalysisPicture(incidents=incidents, learning=tuple(self.learning()), quality=quality, memory=self.memory())

    def explain(self, incident_id: int, question: str = "") -> str:
        """Why, in plain words, out of the incident's own figures. Raises ``UsageRefused`` where there is no such incident."""
        found = self.show(incident_id)
        if found is None:
            raise missing(incident_id)
        said, about = self.words(found, question) if question else (None, "")
        return "\n".join(filter(None, (said or explained(found, zone=self._zone), about)))

    def feedback(self, workload: str, *, since_us: int = 0) -> Sequence[tuple[IncidentPicture, FeedbackRow]]:
        """What people said of incidents, the oldest first, for training."""
        with closing(self._box.reader()) as reader:
            said = incident_tables.load_feedback(reader, workload, since_us=since_us)
            found = [(incident_tables.load_picture(reader, incident), row) for incident, row in said]
        return [(picture, row) for picture, row in found if picture is not None]

    def reload(self, config: Config) -> None:
        """From now on with this config."""
        self._zone = ZoneInfo(config.node.timezone)
        self._watch = config.analysis
        self._options = {name: o for name, o in config.workloads.items() if isinstance(o, AnalysisOptions)}

    def problems(self) -> Sequence[Problem]:
        """What can't be stored. From any thread; waits for nothing."""
        if not self._failed_us:
            return ()
        return (Problem("WARN", NOT_STORED, self._failed_us, "they are kept in memory and stored as soon as there is room"),)

    # --- what is known, under the lock ------------------------------------------------------------------------------------

    def _take_up(self, reader: HotReader) -> None:
        self._next_id = incident_tables.newest_id(reader)
        bodies = incident_tables.load_groups(reader)
        open_ = incident_tables.load_many(reader, state="open", limit=100_000)
        rows = {row.id: row for row in open_}
        rows |= {r.id: r for text in bodies.values() for r in incident_tables.load_ids(reader, going_on(text)) if r.id not in rows}
        self._rows = {i: row for i, row in rows.items() if row.state != "closed"}
        for workload in {*bodies, *(row.workload for row in open_)}:
            mine = [row for row in self._rows.values() if row.workload == workload]
            members = {row.id: incident_tables.load_members(reader, row.id, limit=1_000) for row in mine}
            self._groups[workload] = group_of(bodies.get(workload, ""), mine, members)

    def _rules(self, workload: str) -> Rules:
        options = self._option(workload)
        return Rules(sensitivity=options.sensitivity, open_max=self._watch.open_max, raises_alert=bool(options.notify))

    def _option(self, workload: str) -> AnalysisOptions:
        return self._options.get(workload) or AnalysisOptions()

    def _new_id(self) -> int:
        self._next_id += 1
        return self._next_id

    def _note(self, outcome: Outcome, now_us: int) -> list[tuple[Sequence[Callable[[int], None]], int]]:
        """What has happened in a round, as it is to be stored; whom to tell of it afterwards."""
        told: list[tuple[Sequence[Callable[[int], None]], int]] = []
        cases = {**outcome.group.cases, **{c.id: c for c in outcome.closed}}
        for i in outcome.opened:
            row = new_row(cases[i], now_us=now_us, deep="none")
            self._first(row, cases[i], None, now_us)
            told.append((self.on_open, i))
        for i in outcome.grown:
            self._rows[i] = grown_row(self._rows[i], cases[i])
            if self._rows[i].verdict == "unusual":
                self._first(self._rows[i], cases[i], self._rows[i], now_us)
            told.append((self.on_grow, i))
        for i in outcome.changed - {c.id for c in outcome.closed}:
            self._rows[i] = grown_row(self._rows[i], cases[i])
            self._dirty.add(i)
        for case in outcome.closed:
            row = self._rows.pop(case.id)
            self._dirty.discard(case.id)
            if row.state == "open":
                row = closed_row(row, case, now_us=now_us)
                write = Write(change=Change(row=row, members=tuple(case.gravest())), act="resolve", at_us=case.until_us)
                self._queue.append((write, "incident"))
                told.append((self.on_close, case.id))
        return told

    def _first(self, row: IncidentRow, case: Case, before: IncidentRow | None, now_us: int) -> None:
        """An answer of the first pass: the very first, or the next one as the incident has grown."""
        answer = first_answer(case, zone=self._zone, models=self.models(case.workload), sensitivity=self._option(case.workload).sensitivity)
        old = None if before is None else counting_of(before)
        found = answered(row, old, (), answer, now_us=now_us, severity=case.severity)
        gravest = case.gravest()
        self._rows[row.id] = found.row
        change = Change(row=found.row, members=tuple(gravest), answer=found.answer)
        write = Write(change=change, act=found.act, at_us=case.since_us, seq=gravest[0].seq, superseded=old)
        self._queue.append((write, "incident" if before is None else "answer"))

    def _known(self, reader: HotReader, incident_id: int) -> tuple[IncidentRow | None, AnswerRow | None, Sequence[MemberRow]]:
        """An incident as it is now, the answer that counts, its members."""
        row = self._rows.get(incident_id) or incident_tables.load(reader, incident_id)
        if row is None:
            return None, None, ()
        case = self._case(row)
        members = case.gravest() if case is not None else incident_tables.load_members(reader, incident_id, limit=1_000)
        return row, incident_tables.load_counting(reader, incident_id), members

    def _case(self, row: IncidentRow) -> Case | None:
        group = self._groups.get(row.workload)
        return None if group is None else group.cases.get(row.id)

    def _newest(self, found: IncidentPicture) -> IncidentPicture:
        """With what is not stored yet."""
        row = self._rows.get(found.incident.id)
        case = None if row is None else self._case(row)
        if row is None or case is None:
            return found
        members = tuple(case.gravest()[: incident_tables.MEMBERS_SHOWN])
        return msgspec.structs.replace(found, incident=row, members=members)

    # --- storing, under the lock ------------------------------------------------------------------------------------------

    def _store_answer(self, found: Answered, change: Change, now_us: int) -> None:
        """Stored, then known, then told."""
        write = Write(change=change, act=found.act, at_us=found.row.until_us, superseded=found.superseded)
        self._put(((write, "answer"),), now_us, timeout_s=ANSWER_S)
        row = found.row
        case = self._case(row)
        if row.id not in self._rows or case is None:
            return
        self._rows[row.id] = row
        members = case.members
        if found.members is not None:
            members = {(m.stream, m.column, tuple(m.key.items()), m.template): m for m in found.members}
        case = replace(case, is_dismissed=row.state == "dismissed", members=members, since_us=row.since_us)
        group = self._groups[row.workload]
        self._groups[row.workload] = replace(group, cases={**group.cases, row.id: case})

    def _try_to_save(self, now_us: int, *, timeout_s: float) -> None:
        try:
            self._save(now_us, timeout_s=timeout_s)
        except RetryLater as e:
            if not self._failed_us:
                log.warning("%s: %s", NOT_STORED, e)
            self._failed_us = self._failed_us or now_us

    def _save_decided(self, now_us: int) -> None:
        """What was decided before goes before."""
        if self._queue:
            self._save(now_us, timeout_s=ANSWER_S)

    def _save(self, now_us: int, *, timeout_s: float) -> None:
        if not self._queue and not self._dirty and not self._groups:
            return
        grown = ((self._rows[i], self._case(self._rows[i])) for i in sorted(self._dirty) if i in self._rows)
        later = [(Write(change=Change(row=row, members=tuple(case.gravest()))), "") for row, case in grown if case is not None]
        self._put((*self._queue, *later), now_us, timeout_s=timeout_s)
        self._queue, self._dirty = [], set()

    def _put(self, steps: Sequence[tuple[Write, str]], now_us: int, *, timeout_s: float) -> None:
        """In one transaction; then whoever follows is told."""
        writes = tuple(write for write, _ in steps)
        bodies = {workload: body_of(group) for workload, group in self._groups.items()}
        options = {w.change.row.workload: self._option(w.change.row.workload) for w in writes}
        all_ = Writes(writes=writes, bodies=bodies, incidents_max=self._watch.incidents_max, now_us=now_us)
        self._storing.store(all_, options, timeout_s=timeout_s)
        self._failed_us, self._saved_us = 0, now_us
        for write, event in steps:
            if event:
                self._publish(event, event_of(write))
