"""One stream of an analysis: its series, how far it has been scored, and its values by column for the scorer. Owned by the follower."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from appliance.hot.series import series_hashes
from appliance.hot.state import StreamState
from appliance.hot.stream.values import I64, Rows
from appliance.hybrid.analysis.live.series import NONE, Key, KeyTable, SlotPool, SlotTable
from appliance.hybrid.analysis.live.telling import Budget, Telling
from appliance.hybrid.analysis.live.wanted import Wanted
from appliance.hybrid.analysis.numeric.scored import F64, I32
from appliance.records import Kind, Schema, fold

NUMBERS: Final = (Kind.FLOAT, Kind.INT)


@dataclass(frozen=True, slots=True)
class Values:
    """The values of some records, for the scorer: all arrays of the same length, those of one series in the order of their sequences."""

    slots: I32
    ts_us: I64
    values: F64
    seqs: I64
    columns: I32
    """Which field of ``Followed.numbers``."""
    keys: I64
    """Which set of tags."""

    def __len__(self) -> int:
        return len(self.slots)


class Stored(msgspec.Struct, frozen=True):
    """A stream as it is stored."""

    name: str
    id: int
    seq: int
    quiet_seq: int
    hashes: bytes
    keys: list[Key]
    columns: dict[str, bytes]
    told: list[tuple[int, int, float, int]]
    scored: int
    passed_over: int
    budget: tuple[int, int, int] = (0, 0, 0)


@dataclass(slots=True)
class Followed:
    """See the module."""

    id: int
    schema: Schema
    wanted: Wanted
    seq: int
    """Records up to here have been scored."""
    quiet_seq: int = 0
    """Of records up to here nothing is told: they were there before anybody looked."""
    replay_seq: int = 0
    """Records up to here may have been scored before the process ended; they are scored however many wait."""
    keys: KeyTable = field(default_factory=KeyTable)
    slots: SlotTable = field(default_factory=SlotTable)
    telling: Telling[int] = field(default_factory=Telling)
    """By slot."""
    budget: Budget = field(default_factory=Budget)
    scored: int = 0
    """Records that were."""
    passed_over: int = 0
    """Records that were not, because too many waited."""
    highest: float = 0.0
    """The score of the most unusual of the newest records."""
    names: tuple[str, ...] = ()
    """Numeric fields that are looked at, as they are written."""
    texts: tuple[str, ...] = ()
    """Text fields likewise."""
    _rows: npt.NDArray[np.intp] = field(default_factory=lambda: np.empty(0, np.intp))
    """Of ``names`` in ``slots``."""

    def __post_init__(self) -> None:
        self.take_schema(self.schema, self.wanted)

    @property
    def name(self) -> str:
        """As it is written."""
        return self.schema.stream

    @property
    def columns(self) -> tuple[str, ...]:
        """All columns that are needed of a record besides ``ts``."""
        return (*self.schema.tags, *self.names, *self.texts)

    def take_schema(self, schema: Schema, wanted: Wanted) -> None:
        """From now on these columns."""
        self.schema, self.wanted = schema, wanted
        names = wanted.fields([c.name for c in schema.fields])
        fields = [c for c in schema.fields if c.name in names]
        self.names = tuple(c.name for c in fields if c.kind in NUMBERS)
        self.texts = tuple(c.name for c in fields if c.kind is Kind.TEXT)
        self._rows = self.slots.rows(self.names)

    def take(self, rows: Rows, pool: SlotPool) -> Values | None:
        """The values of records that come next, those of series without a slot left out; None: there are none."""
        tags = tuple(t for t in self.schema.tags if t in rows.data.schema.names)
        numbers = self.keys.numbers(series_hashes(rows.data, tags), rows.data, tags, keys_max=pool.slots_max)
        self.seq = int(rows.seqs[-1])
        self.scored += len(rows)
        if not self.names:
            return None
        self.slots.grow(len(self.keys))
        values = np.stack([_floats(rows.data, name) for name in self.names])
        there = ~np.isnan(values)
        if (numbers < 0).any():
            there &= numbers >= 0
        if not len(self.keys):
            return None
        slots = self.slots.of(self._rows, numbers)
        new = there & (slots == NONE)
        if new.any():
            record, place = np.nonzero(new.T)
            self.slots.allot(self._rows[place], numbers[record], pool)
            slots = self.slots.of(self._rows, numbers)
        place, record = np.nonzero(there & (slots >= 0))
        if not len(place):
            return None
        return Values(
            slots[place, record], rows.ts[record], values[place, record], rows.seqs[record], place.astype(np.int32), numbers[record]
        )

    def left_out(self) -> int:
        """Series that are not looked at; those of sets of tags above the limit count once each."""
        return self.slots.left_out + len(self.keys.over)

    def store(self) -> Stored:
        """As it is now."""
        columns, told, hashes = self.slots.dump(len(self.keys)), self.telling.dump(), self.keys.hashes.tobytes()
        return Stored(
            fold(self.name),
            self.id,
            self.seq,
            self.quiet_seq,
            hashes,
            self.keys.keys,
            columns,
            told,
            self.scored,
            self.passed_over,
            self.budget.state,
        )


def restored(stored: Stored, stream: StreamState, wanted: Wanted, *, replay_seq: int) -> Followed:
    """As it was, in the columns that the stream has now."""
    found = Followed(stored.id, stream.schema, wanted, min(stored.seq, stream.last_seq), stored.quiet_seq, replay_seq)
    found.keys = KeyTable(np.frombuffer(stored.hashes, np.uint64), stored.keys)
    found.slots.load(stored.columns)
    found.take_schema(stream.schema, wanted)
    found.telling.load(stored.told)
    found.budget = Budget(*stored.budget)
    found.scored, found.passed_over = stored.scored, stored.passed_over
    return found


def _floats(data: pa.RecordBatch, name: str) -> F64:
    """A numeric column, NaN where there is no value."""
    at = data.schema.get_field_index(name)
    column: Any = data.column(at) if at >= 0 else None
    if column is None or column.null_count == len(column):
        return np.full(data.num_rows, np.nan)
    return np.asarray(column.to_numpy(zero_copy_only=False), dtype=np.float64)
