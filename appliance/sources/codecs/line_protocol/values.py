"""What the codec is told and what it gives: precision, rules, parts, the parsed body."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from appliance.records import Batch, Column, Kind, Reject

Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

MIB = 1 << 20
TS_US_MIN = -62_135_596_800_000_000
"""0001-01-01: what the calendars of Python and of people can show, and what a folder of a day can be named after."""
TS_US_MAX = 253_402_300_799_999_999
"""9999-12-31 23:59:59.999999."""


class Precision(StrEnum):
    """The unit of the timestamps of one body. ``AUTO`` decides line by line, by magnitude."""

    NS = "ns"
    US = "us"
    MS = "ms"
    S = "s"
    M = "m"
    H = "h"
    AUTO = "auto"

    @property
    def us(self) -> int:
        """Microseconds in one unit; 1 for ``NS`` (whose timestamps are floor-divided by 1,000) and for ``AUTO``."""
        return _US.get(self, 1)


_US = {Precision.MS: 1_000, Precision.S: 1_000_000, Precision.M: 60_000_000, Precision.H: 3_600_000_000}

AUTO_BELOW = ((5 * 10**9, Precision.S), (5 * 10**12, Precision.MS), (5 * 10**15, Precision.US))
"""``AUTO``: a timestamp of a magnitude below the first number is in the unit beside it; beyond all, nanoseconds (as InfluxDB 3)."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What one body is read by."""

    precision: Precision
    now_us: int
    """Wall clock, for lines without a timestamp."""
    value_bytes_max: int
    """Bytes of a tag value or a string."""
    name_bytes_max: int
    """Bytes of a measurement's, a tag's or a field's name."""
    raw_bytes_max: int
    """Bytes of a refused line that are kept."""

    @property
    def missing_ts_us(self) -> int:
        """The time of a line that brings none: now, truncated to the precision."""
        return self.now_us - self.now_us % self.precision.us


@dataclass(frozen=True)
class Shape:
    """Measurement, tag keys, field keys and types of a line, decoded, in its order. Each name is there once, whatever its case."""

    stream: str
    tags: tuple[str, ...]
    fields: tuple[str, ...]
    kinds: tuple[Kind, ...]
    """One for each of ``fields``."""

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        """Tags, then fields."""
        return (*(Column(name, Kind.TAG) for name in self.tags), *map(Column, self.fields, self.kinds))


@dataclass(frozen=True, slots=True)
class Part:
    """Records of one shape, in the order of their lines; what both routes give and what batches are put together from."""

    shape: Shape
    lines: Ints
    """0-based number of the physical line each record starts at."""
    starts: Ints
    """Offset in the body of each record's first byte."""
    ends: Ints
    """Offset past its last byte, line ending not counted."""
    ts: pa.Array
    """``timestamp[us]``."""
    arrays: tuple[pa.Array, ...]
    """One for each of ``shape.columns``, in the types of ``records.ARROW_OF``, without nulls."""


@dataclass(frozen=True, slots=True)
class BodyLines:
    """Origin of a batch's rows: cuts the original lines out of the body when somebody asks. Holds the body alive."""

    body: bytes
    lines: Ints
    starts: Ints
    ends: Ints

    def raw(self, row: int) -> bytes:
        """The line without its ending, as it came; a string with raw newlines in it makes it several physical lines long."""
        return self.body[int(self.starts[row]) : int(self.ends[row])]

    def line(self, row: int) -> int:
        """1-based number of the line."""
        return int(self.lines[row]) + 1


@dataclass(frozen=True, slots=True)
class Parsed:
    """All that was in a body: each line that is neither blank nor a comment is a row of one batch or one reject."""

    batches: tuple[Batch, ...]
    rejects: tuple[Reject, ...]
    """In the order of their lines."""
    lines: int
    """Physical lines, blank ones and comments counted: what a reader of a longer file adds to number the next piece."""
