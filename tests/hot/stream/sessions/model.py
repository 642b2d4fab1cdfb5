"""Sessions by a plain reading of the package's rules: record by record, whole sessions in lists, nothing by array."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field

import numpy as np

from appliance.hot.stream.event_clock import NEVER
from appliance.hot.stream.sessions.values import FAR, SessionAggregate, SessionRows
from appliance.hot.stream.values import Scalar
from appliance.hot.stream.windows.aggregates import Function


@dataclass(frozen=True, slots=True)
class Record:
    key: int
    ts: int
    seq: int
    values: tuple[Scalar, ...]


@dataclass(eq=False, slots=True)
class Session:
    records: list[Record]
    settled: bool = False

    @property
    def start(self) -> int:
        return min(r.ts for r in self.records)

    @property
    def end(self) -> int:
        return max(r.ts for r in self.records)


@dataclass(slots=True)
class Key:
    now: Session | None = None
    before: Session | None = None
    is_open: bool = False
    forgotten: list[Session] = field(default_factory=list)


@dataclass(slots=True)
class Model:
    gap: int
    longest: int
    keys: dict[int, Key] = field(default_factory=dict)
    given: dict[tuple[int, int], tuple[Record, ...]] = field(default_factory=dict)
    """(key, start) -> records of the session as it was given last."""
    late: list[Record] = field(default_factory=list)

    def advance(self, watermark: int) -> None:
        for number, key in self.keys.items():
            self._close(number, key, watermark)

    def take(self, record: Record, watermark: int) -> None:
        key = self.keys.setdefault(record.key, Key())
        self._close(record.key, key, watermark)
        now = key.now
        if now is None or record.ts >= now.end:
            if now is not None and record.ts - now.end < self.gap and record.ts - now.start <= self.longest:
                now.records.append(record)
                key.is_open = True
                return
            if now is not None:
                self._give(record.key, now)
                if key.before is not None:
                    key.forgotten.append(key.before)
            key.before, key.now, key.is_open = now, Session([record]), True
        elif record.ts >= now.start:
            now.records.append(record)
            key.is_open = True
        else:
            self._take_late(key, now, record)

    def _take_late(self, key: Key, now: Session, record: Record) -> None:
        ts, old = record.ts, key.before
        others = [*key.forgotten, *([old] if old else [])]
        fits_old = (
            old is not None
            and old.start <= ts
            and ts - old.end < self.gap
            and ts - old.start <= self.longest
            and not any(old.start < s.start <= ts for s in key.forgotten)
        )
        fits_now = not now.settled and now.start - ts < self.gap and now.end - ts <= self.longest and all(s.end < ts for s in others)
        if fits_old and old is not None:
            if fits_now and now.end - old.start <= self.longest:
                key.now, key.before, key.is_open = Session([*now.records, *old.records, record], settled=True), None, True
                return
            old.records.append(record)
            self._give(record.key, old)
        elif fits_now:
            now.records.append(record)
            key.is_open = True
        elif self._is_alone(key, now, ts):
            if old is not None:
                key.forgotten.append(old)
            key.before = Session([record])
            self._give(record.key, key.before)
        else:
            self.late.append(record)

    def _is_alone(self, key: Key, now: Session, ts: int) -> bool:
        """At least a gap from all, in a place of which it is known that nothing forgotten can be there."""
        old, lost = key.before, key.forgotten
        everything = [now, *lost, *([old] if old else [])]
        if not all(ts - s.end >= self.gap or s.start - ts >= self.gap for s in everything):
            return False
        past = [*lost, *([old] if old else [])]
        after_all, before_all = all(s.end < ts for s in past), all(ts < s.start for s in past)
        if after_all or before_all:
            return True
        if old is None:
            return False
        below = max((s.end for s in lost if s.start < old.start), default=NEVER)
        above = min((s.start for s in lost if s.start > old.start), default=FAR)
        return below < ts < above

    def _close(self, number: int, key: Key, watermark: int) -> None:
        if key.now is not None and watermark >= key.now.end + self.gap:
            key.now.settled = True
            if key.is_open:
                self._give(number, key.now)
                key.is_open = False

    def _give(self, number: int, session: Session) -> None:
        self.given[number, session.start] = tuple(sorted(session.records, key=lambda r: r.seq))


def aggregate(wanted: SessionAggregate, records: tuple[Record, ...]) -> Scalar:
    """One aggregate of a whole session."""
    if wanted.argument is None:
        return len(records)
    found = [(r.ts, r.seq, v) for r in records if (v := r.values[wanted.argument]) is not None]
    found = [f for f in found if not isinstance(f[2], float) or np.isfinite(f[2])]
    values = [f[2] for f in found]
    if wanted.function is Function.COUNT:
        return len(values)
    if wanted.function is Function.DISTINCT:
        return len(set(values))
    if not found:
        return None
    first, last = min(found), max(found)
    if wanted.function in (Function.FIRST, Function.LAST):
        return first[2] if wanted.function is Function.FIRST else last[2]
    if wanted.function in (Function.DELTA, Function.RATE):
        change = last[2] - first[2]  # type: ignore[operator]
        seconds = (last[0] - first[0]) / 1e6
        return change if wanted.function is Function.DELTA else change / seconds if seconds else None
    return _of_numbers(wanted, values)  # type: ignore[arg-type]


def _of_numbers(wanted: SessionAggregate, values: list[float]) -> Scalar:
    match wanted.function:
        case Function.SUM:
            return float(sum(values))
        case Function.AVG:
            return float(sum(values)) / len(values)
        case Function.MIN:
            return min(values)
        case Function.MAX:
            return max(values)
        case Function.STDDEV:
            return statistics.stdev(values) if len(values) > 1 else None
        case _:
            return float(np.quantile(np.array(values, dtype=float), wanted.parameter or 0.0))


Row = tuple[Scalar, ...]


def as_dict(rows: SessionRows) -> dict[tuple[int, int], Row]:
    """(key, start) -> end, records, first and last sequence, aggregates."""
    columns = (rows.end_us, rows.records, rows.first_seq, rows.last_seq)
    return {
        (int(rows.ids[i]), int(rows.start_us[i])): (*(int(c[i]) for c in columns), *(v.at(i) for v in rows.vectors))
        for i in range(len(rows))
    }
