"""What has happened to incidents, stored with what follows for their alerts and messages: all of it in one transaction, or nothing.

Where an alert is concerned, the round of the processor that moves it writes the incident beside it; else the writer does.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Final

from appliance.alerting.alerting import Alerting
from appliance.alerting.analysis_rule import Said, has_fired, raise_alert, resolve_alert, revise_alert
from appliance.box import Box
from appliance.door.commit import Committer
from appliance.errors import RetryLater
from appliance.hot import incident_tables
from appliance.hot.alerts import telling
from appliance.hot.alerts.draft import Draft
from appliance.hot.alerts.plan import Beside
from appliance.hot.alerts.tables import durable
from appliance.hot.incident_tables import Change
from appliance.hybrid.analysis.incidents.answering import Act
from appliance.hybrid.analysis.incidents.values import OVERTURNING
from appliance.hybrid_options import AnalysisOptions
from appliance.observe.analysis import AnswerRow

NOT_STORED: Final = "incidents can't be stored at the moment; try again later"


@dataclass(frozen=True, slots=True, kw_only=True)
class Write:
    """One step of one incident."""

    change: Change
    act: Act = "nothing"
    at_us: int = 0
    """Event time of the act."""
    seq: int | None = None
    """With ``raise``: the record that speaks loudest for it."""
    superseded: AnswerRow | None = None
    """The answer that no longer holds because of the one in ``change``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Writes:
    """What goes into one transaction."""

    writes: tuple[Write, ...] = ()
    bodies: Mapping[str, str] = field(default_factory=dict)
    """Of ``incident_tables.write_groups``."""
    incidents_max: int = 10_000
    now_us: int = 0

    def beside(self, connection: sqlite3.Connection) -> Sequence[int]:
        """Writes all of it but for what concerns alerts."""
        for write in self.writes:
            incident_tables.write(connection, write.change)
        incident_tables.write_groups(connection, self.bodies)
        incident_tables.trim(connection, incidents_max=self.incidents_max)
        return ()


class Storing:
    """See the module. Holds nothing but the way."""

    def __init__(self, box: Box, alerting: Alerting, *, step: Callable[[str], None]) -> None:
        self._box, self._alerting, self._step = box, alerting, step

    def firing(self, workloads: Iterable[str]) -> list[tuple[str, int]]:
        """Workload and incident of each alert that fires."""
        book = self._alerting.processor.book
        return [(name, int(key)) for name in workloads for i in book.firing(name) for key in i.key[:1] if key is not None and key.isdigit()]

    def store(self, all_: Writes, options: Mapping[str, AnalysisOptions], *, timeout_s: float) -> None:
        """Durable when it returns. ``options`` by workload. Raises ``RetryLater`` where it isn't yet: writing it again changes nothing."""
        self._step("incident.decided")
        told = [w for w in all_.writes if w.act != "nothing" and options[w.change.row.workload].notify]
        future: Future[object] = self._beside_alerts(all_, told, options) if told else self._alone(all_)
        try:
            future.result(timeout_s)
        except TimeoutError:
            raise RetryLater(NOT_STORED, after_s=5) from None
        self._step("incident.durable")

    def _alone(self, all_: Writes) -> Future[object]:
        def run(committer: Committer) -> object:
            db = committer.store.connection
            with durable(db), committer.store.transaction():
                all_.beside(db)
                self._step("incident.written")
            return None

        return self._box.writer.call(run, at_once=True)

    def _beside_alerts(self, all_: Writes, told: Sequence[Write], options: Mapping[str, AnalysisOptions]) -> Future[object]:
        def run(draft: Draft) -> object:
            notes = [note for w in told if (note := _act(draft, w, options[w.change.row.workload], all_.now_us)) is not None]

            def beside(connection: sqlite3.Connection) -> Sequence[int]:
                all_.beside(connection)
                self._step("incident.written")
                return [message for note in notes for message in note(connection)]

            draft.store_beside(beside)
            return None

        return self._alerting.processor.call(run)


def _act(draft: Draft, w: Write, options: AnalysisOptions, now_us: int) -> Beside | None:
    """Moves the alert of an incident. Of one that is over and was told, a note says what no longer holds."""
    row, answer = w.change.row, w.change.answer
    is_overturned = answer is not None and answer.verdict in OVERTURNING and w.superseded is not None
    before = w.superseded.summary if w.superseded is not None and w.act in ("revise", "resolve") else None
    said = Said(_title(w), row.verdict, row.confidence, before)
    if w.act == "late" or (is_overturned and has_fired(draft, row.workload, row.id)):
        return _note(w, said, options.notify, now_us)
    if w.act == "raise" and row.state == "open":
        raise_alert(draft, row.workload, row.id, said, at_us=w.at_us, seq=w.seq)
    elif w.act == "resolve":
        resolve_alert(draft, row.workload, row.id, said, at_us=w.at_us)
    elif w.act in ("revise", "reword"):
        revise_alert(draft, row.workload, row.id, said, at_us=w.at_us, is_told=w.act == "revise")
    return None


def _title(w: Write) -> str:
    row = w.change.row
    if row.state == "dismissed":
        return f"nothing unusual after all: {row.summary}"
    if row.state == "closed":
        return f"over: {row.summary}"
    return f"{row.verdict}: {row.summary}" if row.verdict not in ("unusual",) else row.summary


def _note(w: Write, said: Said, channels: Sequence[str], now_us: int) -> Beside:
    row, answer = w.change.row, w.change.answer
    assert answer is not None
    found = "found late" if w.act == "late" else answer.verdict
    title = f"incident {row.id} ({row.workload}), which is over: {found}"
    text = f"{said.summary}\n\n"
    if w.act != "late":
        text += f"It supersedes the answer before: {said.superseded or ''}\n{answer.difference}\n"
    text += answer.basis

    def tell(connection: sqlite3.Connection) -> Sequence[int]:
        known = {"about": f"analysis {row.workload}", "key": f"{row.id} {answer.number}"}
        found = [telling.tell(connection, channel, title, text, now_us=now_us, **known) for channel in channels]
        return [i for i in found if i is not None]

    return tell
