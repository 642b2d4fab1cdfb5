"""A simulated box behind the UI's client protocol: every value is a function of the seed and the time, so the same time looks the same.

``FakeClient`` also plays what goes wrong: ``lost`` makes each call fail as when no service answers, ``refuse`` makes a query fail.
"""

from __future__ import annotations

import math
import random
import re
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from appliance.clock import Clock, iso
from appliance.errors import NotRunning, QueryCancelled, QueryRefused
from appliance.observe.alerts import AlertRow, AlertsPicture, SilenceRow, TransitionRow, WindowChart
from appliance.observe.analysis import AnalysisPicture, IncidentPicture, IncidentRow
from appliance.observe.consistency import ConsistencyPicture
from appliance.observe.jobs import JobsPicture, RunRow
from appliance.observe.ladder import LadderStatus
from appliance.observe.paths import PathsPicture
from appliance.observe.reports import ReportsPicture
from appliance.observe.search import Found
from appliance.observe.status import LakeStatus, LatencyStatus, Problem, SourceStatus, Status, StoreStatus, StreamStatus
from appliance.observe.views import ViewRow
from tests.tui.agreement_box import AgreementBox
from tests.tui.alert_box import AlertBox
from tests.tui.insight_box import InsightBox
from tests.tui.job_box import JobBox
from tests.tui.path_box import PathBox
from tests.tui.report_box import ReportBox
from tui.client import Answer, ColumnInfo, Key, Series, Stop

NOON_US = 1_795_348_800_000_000
"""2026-11-22 12:00:00 UTC."""
S = 1_000_000
HISTORY_S = 120
MIB = 1 << 20

HOST = ("host_cpu", "host_disk", "host_load", "host_memory", "host_net", "host_temperature", "room")
PLANT = tuple(
    f"{place}_{what}"
    for place in ("press", "oven", "conveyor", "chiller", "pump")
    for what in ("power", "temperature", "vibration", "state", "events")
)


class FakeClock:
    """Stands still until it is told to go on."""

    def __init__(self, now_us: int = NOON_US) -> None:
        self.us = now_us

    def now_us(self) -> int:
        return self.us

    def monotonic_ns(self) -> int:
        return self.us * 1000

    def boottime_us(self) -> int:
        return self.us

    def boot_id(self) -> str:
        return "fake"

    def go_on(self, seconds: float) -> None:
        """Time passes."""
        self.us += round(seconds * S)


