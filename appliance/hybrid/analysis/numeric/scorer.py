"""The first pass over numbers: see ``Scorer``."""

from __future__ import annotations

from typing import Final

import numpy as np

from appliance.hybrid.analysis.numeric.model import Model
from appliance.hybrid.analysis.numeric.reasons import reason_of
from appliance.hybrid.analysis.numeric.rounds import rounds
from appliance.hybrid.analysis.numeric.scored import F64, I32, I64, LEVEL, USUAL, Mask, Scored
from appliance.hybrid.analysis.numeric.state import Field, State

WEEK_US: Final = 7 * 86_400 * 1_000_000
_FIELDS: Final = {
    "seen": Field("i4"),
    "first_us": Field("i8"),
    "last_us": Field("i8"),
    "level": Field("f8"),
    "spread": Field("f8"),
}
_RATE: Final = 0.02


class Scorer:
    """Arrays over series slots. One thread owns it."""

    def __init__(self) -> None:
        self._state = State(_FIELDS)
        self._model: Model | None = None

    @property
    def nbytes(self) -> int:
        """Memory of what is known of all series."""
        return self._state.nbytes

    def grow(self, count: int) -> None:
        """Slots 0 to ``count`` - 1 can be used; never fewer than before. A new slot knows nothing."""
        self._state.grow(count)

    def forget(self, slots: I32) -> None:
        """Those slots know nothing any more and may be given to other series."""
        self._state.forget(slots)

    def dump(self) -> bytes:
        """All that is known, compact; ``load`` of it continues with the same scores."""
        return self._state.dump()

    def load(self, dumped: bytes) -> None:
        """What ``dump`` gave takes the place of what is known. Raises StateUnusable."""
        self._state.load(dumped)

    def learned(self, slot: int) -> float:
        """How much of a week the series has been seen for, by event time: 0 to 1."""
        a = self._state.arrays
        return float(min(1.0, max(0, int(a["last_us"][slot] - a["first_us"][slot])) / WEEK_US))

    def with_model(self, model: Model | None) -> None:
        """From the next record on with these profiles; None: without. Not part of a dump: given again after a ``load``."""
        self._model = model

    def score(self, slots: I32, ts_us: I64, values: F64) -> Scored:
        """Scores of records in order of arrival; several of one series are allowed. ``ts_us``: event times, µs UTC.

        All arrays have the same length; a slot must have been grown.
        """
        n = len(slots)
        scored = Scored(slots, ts_us, values, np.zeros(n), np.full(n, np.nan), np.full(n, np.nan), np.full(n, USUAL, np.uint8))
        finite: Mask = np.isfinite(values)
        places = np.flatnonzero(finite)
        for part in rounds(slots[places]):
            self._round(places[part], scored)
        return scored

    def reason(self, scored: Scored, i: int) -> str:
        """Why record ``i`` of ``scored`` has its score, for a person."""
        return reason_of(scored, i)

    def _round(self, rows: I64, scored: Scored) -> None:
        a = self._state.arrays
        s, ts, x = scored.slots[rows], scored.ts_us[rows], scored.values[rows]
        seen, level, spread = a["seen"][s], a["level"][s], a["spread"][s]
        new = seen == 0
        level = np.where(new, x, level)
        e = np.abs(x - level)
        z = e / np.maximum(spread, 1e-12)
        known = seen >= 20
        scored.score[rows] = np.where(known & (e > 0), 1 - 1 / (1 + (z / 10) ** 2), 0.0)
        scored.expected[rows] = np.where(new, np.nan, level)
        scored.spread[rows] = np.where(new, np.nan, spread)
        scored.kind[rows] = np.where(known & (z > 3), LEVEL, USUAL)
        rate = np.maximum(_RATE, 1.0 / (seen + 1))
        a["level"][s] = level + rate * (x - level)
        a["spread"][s] = spread + rate * (e - spread)
        a["first_us"][s] = np.where(new, ts, np.minimum(a["first_us"][s], ts))
        a["last_us"][s] = np.where(new, ts, np.maximum(a["last_us"][s], ts))
        a["seen"][s] = np.minimum(seen + 1, 2**30)
