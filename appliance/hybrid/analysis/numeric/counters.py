"""Series that only count up, told from their values alone, and scored by how fast they do: the total says nothing of the moment.

A series is a counter when its values are whole, not negative, and have risen ``RISES`` times without falling; from then on each value is
what it rose by, a second, since the one before. A fall to half or less is a new beginning, which has no rate. Any other fall, and any value
that no counter has, makes it a series like others. Pure, by column; Python looks at the records of a series only when it becomes something
else, which it does ``FALLS`` times at most.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from appliance.clock import US_PER_S
from appliance.hybrid.analysis.numeric.scored import F64, I32, I64, Mask, Scored, nothing_said
from appliance.hybrid.analysis.numeric.scorer import Scorer
from appliance.hybrid.analysis.numeric.state import Field, State

RISES: Final = 64
FALLS: Final = 8
"""Falls after which it is no counter and never will be."""
NO_RESET: Final = 3
"""Falls that one of a counter counts for where it is no new beginning."""
RESET: Final = 0.5
"""A counter that begins anew has at most this part of its value."""
OPEN, COUNTER, OTHER = range(3)
_NEVER: Final = -(2**62)
_FIELDS: Final = {
    "value": Field("f8", 0, np.nan),
    "ts": Field("i8", 0, _NEVER),
    "rises": Field("i4"),
    "falls": Field("i4"),
    "is": Field("u1"),
}


@dataclass(frozen=True, slots=True)
class _Turned:
    """Values as they are scored."""

    values: F64
    phases: npt.NDArray[np.int32] | None
    """By record: how often its series has become something else in this call. None: none has."""
    changed: dict[int, list[int]]
    """Phase -> slots that begin it, as new."""


class Counters:
    """What is known of each slot. One thread owns it; grown and forgotten with the ``Scorer`` that it goes before."""

    def __init__(self) -> None:
        self._state = State(_FIELDS)

    @property
    def nbytes(self) -> int:
        """Memory of what is known."""
        return self._state.nbytes

    def grow(self, count: int) -> None:
        """Slots 0 to ``count`` - 1 can be used."""
        self._state.grow(count)

    def forget(self, slots: I32) -> None:
        """Those slots are as new."""
        self._state.forget(slots)

    def are(self, slots: I32) -> Mask:
        """Which are counters by now."""
        return np.asarray(self._state.arrays["is"][slots] == COUNTER, np.bool_)

    def dump(self) -> bytes:
        """All that is known."""
        return self._state.dump()

    def load(self, dumped: bytes) -> None:
        """What ``dump`` gave; nothing of b"": all of them are as new. Raises StateUnusable."""
        if dumped:
            self._state.load(dumped)

    def score(self, scorer: Scorer, slots: I32, ts_us: I64, values: F64) -> Scored:
        """As ``Scorer.score``, with the rates of counters in the place of their values (NaN where there is none). A series that becomes a
        counter, or is one no more, is learned anew from there on."""
        turned = self._turned(slots, ts_us, values)
        if turned.phases is None:
            return scorer.score(slots, ts_us, turned.values)
        found = nothing_said(slots, ts_us, turned.values)
        for phase in range(int(turned.phases.max()) + 1):
            if phase:
                scorer.forget(np.asarray(turned.changed[phase], np.int32))
            at = np.flatnonzero(turned.phases == phase)
            part = scorer.score(slots[at], ts_us[at], turned.values[at])
            for name in ("score", "onset", "expected", "spread", "kind", "records", "seasonal", "followed_us"):
                getattr(found, name)[at] = getattr(part, name)
        return found

    def _turned(self, slots: I32, ts_us: I64, values: F64) -> _Turned:
        at = np.flatnonzero((self._state.arrays["is"][slots] != OTHER) & ~np.isnan(values))
        if not len(at):
            return _Turned(values, None, {})
        order = at[np.argsort(slots[at], kind="stable")]
        return self._in_order(order, slots[order], ts_us[order], values[order], values)

    def _in_order(self, order: I64, s: I32, t: I64, v: F64, out: F64) -> _Turned:
        """``s``: series by series, each in the order of arrival; ``order``: their places in ``out``, which has all values."""
        a = self._state.arrays
        begins = _begins(s)
        first = np.flatnonzero(begins)
        ends, which = np.append(first[1:], len(s)), s[first]
        late = self._late(s, t, begins)
        newest = np.maximum.accumulate(np.where(late, -1, np.arange(len(s))))
        last = np.append(-1, newest[:-1])
        from_known = last < np.repeat(first, ends - first)
        before = np.where(from_known, a["value"][s], v[last])
        seconds = (t - np.where(from_known, a["ts"][s], t[last])) / US_PER_S
        with np.errstate(invalid="ignore", over="ignore"):
            change = np.where(late, 0.0, v - before)
            is_odd = (v < 0) | (v != np.floor(v)) | np.isinf(v)
        rises = np.add.reduceat((change > 0).astype(np.int32), first)
        odd = np.logical_or.reduceat(is_odd | (change < 0), first)
        turns = odd | ((a["is"][which] == OPEN) & (a["rises"][which] + rises >= RISES))
        rows = np.repeat(~turns & (a["is"][which] == COUNTER), ends - first)
        if rows.any() or turns.any():
            out = out.copy()
            out[order[rows]] = np.where(late, np.nan, change / np.where(late, 1.0, seconds))[rows]
        phases = np.zeros(len(out) if turns.any() else 0, np.int32)
        changed: dict[int, list[int]] = {}
        a["rises"][which[~turns]] = np.minimum(a["rises"][which[~turns]] + rises[~turns], RISES)
        for begin, end in zip(first[turns].tolist(), ends[turns].tolist(), strict=True):
            part = slice(begin, end)
            made, steps = self._one(int(s[begin]), v[part], np.where(late, np.nan, before)[part], seconds[part], is_odd[part])
            out[order[part]], phases[order[part]] = made, steps
            for phase in range(1, int(steps[-1]) + 1):
                changed.setdefault(phase, []).append(int(s[begin]))
        newest = newest[ends - 1]
        known = newest >= first
        a["value"][which[known]], a["ts"][which[known]] = v[newest[known]], t[newest[known]]
        return _Turned(out, phases if changed else None, changed)

    def _late(self, s: I32, t: I64, begins: Mask) -> Mask:
        """Which are not later than all before of their series, and than the newest one known."""
        known = self._state.arrays["ts"][s[begins]]
        before = np.append(0, t[:-1])
        before[begins] = known
        if not (t <= before).any():
            return np.zeros(len(t), np.bool_)
        ranks = np.unique(np.concatenate((t, known)), return_inverse=True)[1].reshape(-1).astype(np.int64)
        far = (np.cumsum(begins) - 1) * (int(ranks.max()) + 1)
        rank, first = ranks[: len(t)] + far, ranks[len(t) :] + far[begins]
        highest = rank.copy()
        highest[begins] = np.maximum(highest[begins], first)
        before = np.append(0, np.maximum.accumulate(highest)[:-1])
        before[begins] = first
        return np.asarray(rank <= before, np.bool_)

    def _one(self, slot: int, v: F64, before: F64, seconds: F64, is_odd: Mask) -> tuple[F64, npt.NDArray[np.int32]]:
        """The records of one series that becomes something else, or begins anew: what is scored, and how often it became another thing.
        ``before``: NaN for what is late, or the first."""
        a = self._state.arrays
        is_, rises, falls, phase = int(a["is"][slot]), int(a["rises"][slot]), int(a["falls"][slot]), 0
        made, steps = v.copy(), np.zeros(len(v), np.int32)
        for i, (value, old) in enumerate(zip(v.tolist(), before.tolist(), strict=True)):
            was = is_
            if is_ == OTHER:
                pass
            elif is_odd[i]:
                is_ = OTHER
            elif value < old:
                is_reset = is_ == COUNTER and value <= RESET * old
                if not is_reset:
                    falls += NO_RESET if is_ == COUNTER else 1
                    is_, rises = OPEN if falls < FALLS else OTHER, 0
            elif value > old:
                rises = min(rises + 1, RISES)
                is_ = COUNTER if rises == RISES else is_
            phase += (is_ == COUNTER) != (was == COUNTER)
            steps[i] = phase
            if is_ == COUNTER:
                made[i] = (value - old) / seconds[i] if value >= old else np.nan  # of what is late there is none either
        a["is"][slot], a["rises"][slot], a["falls"][slot] = is_, rises, falls
        return made, steps


def _begins(s: npt.NDArray[Any]) -> Mask:
    return np.concatenate(([True], s[1:] != s[:-1]))
