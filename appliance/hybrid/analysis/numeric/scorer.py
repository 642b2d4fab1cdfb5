"""The first pass over numbers: see ``Scorer``."""

from __future__ import annotations

from datetime import UTC, tzinfo
from typing import Final

import numpy as np

from appliance.hybrid.analysis.numeric import views
from appliance.hybrid.analysis.numeric.model import Model, Profiles
from appliance.hybrid.analysis.numeric.reasons import reason_of
from appliance.hybrid.analysis.numeric.rounds import rounds, seconds
from appliance.hybrid.analysis.numeric.scored import (
    F64,
    FALL,
    HIGHEST,
    I32,
    I64,
    INFINITE,
    LOWEST,
    RISE,
    U8,
    Mask,
    Scored,
    nothing_said,
)
from appliance.hybrid.analysis.numeric.state import Field, State

WEEK_US: Final = 7 * 86_400 * 1_000_000
RARE: Final = 0.95
"""Surprise that scores 0.99: of the real series of the Numenta corpus, one record in about a thousand."""
STRICTER: Final = 0.5
"""For each tenfold of records that are known, from ``STRICT_FROM`` to ``STRICT_TO``, so much surprise is taken off: among more records
rarer ones come by chance, and a person's patience does not grow with them."""
STRICT_FROM, STRICT_TO = 1_000, 100_000
REST: Final = 150
"""Records in which what was scored fades: another one is an onset again when it is above what has faded, or after these."""
REPEAT: Final = 0.5
"""Of the score of what is not: it belongs to what has had its score."""
BEGIN, LEARNED = 20, 100
"""Records before which nothing is scored, and from which on scores count in full."""
_SECOND_US: Final = 1_000_000
_FURTHER: Final = 2.0
"""Spreads from which on a further record of the same second is looked at."""
_FIELDS: Final = {
    "seen": Field("i4"),
    "first_us": Field("i8"),
    "last_us": Field("i8"),
    "second": Field("i8", 0, -1),
    "centre": Field("f8"),
    "top": Field("f8"),
    "around": Field("f8"),
    "peak": Field("f8"),
    "age": Field("i4"),
    "infinite": Field("i4"),
    "value": Field("f8"),
    "highest": Field("f8", 0, -np.inf),
    "lowest": Field("f8", 0, np.inf),
    "rise": Field("f8"),
    "fall": Field("f8"),
    **views.FIELDS,
}


