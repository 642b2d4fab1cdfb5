"""Of which things it is usual to hear how often, and which have fallen silent. By column over all things; pure bookkeeping, one owner.

Time is counted in ticks, and a tick counts for what it is only where something is heard: a jump over more than ``PACES`` times what usually
lies between two ticks counts as so much. So an outage of whatever all of them come through is no silence of each. What is found is told at
the end of a tick, when the first of a later one comes, and depends on what was heard in which tick alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt

from appliance.hot.stream.values import I64

PACES: Final = 3.0
GAPS_MIN: Final = 20
"""Gaps of a thing that must be known before its silence means anything."""
LEAST: Final = 10
"""Ticks: no shorter silence is one."""
TIMES: Final = 5.0
"""A silence is so many times as long as usual, and ``LONGEST`` times the longest that came lately."""
LONGEST: Final = 2.0
LEARNED_MAX: Final = 4.0
"""A gap that was a silence is learned as so many times what made it one."""
RATE: Final = 0.02
"""Weight of a new gap, at least."""
FADES: Final = 0.995
"""Of the longest gap, with each further one."""
AGAIN: Final = 0.1
"""A silence is told again each time that it has become so much longer, and each ``AGAIN_MAX`` ticks at the latest."""
AGAIN_MAX: Final = 60
SEPARATE_MAX: Final = 4
"""More of them that are silent at once are told as one."""
ENDS_MIN: Final = 3
ENDS_SHARE: Final = 0.2
"""Where so many, and this part of all, have ended and as many have come, an end is what is usual: nothing is told of further ones."""
ENDED: Final = 86_400
"""What has been silent for so many ticks has ended, and is not told again; unless somebody waits for the word that it is well."""
HALF_LIFE: Final = 86_400.0
"""Ticks after which an end or a beginning counts half."""
NEVER: Final = -(2**62)
FAR: Final = 2**62
_WHOLE: Final = {"last": NEVER, "gaps": 0, "next": FAR, "told": 0, "first": NEVER}
_REAL: Final = {"mean": 0.0, "square": 0.0, "longest": 0.0, "wait": float(LEAST)}
"""What is known of each thing, and as of what nothing is: in rows, since most of it is read and written at once."""


class _Stored(msgspec.Struct, frozen=True):
    tick: int
    now: int
    pace: tuple[int, float, float]
    ends: float
    begins: float
    whole: bytes
    real: bytes


@dataclass(frozen=True, slots=True)
class Silence:
    """Things that are silent, told as one."""

    things: tuple[int, ...]
    """The one that has been for longest first."""
    of: int
    """How many are heard of regularly at all."""
    tick: int
    """At the end of which this is so."""
    silent: int
    """Ticks, of the first."""
    usual: float
    """Ticks that usually lie between two times at which the first is heard of; of more common ones more."""
    after: float
    """Ticks after which its silence is one."""
    again: int
    """After so many ticks it is told again."""
    known: int
    """For so many ticks the first has been known: the least of all."""


class Presence:
    """See the module. Things are numbers from 0 on."""

    def __init__(self, *, known_min: int, jump_max: int | None = None) -> None:
        """``known_min``: ticks for which a thing must have been known. ``jump_max``: for how many ticks a jump counts at most, whatever is
        usual; None: by what is usual."""
        self.tick = NEVER
        """The newest."""
        self.now = 0
        """Ticks that count, so far."""
        self.forgets = True
        """Whether what is silent has ended at some time (``ENDED``)."""
        self._known_min, self._jump_max = known_min, jump_max
        self._pace = (0, 0.0, 0.0)
        """Of jumps: how many, their mean, the mean of their squares."""
        self._ends, self._begins = 0.0, 0.0
        self._set(_none(0))

    def __len__(self) -> int:
        return int(self._whole.shape[1])

    def grow(self, count: int) -> None:
        """There are so many things, never fewer than before."""
        new = count - len(self)
        if new > 0:
            more = _none(max(new, len(self)))
            self._set((np.concatenate((self._whole, more[0]), axis=1), np.concatenate((self._real, more[1]), axis=1)))

    def hear(self, ticks: I64, things: I64) -> list[Silence]:
        """Of these things something has come, in this order: ``ticks`` don't fall. -1: of none of them. Who fell silent by then is told."""
        found: list[Silence] = []
        if not len(ticks):
            return found
        edges = [0, len(ticks)] if ticks[0] == ticks[-1] else [0, *(np.flatnonzero(np.diff(ticks)) + 1).tolist(), len(ticks)]
        for begin, end in pairwise(edges):
            tick = int(ticks[begin])
            if tick > self.tick:
                found += self._over()
                self._move(tick)
            self._heard(things[begin:end])
        return found

    def pass_by(self, tick: int) -> list[Silence]:
        """Of nothing anything has come until this tick."""
        if tick <= self.tick:
            return []
        found = self._over()
        self._move(tick)
        return found

    def ended_for(self, *, tick: int) -> npt.NDArray[np.float64]:
        """Of each thing: how many times as long as needed for a silence it has not been heard of by then, what nobody hears of counted by
        the ticks; 0 for what was never heard of."""
        away = self.now - self._c["last"] + max(0, tick - self.tick)
        return np.where(self._c["last"] == NEVER, 0.0, away / self._c["wait"])

    def away(self, *, tick: int) -> I64:
        """Of each thing: for how many ticks it has not been heard of by then, likewise."""
        away = self.now - self._c["last"] + max(0, tick - self.tick)
        return np.where(self._c["last"] == NEVER, 0, away)

    def keep(self, kept: npt.NDArray[np.bool_]) -> None:
        """Things are numbered anew: those that are kept, in their order; the others have ended. ``kept``: of the first so many; there were
        no more."""
        self._ends += int((~kept).sum())
        self._set((self._whole[:, : len(kept)][:, kept], self._real[:, : len(kept)][:, kept]))

    def begin_again(self) -> None:
        """Nobody has listened for a while: what was heard of before was heard of just now, and ticks are counted from another one on."""
        heard = self._c["last"] != NEVER
        self._c["last"][heard] = self.now
        self._c["told"][:] = 0
        self._c["next"][heard] = self._due(self._c["gaps"][heard], self._c["wait"][heard])
        self.tick = NEVER

    # --- what is known ----------------------------------------------------------------------------------------------------

    def dump(self) -> bytes:
        """All of it."""
        parts = self._whole.tobytes(), self._real.tobytes()
        return msgspec.msgpack.encode(_Stored(self.tick, self.now, self._pace, self._ends, self._begins, *parts))

    def load(self, dumped: bytes) -> None:
        """What ``dump`` gave; nothing of b"". Raises ``msgspec.DecodeError``."""
        if not dumped:
            return
        stored = msgspec.msgpack.decode(dumped, type=_Stored)
        self.tick, self.now, self._pace = stored.tick, stored.now, stored.pace
        self._ends, self._begins = stored.ends, stored.begins
        whole, real = np.frombuffer(stored.whole, np.int64), np.frombuffer(stored.real, np.float64)
        self._set((whole.reshape(len(_WHOLE), -1).copy(), real.reshape(len(_REAL), -1).copy()))

    def _set(self, rows: tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]) -> None:
        self._whole, self._real = rows
        self._c: dict[str, npt.NDArray[Any]] = dict(zip((*_WHOLE, *_REAL), (*self._whole, *self._real), strict=True))

    # --- the ticks --------------------------------------------------------------------------------------------------------

    def _move(self, tick: int) -> None:
        if self.tick != NEVER:
            jump = float(tick - self.tick)
            count, mean, square = self._pace
            if self._jump_max is not None:
                jump = min(jump, self._jump_max)
            elif count:
                jump = min(jump, max(1.0, PACES * square / mean))
            rate = max(RATE, 1 / (count + 1))
            self._pace = (count + 1, mean + rate * (jump - mean), square + rate * (jump * jump - square))
            self.now += int(jump)
            left = 0.5 ** (jump / HALF_LIFE)
            self._ends, self._begins = self._ends * left, self._begins * left
        self.tick = tick

    def _heard(self, things: I64) -> None:
        flags = np.zeros(len(self), np.bool_)
        flags[things if not len(things) or things.min() >= 0 else things[things >= 0]] = True
        at = np.flatnonzero(flags & (self._whole[0] != self.now))
        whole = self._whole[:, at]
        last, gaps = whole[0], whole[1]
        is_new = last == NEVER
        if is_new.any():
            new = at[is_new]
            self._c["first"][new] = self._c["last"][new] = self.now
            self._begins += len(new) if self.now >= self._known_min else 0
            at, whole = at[~is_new], whole[:, ~is_new]
            last, gaps = whole[0], whole[1]
        if not len(at):
            return
        real = self._real[:, at]
        mean, square, longest, wait = real
        gap = (self.now - last).astype(np.float64)
        gap = np.where(gaps >= GAPS_MIN, np.minimum(gap, LEARNED_MAX * wait), gap)
        rate = np.maximum(RATE, 1 / (gaps + 1))
        mean += rate * (gap - mean)
        square += rate * (gap * gap - square)
        np.maximum(gap, FADES * longest, out=longest)
        np.maximum(np.maximum(TIMES * square / mean, LONGEST * longest), LEAST, out=wait)
        gaps += 1
        last[:], whole[2], whole[3] = self.now, self._due(gaps, wait), 0
        self._whole[:, at], self._real[:, at] = whole, real

    def _usual(self, at: npt.NDArray[np.intp]) -> npt.NDArray[np.float64]:
        """The gap in which any moment usually falls: what comes in bursts is not expected in between."""
        return np.asarray(self._c["square"][at] / np.maximum(self._c["mean"][at], 1e-9), np.float64)

    def _due(self, gaps: I64, wait: npt.NDArray[np.float64]) -> I64:
        """When the silence of what was heard of now is one."""
        return np.where(gaps >= GAPS_MIN, self.now + np.ceil(wait).astype(np.int64), FAR)

    def _over(self) -> list[Silence]:
        """The newest tick is over: who is silent."""
        c = self._c
        due = np.flatnonzero(c["next"] <= self.now)
        if not len(due):
            return []
        silent = c["told"] != 0
        regular = c["gaps"] >= GAPS_MIN
        is_usual = self._is_usual(int((silent & regular).sum()), int(regular.sum()))
        known = self.now - c["first"][due] >= self._known_min
        fresh = c["told"][due] == 0
        ended = ~fresh & (self.now - c["last"][due] >= ENDED) & self.forgets
        gone = ended | (fresh & (~known | is_usual))
        c["told"][due[gone]], c["next"][due[gone]] = -1, FAR
        due = due[~gone]
        if not len(due):
            return []
        c["told"][due] += 1
        again = self._again(due)
        c["next"][due] = self.now + again
        told = np.flatnonzero(c["told"] > 0)
        if len(told) > 1 and (len(told) > SEPARATE_MAX or len(told) == int(regular.sum())):
            c["next"][told] = self.now + int(again.min())
            return [self._silence(told, int(again.min()))]
        return [self._silence(due[i : i + 1], int(again[i])) for i in range(len(due))]

    def _again(self, at: npt.NDArray[np.intp]) -> I64:
        silent = self.now - self._c["last"][at]
        most = np.maximum(AGAIN_MAX, self._usual(at))
        return np.ceil(np.minimum(np.maximum(1.0, AGAIN * silent), most)).astype(np.int64)

    def _is_usual(self, silent: int, regular: int) -> bool:
        """Whether things come and go here."""
        return min(self._ends + silent, self._begins) >= max(ENDS_MIN, ENDS_SHARE * regular)

    def _silence(self, at: npt.NDArray[np.intp], again: int) -> Silence:
        c = self._c
        order = at[np.lexsort((at, c["last"][at]))]
        first = order[:1]
        return Silence(
            things=tuple(order.tolist()),
            of=int((c["gaps"] >= GAPS_MIN).sum()),
            tick=self.tick,
            silent=int(self.now - c["last"][first][0]),
            usual=float(self._usual(first)[0]),
            after=float(c["wait"][first][0]),
            again=again,
            known=int((self.now - c["first"][order]).min()),
        )


def _none(count: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Of so many things nothing is known."""
    whole = np.repeat(np.array(list(_WHOLE.values()), np.int64)[:, None], count, axis=1)
    return whole, np.repeat(np.array(list(_REAL.values()), np.float64)[:, None], count, axis=1)