@dataclass
class FakeClient:
    """Thirty streams by default; ``names`` chooses others."""

    clock: Clock
    names: Sequence[str] = (*HOST[:6], *PLANT[:23], HOST[6])
    seed: int = 7
    lost: bool = False
    refuse: str | None = None
    problems: tuple[Problem, ...] = ()
    ladder: LadderStatus = field(default_factory=LadderStatus)
    hold: threading.Event = field(default_factory=threading.Event)
    """A query waits for it, or for its stop."""
    answer: pa.Table | None = None
    asked: list[str] = field(default_factory=list)
    where: str = "/var/lib/appliance/appliance.sock"
    state: str = "running"
    alert_box: AlertBox = field(init=False)
    report_box: ReportBox = field(init=False)
    job_box: JobBox = field(init=False)
    path_box: PathBox = field(init=False)
    agreement_box: AgreementBox = field(init=False)
    insight_box: InsightBox = field(init=False)

    def __post_init__(self) -> None:
        self.hold.set()
        self.alert_box = AlertBox(self.clock)
        self.report_box = ReportBox(self.clock)
        self.job_box = JobBox(self.clock)
        self.path_box = PathBox(self.clock)
        self.agreement_box = AgreementBox(self.clock)
        self.insight_box = InsightBox(self.clock)

    def status(self) -> Status:
        self._answering("status")
        now = self.clock.now_us()
        streams = tuple(self._stream(name, now) for name in self.names)
        history = tuple(sum(column) for column in zip(*(s.history for s in streams), strict=True)) if streams else ()
        return Status(
            as_of_us=now,
            node="press-line-3",
            version="0.1.0",
            data_dir="/var/lib/appliance",
            pid=4711,
            started_us=NOON_US - 5 * 3600 * S,
            health=max((p.level for p in self.problems), default="OK", key=("OK", "WARN", "CRIT").index),
            state=self.state,
            streams=streams,
            store=self._store(now),
            lake=self._lake(streams, now),
            ingest=LatencyStatus(
                p50_ms=1.8 + _wave(now, 9), p99_ms=14.2 + 4 * _wave(now, 13), max_ms=38.0 + 6 * _wave(now, 31), count=12_480
            ),
            rate=sum(s.rate for s in streams),
            history=history,
            history_s=HISTORY_S,
            sources=_SOURCES,
            dead_letters=17,
            dead_letters_new=2,
            last_dead_letter="press_power line 3: field 'value' is 'n/a', the stream has float",
            problems=self.problems,
            memory_bytes=round((118 + 6 * _wave(now, 20)) * MIB),
            cpu_share=0.18 + 0.06 * _wave(now, 17),
            queries_running=1,
            ladder=self.ladder,
            alerts_firing=sum(a.phase == "firing" for a in self.alert_box.picture().alerts),
            alerts_pending=sum(a.phase == "pending" for a in self.alert_box.picture().alerts),
        )

    def series(self, stream: str, column: str, *, since_us: int) -> Series:
        self._answering(f"series {stream} {column}")
        end = self.clock.now_us()
        step = next(s for s in (S, 2 * S, 5 * S, 10 * S, 30 * S, 60 * S, 300 * S, 3600 * S, 86_400 * S) if (end - since_us) <= 600 * s)
        start = since_us // step * step
        phase = random.Random(f"{self.seed}{stream}{column}").random() * 6
        mean: list[float | None] = []
        for at in range(start, end, step):
            t = at / S
            gap = 40 < (t + phase * 60) % 700 < 60
            mean.append(
                None if gap else 42 + 9 * math.sin(t / 47 + phase) + 3 * math.sin(t / 5.3 + phase) + random.Random(at + self.seed).random()
            )
        low = tuple(None if m is None else m - 0.6 for m in mean)
        high = tuple(None if m is None else m + 0.6 for m in mean)
        return Series(stream, column, step, start, low, high, tuple(mean))

    def latest(self, stream: str) -> Sequence[Mapping[str, Any]]:
        self._answering(f"latest {stream}")
        now = self.clock.now_us()
        rng = random.Random(f"{self.seed}{stream}{now // S}")
        return [
            {"ts": iso(now - place * 370_000), "line": "A" if place < 4 else "B", "device": f"{stream.split('_')[0]}-{place + 1}",
             "value": 40 + rng.random() * 12, "peak": 55 + rng.random(), "cycles": 120_000 + now // S % 1000 * 7 + place, "ok": place != 3,
             "note": None if place % 2 else "steady"}
            for place in range(8)
        ]  # fmt: skip

    def columns(self, stream: str) -> Sequence[ColumnInfo]:
        self._answering(f"columns {stream}")
        kinds = (
            ("line", "tag"),
            ("device", "tag"),
            ("value", "float"),
            ("peak", "float"),
            ("cycles", "int"),
            ("ok", "bool"),
            ("note", "text"),
        )
        return [ColumnInfo(name, kind) for name, kind in kinds]

    def query(self, sql: str, *, rows_max: int, stop: Stop) -> Answer:
        self._answering(f"query {sql}")
        stop.when_stopped(self.hold.set)
        self.hold.wait(30)
        if stop.stopped:
            raise QueryCancelled("the query was cancelled")
        if self.refuse is not None:
            raise QueryRefused(self.refuse)
        past = _PAST.search(sql)
        table = self.answer if self.answer is not None else _answer(self.clock.now_us()) if past is None else self._past(past)
        return Answer(table.slice(0, rows_max), complete=table.num_rows <= rows_max)

    def alerts(self) -> AlertsPicture:
        self._answering("alerts")
        return self.alert_box.picture()

    def alert_history(self, *, limit: int, rule: str | None = None) -> Sequence[TransitionRow]:
        self._answering(f"alert history {rule}")
        return self.alert_box.history(limit=limit, rule=rule)

    def alert_chart(self, rule: str, key: Key) -> WindowChart | None:
        self._answering(f"alert chart {rule} {dict(key)}")
        return self.alert_box.chart(rule, key)

    def acknowledge(self, rule: str, key: Key, *, comment: str, until: str | None) -> Sequence[AlertRow]:
        return self.alert_box.acknowledge(rule, key, comment, until)

    def unacknowledge(self, rule: str, key: Key) -> Sequence[AlertRow]:
        return self.alert_box.unacknowledge(rule, key)

    def silence(self, matchers: Sequence[str], *, until: str, comment: str) -> SilenceRow:
        return self.alert_box.silence(matchers, until, comment)

    def unsilence(self, silence_id: int) -> SilenceRow:
        return self.alert_box.unsilence(silence_id)

    def reports(self) -> ReportsPicture:
        self._answering("reports")
        return self.report_box.picture()

    def report_text(self, path: str) -> str:
        self._answering(f"report text {path}")
        return self.report_box.text(path)

    def issue_report(self, name: str, *, day: str | None, parameters: Mapping[str, str]) -> str:
        return self.report_box.issue(name, day, parameters)

    def jobs(self) -> JobsPicture:
        self._answering("jobs")
        return self.job_box.picture()

    def job_history(self, *, limit: int, name: str | None = None) -> Sequence[RunRow]:
        self._answering(f"job history {name}")
        return self.job_box.history(limit=limit, name=name)

    def views(self) -> Sequence[ViewRow]:
        return self.job_box.views()

    def paths(self) -> PathsPicture:
        self._answering("paths")
        return self.path_box.picture()

    def consistency(self) -> ConsistencyPicture:
        self._answering("consistency")
        return self.agreement_box.picture()

    def analysis(self, *, limit: int) -> AnalysisPicture:
        self._answering(f"analysis {limit}")
        return self.insight_box.picture()

    def incident(self, incident_id: int) -> IncidentPicture:
        self._answering(f"incident {incident_id}")
        return self.insight_box.incident(incident_id)

    def say_of_incident(self, incident_id: int, verdict: str, *, comment: str) -> IncidentRow:
        self._answering(f"{verdict} {incident_id} {comment}")
        return self.insight_box.say(incident_id, verdict)

    def search(self, text: str, *, order: str, limit: int) -> Found:
        self._answering(f"search {text} {order} {limit}")
        return self.insight_box.search(text, order)

    def run_job(self, name: str) -> RunRow:
        return self.job_box.run(name)

    def cancel_run(self, run_id: int) -> RunRow:
        return self.job_box.cancel(run_id)

    def close(self) -> None:
        """Holds nothing."""

    def _past(self, asked: re.Match[str]) -> pa.Table:
        """What the UI's own question for the far past gives."""
        step, since, until = int(asked["step"]), _us(asked["since"]), _us(asked["until"])
        starts = list(range(since // step * step, min(until, self.clock.now_us()), step))
        mean = [42 + 9 * math.sin(at / S / 4700) + 3 * math.sin(at / S / 530) for at in starts]
        return pa.table({"start": starts, "low": [m - 1 for m in mean], "high": [m + 1 for m in mean], "mean": mean})

    def _answering(self, question: str) -> None:
        self.asked.append(question)
        del self.asked[:-200]
        if self.lost:
            raise NotRunning(f"no service at {self.where}; start it with: appliance run")

    def _stream(self, name: str, now: int) -> StreamStatus:
        rng = random.Random(f"{self.seed}{name}")
        base = 0 if name.endswith("events") else rng.choice((1, 1, 4, 12, 60, 240, 900))
        second = now // S
        history = tuple(_rate(base, at, rng.random() * 0 + len(name)) for at in range(second - HISTORY_S, second))
        records = rng.randrange(20_000, 40_000_000) + base * max(0, second - NOON_US // S)
        hot = (base * 113 + base * (second % 300)) if base else 0
        last = now - (rng.randrange(0, 900_000) if base else 5400 * S)
        return StreamStatus(
            name=name,
            rate=sum(history[-10:]) / 10,
            records=records,
            hot_rows=hot,
            cold_rows=records - hot,
            segments=rng.randrange(3, 40),
            bytes_cold=records * 4,
            bytes_ring=hot * 60,
            mark=records - hot,
            last_seq=records,
            last_ts_us=last,
            last_arrival_us=last + 20_000,
            dirty_days=1 if rng.random() > 0.9 else 0,
            columns=7,
            series=rng.choice((1, 2, 8, 16, 240)),
            history=history,
        )

    def _store(self, now: int) -> StoreStatus:
        return StoreStatus(
            ring_bytes=round((23.4 + 3 * _wave(now, 120)) * MIB),
            ring_bytes_max=64 * MIB,
            ring_rows=1_234_567 + now // S % 5000,
            sqlite_bytes=48 * MIB,
            wal_bytes=round((4.1 + 2 * _wave(now, 40)) * MIB),
            durability="power-loss",
            commits=845_120 + now // (S // 40) % 100_000,
            commit_ms_p99=9.1,
            queue_bytes=round(180_000 * (1 + _wave(now, 3))),
            queue_bytes_max=64 * MIB,
        )

    def _lake(self, streams: Sequence[StreamStatus], now: int) -> LakeStatus:
        rolled = now // (300 * S) * 300 * S
        return LakeStatus(
            segments=sum(s.segments for s in streams),
            rows=sum(s.cold_rows for s in streams),
            bytes=sum(s.bytes_cold for s in streams),
            lost_segments=0,
            last_roll_us=rolled,
            next_roll_us=rolled + 300 * S,
            rolling=now - rolled < 2 * S,
            compacting=None,
            disk_free_bytes=23 * 1024 * MIB,
            disk_total_bytes=58 * 1024 * MIB,
            bytes_per_day=312 * MIB,
            full_us=now // (86_400 * S) * 86_400 * S + 75 * 86_400 * S,
            eater="press_vibration",
        )


_SOURCES = (
    SourceStatus("host", "host", "ok", "every 1 s", 5_412_000, 0, 0),
    SourceStatus("inbox", "drop", "ok", "14 files taken", 1_204_331, 12, 0),
    SourceStatus("http", "line_protocol", "ok", "127.0.0.1:8086", 231_400_120, 5, 0),
    SourceStatus("udp", "line_protocol", "ok", "127.0.0.1:8089", 88_120, 0, 3),
    SourceStatus("mqtt", "mqtt", "waiting", "broker not reached, again in 8 s", 12_004, 0, 0),
)


def _rate(base: int, second: int, phase: float) -> int:
    """A rate that breathes, jitters and bursts, the same for the same second."""
    if base == 0:
        return 0
    jitter = (second * 2654435761 >> 8) % 97 / 97
    burst = 2.2 if (second + int(phase * 13)) % 173 < 9 else 1.0
    return round(base * burst * (0.8 + 0.25 * math.sin(second / 23 + phase) + 0.2 * jitter)) if base > 4 else base


_PAST = re.compile(r"// (?P<step>\d+) .*ts >= TIMESTAMP '(?P<since>[^']+)' AND ts < TIMESTAMP '(?P<until>[^']+)'")


def _us(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * S)


def _wave(now_us: int, period_s: float) -> float:
    return (1 + math.sin(now_us / S * 2 * math.pi / period_s)) / 2


def _answer(now_us: int) -> pa.Table:
    rows = 24
    return pa.table(
        {
            "ts": pa.array([now_us - i * 60 * S for i in range(rows)], pa.timestamp("us")),
            "device": [f"press-{i % 4 + 1}" for i in range(rows)],
            "mean": [41.25 + i / 7 for i in range(rows)],
            "n": [60 + i for i in range(rows)],
            "note": [None if i % 3 else "checked" for i in range(rows)],
        }
    )