class Scorer:
    """Arrays over series slots. One thread owns it.

    A series of many records a second costs little more than one of one: the first record of each second of event time is looked at fully,
    a further one only if it is further from what was usual than all of that second before it and than ``_FURTHER`` spreads; others score 0.
    """

    def __init__(self) -> None:
        self._state = State(_FIELDS)
        self._model: Profiles | None = None

    @property
    def nbytes(self) -> int:
        """Memory of what is known of all series."""
        return self._state.nbytes

    @property
    def model(self) -> str | None:
        """The version of the model in use; None: what it has learned itself."""
        return None if self._model is None else self._model.version

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

    def with_model(self, model: Model | None) -> None:
        """From the next record on with these profiles; None: without. Not part of a dump: given again after a ``load``."""
        self._model = None if model is None else Profiles(model)

    def learned(self, slot: int) -> float:
        """How much of a week the series has been followed for, by event time: 0 to 1."""
        a = self._state.arrays
        return float(min(1.0, max(0, int(a["last_us"][slot] - a["first_us"][slot])) / WEEK_US))

    def score(self, slots: I32, ts_us: I64, values: F64) -> Scored:
        """Scores of records in order of arrival; several of one series are allowed. ``ts_us``: event times, µs UTC.

        All arrays have the same length; a slot must have been grown.
        """
        scored = nothing_said(slots, ts_us, values)
        places = np.flatnonzero(~np.isnan(values))
        for part in seconds(slots[places], ts_us[places], values[places]):
            rows = places[part]
            finite = np.isfinite(values[rows])
            if not finite.all():
                self._infinite(rows[~finite], scored)
            if finite.any():
                self._second(rows[finite], scored)
        return scored

    def reason(self, scored: Scored, i: int, *, zone: tzinfo = UTC) -> str:
        """Why record ``i`` of ``scored`` has its score, for a person; times of the week in ``zone``."""
        return reason_of(scored, i, zone)

    def _infinite(self, rows: I64, scored: Scored) -> None:
        """Infinite values are not learned; they score high as long as they are rare."""
        a = self._state.arrays
        for part in rounds(scored.slots[rows]):
            at = rows[part]
            s = scored.slots[at]
            rare = (a["infinite"][s] + 1) * 100 <= a["seen"][s]
            scored.score[at] = scored.onset[at] = np.where(rare, 0.99, np.where(a["seen"][s] >= BEGIN, REPEAT, 0.0))
            scored.kind[at] = INFINITE
            a["infinite"][s] += 1

    def _second(self, rows: I64, scored: Scored) -> None:
        """One second at most of each series."""
        a = self._state.arrays
        s, second = scored.slots[rows], scored.ts_us[rows] // _SECOND_US
        order = np.argsort(s, kind="stable")
        first = np.zeros(len(rows), np.bool_)
        first[order] = np.concatenate([[True], s[order][1:] != s[order][:-1]])
        first &= second != a["second"][s]
        if first.any():
            self._round(rows[first], scored)
            s1 = s[first]
            a["second"][s1] = second[first]
            a["centre"][s1] = a["fast"][s1] + a["origin"][s1]
            a["around"][s1] = 1.2533 * a["fast_error"][s1]
            a["top"][s1] = np.maximum(_FURTHER * a["fast_error"][s1], np.abs(scored.values[rows[first]] - a["centre"][s1]))
        if not first.all():
            self._further(rows[~first], scored)

    def _further(self, rows: I64, scored: Scored) -> None:
        """Further records of a second: those that are further away than all before. Those between keep the score of what is usual."""
        a = self._state.arrays
        s = scored.slots[rows]
        away = np.abs(scored.values[rows] - a["centre"][s])
        scored.expected[rows], scored.spread[rows] = a["centre"][s], a["around"][s]
        outside = np.flatnonzero(away > a["top"][s])
        for part in rounds(s[outside]):
            at = outside[part]
            at = at[away[at] > a["top"][s[at]]]
            if len(at):
                a["top"][s[at]] = away[at]
                self._round(rows[at], scored)

    def _round(self, rows: I64, scored: Scored) -> None:
        """One record at most of each series."""
        a = self._state.arrays
        s, ts, x = scored.slots[rows].astype(np.int64), scored.ts_us[rows], scored.values[rows]
        seen = a["seen"][s]
        new = seen == 0
        a["first_us"][s] = np.where(new, ts, np.minimum(a["first_us"][s], ts))
        a["last_us"][s] = np.where(new, ts, np.maximum(a["last_us"][s], ts))
        found = views.look(a, s, ts, x, self._model)
        surprise = found.surprise - STRICTER * np.log10(np.clip(seen + 1, STRICT_FROM, STRICT_TO) / STRICT_FROM)
        surprise = np.maximum(surprise, 0.0) * np.clip((seen - BEGIN) / (LEARNED - BEGIN), 0.0, 1.0)
        if self._model is not None:
            surprise /= self._model.factor(s)
        counts = self._counts(s, surprise)
        score = 1.0 - 10.0 ** (-2.0 / RARE * surprise)
        scored.score[rows] = score
        scored.onset[rows] = np.where(counts, score, REPEAT * score)
        scored.expected[rows], scored.spread[rows] = found.expected, found.spread
        scored.kind[rows], scored.seasonal[rows] = found.kind, found.seasonal
        scored.followed_us[rows] = a["last_us"][s] - a["first_us"][s]
        scored.records[rows] = self._records(s, x, new)
        a["seen"][s] = np.minimum(seen + 1, 2**30)

    def _counts(self, s: I64, surprise: F64) -> Mask:
        """Whether it is above what has faded of those before."""
        a = self._state.arrays
        peak, age = a["peak"][s], a["age"][s]
        over = (age >= REST) | (surprise > peak)
        higher = surprise >= peak * (1.0 - age / REST)
        a["peak"][s] = np.where(higher, surprise, peak)
        a["age"][s] = np.where(higher, 0, np.minimum(age + 1, 2 * REST))
        return over

    def _records(self, s: I64, x: F64, new: Mask) -> U8:
        """Bits of the records that ``x`` sets."""
        a = self._state.arrays
        change = np.where(new, 0.0, x - a["value"][s])
        out = np.zeros(len(s), np.uint8)
        for bit, name, sets in (
            (HIGHEST, "highest", x > a["highest"][s]),
            (LOWEST, "lowest", x < a["lowest"][s]),
            (RISE, "rise", change > a["rise"][s]),
            (FALL, "fall", change < a["fall"][s]),
        ):
            out[sets] |= bit
            a[name][s] = np.where(sets, x if bit in (HIGHEST, LOWEST) else change, a[name][s])
        a["value"][s] = x
        return out
