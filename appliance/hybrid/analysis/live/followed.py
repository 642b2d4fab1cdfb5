"""One stream of an analysis: its series, how far it has been scored, and its values by column for the scorer. Owned by the follower."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from appliance.clock import US_PER_S
from appliance.hot.series import series_hashes
from appliance.hot.state import StreamState
from appliance.hot.stream.event_clock import NEVER as NEVER_US
from appliance.hot.stream.values import I64, Mask, Rows
from appliance.hybrid.analysis.live.presence import FAR, NEVER, Presence, Silence
from appliance.hybrid.analysis.live.series import LEFT_OUT, NONE, Key, KeyTable, SlotPool, SlotTable
from appliance.hybrid.analysis.live.telling import Budget, Telling
from appliance.hybrid.analysis.live.wanted import Wanted
from appliance.hybrid.analysis.numeric.scored import F64, I32
from appliance.records import Kind, Schema, fold

KNOWN_TICKS: Final = 120
"""A series must have been known for so long before its silence is told."""
ENDED_TICKS: Final = 3_600
ENDED_TIMES: Final = 3.0
"""A series has ended when nothing has come of it for so long, and for so many times as long as makes a silence."""
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


@dataclass(frozen=True, slots=True)
class Room:
    """When series that have ended may make room for others."""

    tick: int
    """How far the clocks of all streams have come."""
    from_tick: int
    """Not before this one."""


ALWAYS_FULL: Final = Room(NEVER, FAR)


@dataclass(frozen=True, slots=True)
class Taken:
    """What came of some records."""

    values: Values | None
    """None: there are none."""
    rows: Rows
    """Those that were taken."""
    newest_us: int
    """The newest event time of them that can be believed; ``event_clock.NEVER``: there is none."""
    silences: list[Silence]
    wants_room: int | None
    """The tick at which there must be room for another series before the next record is taken; None: all of them were."""


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
    newest_us: int = NEVER_US
    presence: bytes = b""


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
    presence: Presence = field(default_factory=lambda: Presence(known_min=KNOWN_TICKS))
    """Of the sets of tags, in seconds of event time."""
    newest_us: int = NEVER_US
    """The newest event time that can be believed: the clock of the stream."""
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

    def take(self, rows: Rows, pool: SlotPool, timely: Mask | None, *, room: Room = ALWAYS_FULL) -> Taken:
        """Records that come next, as far as they can be taken. ``timely``: those whose time can be believed; None: all of them.

        The values of series without a slot are left out. Of records from ``room`` on the first that needs one where there is none is not
        taken, nor are those behind it.
        """
        tags = tuple(t for t in self.schema.tags if t in rows.data.schema.names)
        ticks = self._ticks(rows.ts, timely)
        numbers = self.keys.numbers(series_hashes(rows.data, tags), rows.data, tags, keys_max=pool.slots_max)
        self.slots.grow(len(self.keys))
        values = np.stack([_floats(rows.data, name) for name in self.names]) if self.names else np.empty((0, len(rows)))
        there = ~np.isnan(values)
        if (numbers < 0).any():
            there &= numbers >= 0
        slots = self._slotted(there, numbers, pool)
        wants_room: int | None = None
        if pool.is_full or len(self.keys.over):
            waits = np.flatnonzero(((slots == LEFT_OUT) & there).any(axis=0) | (numbers < 0))
            waits = waits[np.maximum(ticks[waits], room.tick) >= room.from_tick]
            if len(waits):
                count, wants_room = int(waits[0]), int(ticks[waits[0]])
                rows = Rows(rows.data.slice(0, count), rows.seqs[:count])
                there, numbers, ticks = there[:, :count], numbers[:count], ticks[:count]
                timely = None if timely is None else timely[:count]
        newest_us = int((rows.ts if timely is None else rows.ts[timely]).max(initial=NEVER_US))
        self.newest_us = max(self.newest_us, newest_us)
        self.seq = int(rows.seqs[-1]) if len(rows) else self.seq
        self.scored += len(rows)
        self.presence.grow(len(self.keys))
        silences = self.presence.hear(ticks, numbers)
        place, record = np.nonzero(there & (slots[:, : len(rows)] >= 0))
        every = None
        if len(place):
            found = slots[place, record], rows.ts[record], values[place, record], rows.seqs[record]
            every = Values(*found, place.astype(np.int32), numbers[record])
        return Taken(every, rows, newest_us, silences, wants_room)

    def _ticks(self, ts: I64, timely: Mask | None) -> I64:
        """The second by the clock of the stream, which is its newest record, at each record."""
        if timely is not None:
            ts = np.where(timely, ts, self.newest_us)
        return np.maximum(np.maximum.accumulate(ts), self.newest_us) // US_PER_S

    def _slotted(self, there: Mask, numbers: I64, pool: SlotPool) -> I32:
        """Slots by field and record; what is there of keys without a number means nothing."""
        if not len(self.keys) or not self.names:
            return np.full(there.shape, NONE, np.int32)
        slots = self.slots.of(self._rows, numbers)
        new = there & (slots == NONE)
        if new.any():
            record, place = np.nonzero(new.T)
            self.slots.allot(self._rows[place], numbers[record], pool)
            slots = self.slots.of(self._rows, numbers)
        return slots

    def let_go(self, *, tick: int) -> I32:
        """Forgets the sets of tags that have ended by then; the slots that they had."""
        kept = np.ones(len(self.keys), np.bool_)
        self.presence.grow(len(kept))
        ended = self.presence.ended_for(tick=tick)[: len(kept)] >= ENDED_TIMES
        kept[ended & (self.presence.away(tick=tick)[: len(kept)] >= ENDED_TICKS)] = False
        if kept.all():
            return np.empty(0, np.int32)
        slots = self.slots.of_keys(np.flatnonzero(~kept))
        self.slots.keep(kept)
        self.keys.keep(kept)
        self.presence.keep(kept)
        self.telling.forget(slots.tolist())
        return slots

    def has_room(self) -> None:
        """Series that were left out may come in."""
        self.slots.try_again()
        self.keys.forget_over()

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
            self.newest_us,
            self.presence.dump(),
        )


def restored(stored: Stored, stream: StreamState, wanted: Wanted, *, replay_seq: int) -> Followed:
    """As it was, in the columns that the stream has now."""
    found = Followed(stored.id, stream.schema, wanted, min(stored.seq, stream.last_seq), stored.quiet_seq, replay_seq)
    found.keys = KeyTable(np.frombuffer(stored.hashes, np.uint64), stored.keys)
    found.slots.load(stored.columns)
    found.take_schema(stream.schema, wanted)
    found.telling.load(stored.told)
    found.budget = Budget(*stored.budget)
    found.newest_us = stored.newest_us
    found.presence.load(stored.presence)
    found.scored, found.passed_over = stored.scored, stored.passed_over
    return found


def _floats(data: pa.RecordBatch, name: str) -> F64:
    """A numeric column, NaN where there is no value."""
    at = data.schema.get_field_index(name)
    column: Any = data.column(at) if at >= 0 else None
    if column is None or column.null_count == len(column):
        return np.full(data.num_rows, np.nan)
    return np.asarray(column.to_numpy(zero_copy_only=False), dtype=np.float64)
