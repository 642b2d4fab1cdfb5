"""One stream of an analysis: its series, how far it has been scored, and its values by column for the scorer. Owned by the follower."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
import numpy as np
import pyarrow as pa

from appliance.hot.series import series_hashes
from appliance.hot.state import StreamState
from appliance.hot.stream.values import I64, Rows
from appliance.hybrid.analysis.live.series import NONE, ColumnSlots, Key, KeyTable, SlotPool, new_places
from appliance.hybrid.analysis.live.telling import Telling
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
    slots: dict[str, ColumnSlots] = field(default_factory=dict)
    """By folded name of the field."""
    telling: Telling[int] = field(default_factory=Telling)
    """By slot."""
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
        fields = [c for c in schema.fields if wanted.column(c.name)]
        self.names = tuple(c.name for c in fields if c.kind in NUMBERS)
        self.texts = tuple(c.name for c in fields if c.kind is Kind.TEXT)
        for name in self.names:
            self.slots.setdefault(fold(name), ColumnSlots())

    def take(self, rows: Rows, pool: SlotPool) -> Values | None:
        """The values of records that come next, those of series without a slot left out; None: there are none."""
        tags = tuple(t for t in self.schema.tags if t in rows.data.schema.names)
        numbers = self.keys.numbers(series_hashes(rows.data, tags), rows.data, tags, keys_max=pool.slots_max)
        self.seq = int(rows.seqs[-1])
        self.scored += len(rows)
        cells = [(place, values) for place, name in enumerate(self.names) if (values := _floats(rows.data, name)) is not None]
        if not cells:
            return None
        found = [self._slots(place, values, numbers) for place, values in cells]
        if any((slots == NONE).any() for slots in found):
            self._allot(cells, found, numbers, pool)
            found = [self._slots(place, values, numbers) for place, values in cells]
        return _joined(rows, numbers, cells, found)

    def _slots(self, place: int, values: F64, numbers: I64) -> I32:
        """By row; ``LEFT_OUT`` where there is no value, or no number of the key."""
        slots = self.slots[fold(self.names[place])].of(numbers, len(self.keys))
        return np.where((numbers >= 0) & ~np.isnan(values), slots, np.int32(-2))

    def _allot(self, cells: list[tuple[int, F64]], found: list[I32], numbers: I64, pool: SlotPool) -> None:
        """Slots for the series that are new, in the order in which they came: by record, then by field."""
        new = [(row, place) for (place, _), slots in zip(cells, found, strict=True) for row in new_places(slots, numbers).tolist()]
        for row, place in sorted(new):
            self.slots[fold(self.names[place])].slots[numbers[row]] = pool.take()

    def series(self) -> int:
        """How many there are."""
        return sum(int((c.slots[: len(self.keys)] >= 0).sum()) for c in self.slots.values())

    def left_out(self) -> int:
        """How many are not looked at; those of sets of tags above the limit count once each."""
        return sum(int((c.slots[: len(self.keys)] < NONE).sum()) for c in self.slots.values()) + len(self.keys.over)

    def store(self) -> Stored:
        """As it is now."""
        columns = {name: c.slots[: len(self.keys)].tobytes() for name, c in self.slots.items()}
        told, hashes = self.telling.dump(), self.keys.hashes.tobytes()
        return Stored(
            fold(self.name), self.id, self.seq, self.quiet_seq, hashes, self.keys.keys, columns, told, self.scored, self.passed_over
        )


def restored(stored: Stored, stream: StreamState, wanted: Wanted, *, replay_seq: int) -> Followed:
    """As it was, in the columns that the stream has now."""
    found = Followed(stored.id, stream.schema, wanted, min(stored.seq, stream.last_seq), stored.quiet_seq, replay_seq)
    found.keys = KeyTable(np.frombuffer(stored.hashes, np.uint64), stored.keys)
    found.slots |= {name: ColumnSlots(np.frombuffer(slots, np.int32).copy()) for name, slots in stored.columns.items()}
    found.telling.load(stored.told)
    found.scored, found.passed_over = stored.scored, stored.passed_over
    return found


def _floats(data: pa.RecordBatch, name: str) -> F64 | None:
    """A numeric column, NaN where there is no value; None where it has none at all."""
    at = data.schema.get_field_index(name)
    if at < 0:
        return None
    column: Any = data.column(at)
    if column.null_count == len(column):
        return None
    return np.asarray(column.to_numpy(zero_copy_only=False), dtype=np.float64)


def _joined(rows: Rows, numbers: I64, cells: list[tuple[int, F64]], found: list[I32]) -> Values | None:
    ts, seqs = rows.ts, rows.seqs
    parts = [(place, values, slots, np.flatnonzero(slots >= 0)) for (place, values), slots in zip(cells, found, strict=True)]
    parts = [part for part in parts if len(part[3])]
    if not parts:
        return None
    at = np.concatenate([kept for *_, kept in parts])
    return Values(
        np.concatenate([slots[kept] for _, _, slots, kept in parts]),
        ts[at],
        np.concatenate([values[kept] for _, values, _, kept in parts]),
        seqs[at],
        np.repeat(np.array([place for place, *_ in parts], np.int32), [len(kept) for *_, kept in parts]),
        numbers[at],
    )
