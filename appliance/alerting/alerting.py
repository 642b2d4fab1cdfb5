"""The wiring of alerts: made once a start, told the config, started and stopped with the service."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import pyarrow as pa

from appliance.alerting.charts import Charts
from appliance.alerting.delivery import Delivery
from appliance.alerting.desk import Desk
from appliance.alerting.pictures import rule_rows
from appliance.alerting.rulebook import Rulebook, Surroundings, make_rulebook, refused_at
from appliance.alerting.sql_rule import SqlRule
from appliance.alerting.telling_meter import TellingMeter
from appliance.box import Box
from appliance.clock import Clock, SystemClock
from appliance.config import Config
from appliance.door.commit import Committer
from appliance.errors import ConfigRefused
from appliance.hot.alerts import outbox as stored
from appliance.hot.alerts import tables
from appliance.hot.alerts.book import AlertBook
from appliance.hot.alerts.evidence import note_people
from appliance.hot.alerts.plan import Place, Plan
from appliance.hot.alerts.tables import Written, durable
from appliance.hot.alerts.values import Message
from appliance.hot.reader import HotReader
from appliance.hot.state import StreamState
from appliance.hot.stream.baselines import Baselines
from appliance.hot.stream.processor import Done, Processor, SessionBody
from appliance.hot.stream.round_meter import RoundMeter
from appliance.hot.stream.session_store import load_bodies, save_bodies
from appliance.notify.channel import Channel
from appliance.notify.channel_of import channel_of
from appliance.notify.outbox import Outbox
from appliance.observe.alerts import RuleRow, TransitionRow
from appliance.observe.status import Problem
from appliance.records import Receipt, Submission
from appliance.serving.history import History

log = logging.getLogger(__name__)
STORED_S: Final = 600.0
"""A plan that the writer has not stored by then is a defect; a full disk answers at once."""


@dataclass(frozen=True, slots=True)
class Stored:
    """What the processor gets back of a plan: what was written, and the messages that are to go."""

    written: Written
    messages: tuple[Message, ...]


class Alerting:
    """Everything about alerts of a running service."""

    def __init__(
        self,
        box: Box,
        config: Config,
        *,
        history: History,
        reader: Callable[[], AbstractContextManager[HotReader]],
        clock: Clock,
        publish: Callable[[Sequence[TransitionRow]], None],
        publish_session: Callable[[Mapping[str, Any]], None],
        step: Callable[[str], None],
    ) -> None:
        """``publish`` is told of each transition that is durable, ``publish_session`` of each session that has closed, in the processor's
        thread; both must return at once."""
        self._box = box
        self._reader = reader
        self._clock = clock
        self._publish = publish
        self._publish_session = publish_session
        self._step = step
        self.baselines = Baselines()
        self._surroundings = Surroundings(history.rows, lambda s: _latest(box, s), self.baselines)
        self.rulebook = make_rulebook(config, self._surroundings)
        meter = TellingMeter(box)
        self._delivery = Delivery(call=partial(box.writer.call, at_once=True), reader=reader, clock=clock, step=step, meter=meter)
        self.outbox = Outbox(_channels(config, clock), wiring=self._delivery.wiring(), clock=clock, random=random.Random())  # noqa: S311 - jitter
        self._delivery.outbox = self.outbox
        self._failed_us: dict[str, int] = {}
        """Since when which stream is not evaluated; "": none is."""
        self.sql_rules: Mapping[str, SqlRule] = {}
        """By name; whoever asks them sets it."""
        book, places, self._waiting = _load(reader, now_us=clock.now_us())
        with reader() as db:
            bodies = load_bodies(db)
        self.processor = Processor(
            book=book,
            places=places,
            clock=clock,
            state=lambda: box.state,
            write=self._write,
            submit=self._submit,
            bodies=bodies,
            on_done=self._on_done,
            step=step,
            meter=RoundMeter(clock, box.latencies),
        )
        self.desk = Desk(
            processor=self.processor,
            outbox=self.outbox,
            reader=reader,
            stages={
                "evaluated": self.processor.meter.evaluated,
                "committed": self.processor.meter.committed,
                "handed over": self._delivery.meter.handed_over,
            },
            chart=Charts(history, lambda: self.rulebook, self.baselines, clock).of,
            rules=self._rule_rows,
            clock=clock,
        )

    def start(self) -> None:
        """Takes up what was left: the config, the messages that wait, the records that have come since."""
        self.processor.configure(self.rulebook)
        self.processor.start()
        self.outbox.start(self._waiting)
        self._box.door.listeners.append(self.processor.committed_records)

    def stop(self) -> None:
        """Ends evaluating, with the places stored, then the outbox; what waits stays in the store."""
        self.processor.stop()
        self.outbox.close()

    def hand_over(self, ids: Sequence[int]) -> None:
        """Messages that somebody else has put into the store (``hot.alerts.telling``) and committed: they go now. Blocks for a look."""
        with self._reader() as db:
            found = [m for i in ids if (m := stored.load_message(db, i)) is not None]
        self.outbox.put(found)

    def check(self, config: Config) -> tuple[Rulebook, Mapping[str, Channel]]:
        """Whether a config's rules and channels can be used; raises ``ConfigRefused``. Nothing is changed."""
        return make_rulebook(config, self._surroundings), _channels(config, self._clock)

    def reload(self, checked: tuple[Rulebook, Mapping[str, Channel]]) -> Future[None]:
        """From now on these rules and channels; the future is done when that is stored."""
        self.rulebook, channels = checked
        self.outbox.reload(channels)
        return self.processor.configure(self.rulebook)

    @property
    def has_failed(self) -> bool:
        """Whether a stream is not evaluated because of a failure: a reload takes it up again, also with the same config."""
        return bool(self.processor.aside)

    def behind_s(self) -> float:
        """For how long the oldest of the records that were committed has waited for its rules; from any thread."""
        since_ns = min(tuple(self.processor.since_ns.values()), default=None)
        return 0.0 if since_ns is None else max(0, self._clock.monotonic_ns() - since_ns) / 1e9

    def problems(self) -> tuple[Problem, ...]:
        """What keeps alerts from being evaluated, stored or handed over."""
        failed = {stream: f"alerts on {stream} are not evaluated: {why}" for stream, why in self.processor.aside.items()}
        if self.processor.failed is not None:
            failed[""] = f"alerts are not evaluated: {self.processor.failed}"
        self._failed_us = {name: self._failed_us.get(name) or self._clock.now_us() for name in failed}
        hint = "rules, silences and messages wait until this is mended"
        others = f"those of other streams go on; {hint}"
        return tuple(Problem("CRIT", what, self._failed_us[name], others if name else hint) for name, what in failed.items())

    def _submit(self, submission: Submission) -> Future[Receipt]:
        """Closed sessions on their way to their stream; whoever follows is told."""
        for batch in submission.batches:
            for row in batch.data.to_pylist():
                start = row.pop("ts")
                self._publish_session({"workload": batch.stream, "start": f"{start.isoformat(timespec='microseconds')}Z", **row})
        return self._box.door.put(submission)

    def _write(self, plan: Plan, bodies: Sequence[SessionBody]) -> Future[Stored]:
        def run(committer: Committer) -> Stored:
            db = committer.store.connection
            with durable(db), committer.store.transaction():
                written = tables.write(db, plan, history_max=self.rulebook.config.alerts.history_max)
                save_bodies(db, bodies)
                note_people(committer.store.chain, plan)
                self._step("alerts.written")
            messages = tuple(m for i in written.messages if (m := stored.load_message(db, i)) is not None)
            return Stored(written, messages)

        return self._box.writer.call(run, at_once=True)

    def _on_done(self, done: Done[Stored]) -> None:
        messages = done.stored.messages
        if messages:
            if done.since_ns is not None:
                self._delivery.note(messages, done.since_ns)
            self.outbox.put(messages)
        if done.plan.transitions:
            self._publish(_transitions(done.plan, done.stored.written))

    def _rule_rows(self) -> Sequence[RuleRow]:
        return rule_rows(self.rulebook, self.processor, self.sql_rules, now_ns=self._clock.monotonic_ns())


