"""Windows told row by row: slow, plain, and what the ones by column have to agree with."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from appliance.hot.stream.values import Points, Vector
from appliance.hot.stream.windows.aggregates import NEVER


@dataclass(frozen=True)
class Record:
    """One record: ``x`` a float, ``i`` an int, ``s`` a text; None is null."""

    key: int
    ts: int
    x: float | None = None
    i: int | None = None
    s: str | None = None
    seq: int = 0


@dataclass(frozen=True)
class Point:
    """Where a window is looked at: ``row`` over all records, ``records`` those that are in the window."""

    key: int
    row: int
    at_us: int
    seq: int
    records: tuple[Record, ...]


def watermarks(records: Sequence[Record], lateness_us: int) -> list[int]:
    """Just before each record is applied."""
    newest, out = NEVER, []
    for record in records:
        newest = max(newest, record.ts)
        out.append(newest - lateness_us)
    return out


@dataclass
class _Key:
    records: list[Record] = field(default_factory=list)
    lag: int = 0
    said_us: int = NEVER
    """Sliding: own watermark up to which panes have left."""
    waiting: set[int] = field(default_factory=set)
    """Tumbling: panes that have not ended."""


class Reference:
    """Windows of ``panes`` panes. The evaluation points of HOT.md, of which each is looked for after every single step of the watermark."""

    def __init__(self, *, pane_us: int, panes: int, tumbling: bool, lateness_us: int) -> None:
        self.pane_us, self.panes, self.tumbling, self.lateness_us = pane_us, panes, tumbling, lateness_us
        self.keys: dict[int, _Key] = {}
        self.points: list[Point] = []
        self.row = 0

    def apply(self, record: Record, watermark: int) -> None:
        self.pass_time(watermark)
        key = self.keys.setdefault(record.key, _Key())
        key.records.append(record)
        key.lag = max(0, watermark - (record.ts - self.lateness_us))
        pane = record.ts // self.pane_us
        if self.tumbling:
            key.waiting.add(pane)
        else:
            key.said_us = watermark - key.lag
            self.points.append(Point(record.key, self.row, record.ts, record.seq, self.window(key, pane)))
        self.row += 1

    def pass_time(self, watermark: int) -> None:
        for name, key in sorted(self.keys.items()):
            own = watermark - key.lag
            newest = key.records[-1].ts // self.pane_us
            if self.tumbling:
                for pane in sorted(key.waiting):
                    # of a pane that a later row has followed only the watermark decides
                    if (pane + 1) * self.pane_us <= (own if pane == newest else watermark):
                        self.points.append(Point(name, self.row, (pane + 1) * self.pane_us, -1, self.window(key, pane)))
                        key.waiting.discard(pane)
                continue
            for pane in sorted({r.ts // self.pane_us for r in key.records}):
                due = (pane + self.panes) * self.pane_us
                if newest < pane + self.panes and key.said_us < due <= own:
                    self.points.append(Point(name, self.row, due, -1, self.window(key, pane + self.panes)))
            key.said_us = max(key.said_us, own)

    def window(self, key: _Key, pane: int) -> tuple[Record, ...]:
        return tuple(r for r in key.records if pane - self.panes < r.ts // self.pane_us <= pane)


def sorted_points(points: Iterable[Point]) -> list[Point]:
    """By key, in the order of happening (which is stable)."""
    return sorted(points, key=lambda p: p.key)


def seen(points: Points, *, first_row: int = 0) -> list[tuple[Any, ...]]:
    """Points as tuples: key, row over all rounds, time, sequence, then the values; floats by their bits."""
    columns = [points.key.tolist(), (points.row + first_row).tolist(), points.at_us.tolist(), points.seq.tolist()]
    return list(zip(*columns, *(texts_of(vector) for vector in points.vectors), strict=True))


def texts_of(vector: Vector) -> list[Any]:
    """Values so that they can be compared bit for bit."""
    out = [vector.at(row) for row in range(len(vector.valid))]
    return [float(v).hex() if isinstance(v, float) else v for v in out]


def vector_of(values: Sequence[Any], kind: str) -> Vector:
    """A vector as the expressions give it."""
    valid = np.array([v is not None for v in values], np.bool_)
    if kind == "text":
        texts = tuple(dict.fromkeys(v for v in values if v is not None))
        codes = {text: code for code, text in enumerate(texts)}
        return Vector(np.array([codes.get(v, 0) for v in values], np.int32), valid, texts)
    dtype: Any = {"float": np.float64, "int": np.int64, "bool": np.bool_}[kind]
    return Vector(np.array([0 if v is None else v for v in values], dtype), valid)
