"""Dead letters of line protocol that can be replayed alone: in nanoseconds, at the time they came, under the stream they were for.

A line alone says neither its precision, nor its time of arrival, nor the database of its request. Only lines for which that
matters are changed, and only their timestamp and the beginning of their measurement.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from appliance.records import Batch, Origin, Reject
from appliance.sources.codecs.line_protocol import Precision
from appliance.sources.codecs.line_protocol.values import AUTO_BELOW

_STAMP: Final = re.compile(rb" +(-?[0-9]{1,19})[ \t]*\Z")
"""A well-formed line ends so if and only if it has a timestamp: otherwise a field's value, which has no space before it, is its end."""


@dataclass(frozen=True, slots=True)
class ReplayableOrigin:
    """Rows as lines that mean the same on their own."""

    origin: Origin
    stamps: Any
    """The ``ts`` column of the batch."""
    prefix: bytes
    precision: Precision

    def raw(self, row: int) -> bytes:
        line = self.prefix + self.origin.raw(row)
        stamp = _STAMP.search(line)
        if stamp is not None and self.precision is Precision.NS:
            return line
        ts_us: int = self.stamps[row].value
        return b"%b %d" % (line if stamp is None else line[: stamp.start()], ts_us * 1_000)

    def line(self, row: int) -> int:
        return self.origin.line(row)


def replayable_batches(batches: Sequence[Batch], *, precision: Precision, database: str = "") -> tuple[Batch, ...]:
    """The batches with origins whose lines can be replayed; with a database, for streams named ``database.measurement``."""
    prefix = prefix_of(database)
    made = []
    for batch in batches:
        origin = batch.origin
        if origin is not None:
            origin = ReplayableOrigin(origin, batch.data.column("ts"), prefix, precision)
        made.append(replace(batch, stream=f"{database}.{batch.stream}" if database else batch.stream, origin=origin))
    return tuple(made)


def replayable_rejects(rejects: Sequence[Reject], *, precision: Precision, database: str = "") -> tuple[Reject, ...]:
    """Lines that are no line protocol, as they would have been sent in nanoseconds and with the database before the measurement."""
    if precision is Precision.NS and not database:
        return tuple(rejects)
    prefix = prefix_of(database)
    return tuple(replace(r, raw=prefix + in_nanoseconds(r.raw, precision)) for r in rejects)


def prefix_of(database: str) -> bytes:
    """What stands before a measurement so that its stream is ``database.measurement``; empty without a database."""
    if not database:
        return b""
    return f"{database}.".replace(",", "\\,").replace(" ", "\\ ").encode("utf-8", "replace")


def in_nanoseconds(line: bytes, precision: Precision) -> bytes:
    """The line with its timestamp, if it ends with one, in nanoseconds."""
    stamp = _STAMP.search(line)
    if stamp is None or precision is Precision.NS:
        return line
    value = int(stamp[1])
    if precision is Precision.AUTO:
        precision = next((unit for below, unit in AUTO_BELOW if abs(value) < below), Precision.NS)
    factor = 1 if precision is Precision.NS else precision.us * 1_000
    return b"%b %d" % (line[: stamp.start()], value * factor)