def check_alerts(config: Config) -> None:
    """Whether the rules and channels of a config can be used. Raises ``ConfigRefused`` for the first that can't."""
    make_rulebook(config)
    _channels(config, SystemClock())


def _channels(config: Config, clock: Clock) -> dict[str, Channel]:
    found: dict[str, Channel] = {}
    for name, options in config.channels.items():
        try:
            found[name] = channel_of(name, options, data_dir=config.data_dir, node=config.node.name, clock=clock)
        except ConfigRefused as e:
            raise refused_at(config, str(e), key=e.key or f"notify.{name}.url") from e
    return found


def _load(reader: Callable[[], AbstractContextManager[HotReader]], *, now_us: int) -> tuple[AlertBook, dict[int, Place], set[str]]:
    with reader() as db:
        book = AlertBook(
            instances=tables.load_instances(db),
            silences=tables.load_silences(db, now_us=now_us),
            known=tables.load_known(db),
            silence_id=tables.load_silence_id(db),
        )
        waiting = {str(row[0]) for row in db.execute("SELECT DISTINCT channel FROM outbox WHERE state = 'waiting'")}
        return book, tables.load_places(db), waiting


def _latest(box: Box, stream: StreamState) -> pa.Table:
    return box.last_values(stream.name)


def _transitions(plan: Plan, written: Written) -> list[TransitionRow]:
    return [
        TransitionRow(
            id=event,
            rule=t.rule,
            key=dict(zip(plan.columns_of(t), t.key, strict=False)),
            kind=t.kind,
            old=t.old,
            new=t.new,
            at_us=t.at_us,
            learned_us=t.learned_us,
            seq=t.seq,
            values=t.values,
            reason=t.reason,
        )
        for event, t in zip(written.events, plan.transitions, strict=True)
    ]
