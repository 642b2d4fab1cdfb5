"""What a table keeps of its keys: the pane that each is in, the closed ones behind it, the values, when time will make a point."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from appliance.hot.stream.values import I64, Vector
from appliance.hot.stream.windows.aggregates import FAR, NEVER, Aggregate, State
from appliance.hot.stream.windows.layout import Inputs, Layout
from appliance.hot.stream.windows.retained import Retained
from appliance.hot.stream.windows.ring import Ring
from appliance.hot.stream.windows.rounds import Round
from appliance.hot.stream.windows.state import blank, grown

_KEYS_MIN = 16


class Store:
    """Arrays by dense id of key, with room at the end. Owned by one table."""

    def __init__(self, aggregates: Sequence[Aggregate], *, lateness_us: int, values_max: int) -> None:
        self.lateness_us = lateness_us
        self.layout = Layout(aggregates)
        self.values_max = values_max
        self.watermark_us = NEVER
        """Up to which points have been given."""
        self.pane: I64 = np.empty(0, np.int64)
        """The newest pane with content; NEVER where there is none."""
        self.newest: I64 = np.empty(0, np.int64)
        """The newest event time in it."""
        self.lag: I64 = np.empty(0, np.int64)
        """How far the key's own watermark is behind that of all: its newest record less the lateness, when that came."""
        self.first_due: I64 = np.empty(0, np.int64)
        """The first own watermark after the newest record at which a point is due."""
        self.older: I64 = np.empty(0, np.int64)
        """The watermark at which a point of a closed pane is due."""
        self.next_at: I64 = np.empty(0, np.int64)
        """The watermark at which the next point is due; FAR: none is."""
        self.stale = np.empty(0, np.bool_)
        """Keys of which ``base``, ``first_due`` and ``next_at`` are of before their newest rows."""
        self.overfull = np.empty(0, np.bool_)
        """Keys whose latest point had more values than may be looked at."""
        self.open: State = blank(self.layout.columns, 0)
        self.base: State = blank(self.layout.columns, 0)
        """The closed panes of the window of the newest pane."""
        self.ring = Ring(self.layout)
        self.retained = {argument.index: Retained() for argument in self.layout.valued}

    @property
    def bytes(self) -> int:
        """Memory of all arrays and texts."""
        own = (self.pane, self.newest, self.lag, self.first_due, self.older, self.next_at, self.stale, self.overfull)
        arrays = sum(a.nbytes for a in (*own, *self.open.values(), *self.base.values()))
        texts = sum(argument.pool.bytes for argument in self.layout.arguments.values())
        return arrays + self.ring.bytes + sum(r.bytes for r in self.retained.values()) + texts

    def reserve(self, keys: int) -> None:
        """Makes room for ids below ``keys``."""
        if keys <= len(self.pane):
            return
        room = max(_KEYS_MIN, keys, 2 * len(self.pane))
        for name, value in (("pane", NEVER), ("newest", NEVER), ("lag", 0), ("first_due", FAR), ("older", FAR), ("next_at", FAR)):
            column = getattr(self, name)
            setattr(self, name, np.append(column, np.full(room - len(column), value, np.int64)))
        self.overfull = np.append(self.overfull, np.zeros(room - len(self.overfull), np.bool_))
        self.stale = np.append(self.stale, np.zeros(room - len(self.stale), np.bool_))
        self.open = grown(self.open, self.layout.columns, room)
        self.base = grown(self.base, self.layout.columns, room)
        self.ring.reserve(room)
        for retained in self.retained.values():
            retained.reserve(room)

    def begin_us(self, *, pane_us: int, panes: int) -> int:
        """See ``PaneTable.begin_us``."""
        live = (self.pane != NEVER) & ((self.pane + panes) * pane_us > self.watermark_us - self.lag)
        return (int(self.pane[live].min()) - panes + 1) * pane_us if live.any() else FAR

    def lags(self, ts: I64, watermark: I64) -> I64:
        """How far the own watermarks of keys are behind just after records at ``ts``."""
        return np.asarray(np.maximum(watermark - ts + self.lateness_us, 0), dtype=np.int64)

    def meet(self, vectors: Sequence[Vector]) -> None:
        """Suits the columns to the kinds of the inputs, and throws away texts that nothing holds."""
        if self.layout.meet(vectors):
            self.layout.convert(self.open, self.base, self.ring.state)
        for argument in self.layout.arguments.values():
            if argument.pool.crowded:
                self._shrink(argument.index)

    def totals(self, rows: Round, inputs: Inputs) -> dict[int, I64]:
        """Keeps the values of a round; for each argument the values that the key of a row has had with it."""
        out: dict[int, I64] = {}
        for argument, (values, ok) in zip(self.layout.arguments.values(), inputs, strict=True):
            retained = self.retained.get(argument.index)
            if retained is None:
                continue
            counted = np.cumsum(ok, dtype=np.int64)
            before = counted[rows.key_starts] - ok[rows.key_starts]
            lengths = rows.key_ends - rows.key_starts + 1
            out[argument.index] = counted + np.repeat(retained.total[rows.keys] - before, lengths)
            retained.append(rows.keys, counted[rows.key_ends] - before, values[ok])
        return out

    def trim(self, ids: I64) -> None:
        """Forgets the values of some keys that are in no pane any more, or too many to be looked at."""
        if not self.retained:
            return
        places = self.ring.places(ids, np.zeros_like(ids), np.minimum(self.ring.count[ids], 1))
        some = self.ring.count[ids] > 0
        for argument in self.layout.valued:
            retained = self.retained[argument.index]
            oldest = self.open[argument.ordinal][ids] - self.open[argument.n][ids]
            oldest[some] = self.ring.state[argument.ordinal][places] - self.ring.state[argument.n][places]
            retained.trim(ids, np.maximum(oldest, retained.total[ids] - 2 * self.values_max))

    def _shrink(self, index: int) -> None:
        argument = self.layout.arguments[index]
        held = [self.ring.held(name) for name in argument.value_columns]
        held += [state[name] for name in argument.value_columns for state in (self.open, self.base)]
        retained = self.retained.get(index)
        if retained is not None:
            held.append(retained.held())
        codes = argument.pool.shrink(np.unique(np.concatenate(held)) if held else np.empty(0, np.int64))
        for state in (self.open, self.base, self.ring.state):
            for name in argument.value_columns:
                state[name] = codes.take(state[name], mode="clip")
        if retained is not None:
            retained.recode(codes)
