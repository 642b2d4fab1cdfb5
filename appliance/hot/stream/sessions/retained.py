"""Values kept one by one, for quantiles and the number of different ones; bounded for each session and over all."""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import lru_cache
from hashlib import blake2b
from typing import Any, Final

import numpy as np

from appliance.hot.stream.sessions.arena import PAGE, Arena
from appliance.hot.stream.sessions.cells import Given, resized
from appliance.hot.stream.sessions.values import F64, Places
from appliance.hot.stream.values import I64, Mask
from appliance.records import Kind

_SETTLE_MIN: Final = 64
"""Values of one session that may wait before those that are there twice are taken out."""


class Retained(ABC):
    """The values of each session as 64 bits; ``over`` are the sessions that had more than may be kept, of which none are left."""

    def __init__(self, *, values_max: int, values_total_max: int) -> None:
        """``values_max`` holds for a session, ``values_total_max`` for all together, a page more or less for each."""
        self._values_max = values_max
        self._values_total_max = values_total_max
        self._arena = Arena()
        self._held: Places = np.empty(0, np.intp)
        self.over: Mask = np.empty(0, np.bool_)

    @property
    def bytes(self) -> int:
        return self._arena.bytes + self._held.nbytes + self.over.nbytes

    def grow(self, size: int) -> None:
        self._held = resized(self._held, size, 0)
        self.over = resized(self.over, size, fill=False)
        self._arena.grow(size)

    def reset(self, slots: Places) -> None:
        self._arena.release(slots)
        self._held[slots] = 0
        self.over[slots] = False

    def merge(self, target: int, source: int) -> None:
        self._arena.move(source, target)
        self._held[target] += self._held[source]
        self._held[source] = 0
        self._mark(np.array([target]), self.over[[source]] | self.over[[target]])
        self._settle(np.array([target]))

    def load(self, slot: int, body: Any) -> None:
        """``body`` is a list of bits, None for a session that had too many."""
        if body is None:
            self.over[slot] = True
        elif body:
            self._keep(np.full(len(body), slot), self._bits(body))

    def dump(self, slots: Places) -> list[Any]:
        counts, bits = self.values(slots)
        values, over = self._plain(bits), self.over[slots].tolist()
        ends = np.cumsum(counts).tolist()
        return [None if over[i] else values[end - counts[i] : end] for i, end in enumerate(ends)]

    def values(self, slots: Places) -> tuple[Places, I64]:
        """How many values each of ``slots`` has, and all of them one slot after the other."""
        return self._arena.gather(slots)

    def _keep(self, slots: Places, bits: I64) -> None:
        room = self._values_total_max - self._arena.values
        if len(bits) > room:
            wanting = np.unique(slots)
            self._mark(wanting, np.ones(len(wanting), np.bool_))
            return
        self._arena.append(slots, bits)
        np.add.at(self._held, slots, 1)
        self._settle(slots)

    def _settle(self, slots: Places) -> None:
        """Looks whether some sessions have more than they may."""
        over = self._held[slots] > self._values_max
        if over.any():
            self._mark(slots, over)

    def _mark(self, slots: Places, over: Mask) -> None:
        gone = np.unique(slots[over])
        self.over[gone] = True
        self._held[gone] = 0
        self._arena.release(gone)

    @abstractmethod
    def _bits(self, body: list[Any]) -> I64:
        """Values as they stand in a body, as 64 bits each."""

    @abstractmethod
    def _plain(self, bits: I64) -> list[Any]:
        """The opposite of ``_bits``."""


class Sample(Retained):
    """All values, as floats."""

    def become(self, kind: Kind) -> None:
        """They are floats of whatever kind."""

    def add(self, given: Given) -> None:
        keep = ~self.over[given.slots]
        values = given.floats if keep.all() else given.floats[keep]
        if len(values):
            self._keep(given.slots if len(values) == len(keep) else given.slots[keep], np.ascontiguousarray(values).view(np.int64))

    def quantile(self, slots: Places, fraction: float) -> tuple[F64, Mask]:
        """The value below which ``fraction`` of the values of each slot lie, and where there is one."""
        counts, bits = self.values(slots)
        there = (counts > 0) & ~self.over[slots]
        if not there.any():
            return np.zeros(len(slots)), there
        values = bits.view(np.float64)
        values = values[np.lexsort((values, np.repeat(np.arange(len(slots)), counts)))]
        place = fraction * np.maximum(counts - 1, 0)
        start = np.minimum(np.cumsum(counts) - counts, len(values) - 1)
        below = np.floor(place).astype(np.intp)
        above = np.minimum(below + 1, np.maximum(counts - 1, 0))
        low, high = values[start + below], values[start + above]
        return low + (high - low) * (place - below), there

    def _bits(self, body: list[Any]) -> I64:
        return np.array(body, dtype=np.float64).view(np.int64)

    def _plain(self, bits: I64) -> list[Any]:
        plain: list[Any] = bits.view(np.float64).tolist()
        return plain


class Different(Retained):
    """The different values: ints as they are, floats by their bits, texts by a hash of 64 bits.

    Of 10,000 texts two share a hash once in 10^11 sessions. Values that are there twice are taken out when a session has twice as
    many as after the last time, so that it holds at most twice ``values_max``, or twice ``_SETTLE_MIN``.
    """

    def __init__(self, *, values_max: int, values_total_max: int) -> None:
        super().__init__(values_max=values_max, values_total_max=values_total_max)
        self._limit: Places = np.empty(0, np.intp)
        self._floats = False

    def grow(self, size: int) -> None:
        have = len(self._limit)
        self._limit = resized(self._limit, size, 0)
        self._limit[have:] = _least(np.arange(have, size))
        super().grow(size)

    def reset(self, slots: Places) -> None:
        super().reset(slots)
        self._limit[slots] = _least(slots)

    def become(self, kind: Kind) -> None:
        """Ints that become floats are kept by the bits of these from here on."""
        self._floats = kind is Kind.FLOAT
        owners = np.flatnonzero(self._held)
        if self._floats and len(owners):
            counts, values = self.values(owners)
            self._arena.release(owners)
            self._arena.append(np.repeat(owners, counts), _float_bits(values.astype(np.float64)))

    def add(self, given: Given) -> None:
        keep = ~self.over[given.slots]
        slots, values = (given.slots, given.values) if keep.all() else (given.slots[keep], given.values[keep])
        if not len(slots):
            return
        if given.texts is not None:
            bits = _text_hashes(values, given.texts)
        else:
            bits = _float_bits(given.floats if len(slots) == len(keep) else given.floats[keep]) if self._floats else values
        if len(slots) > PAGE:
            slots, bits = _unique(slots, bits)
        self._keep(slots, bits)

    def count(self, slots: Places) -> tuple[I64, Mask]:
        """How many different values each slot has, and where that is known."""
        self._tidy(slots[self._held[slots] > 0])
        return self._held[slots].astype(np.int64), ~self.over[slots]

    def dump(self, slots: Places) -> list[Any]:
        self._tidy(slots[self._held[slots] > 0])
        return super().dump(slots)

    def _settle(self, slots: Places) -> None:
        full = self._held[slots] > self._limit[slots]
        if full.any():
            self._tidy(np.unique(slots[full]))

    def _tidy(self, slots: Places) -> None:
        """Takes out what is there twice, and gives up those that have too many."""
        if not len(slots):
            return
        counts, bits = self.values(slots)
        owners, bits = _unique(np.repeat(slots, counts), bits)
        self._arena.release(slots)
        self._held[slots] = 0
        np.add.at(self._held, owners, 1)
        over = self._held[slots] > self._values_max
        if over.any():
            keep = self._held[owners] <= self._values_max
            owners, bits = owners[keep], bits[keep]
            self._mark(slots, over)
        if len(owners):
            self._arena.append(owners, bits)
        self._limit[slots] = np.maximum(2 * self._held[slots], _least(slots))

    def _bits(self, body: list[Any]) -> I64:
        return np.array(body, dtype=np.int64)

    def _plain(self, bits: I64) -> list[Any]:
        plain: list[Any] = bits.tolist()
        return plain


def _least(slots: Places) -> Places:
    """Values that may wait at least; not as many for each, so that sessions that grow alike don't take their turn in one round."""
    return np.asarray(_SETTLE_MIN + slots % _SETTLE_MIN)


def _unique(owners: Places, bits: I64) -> tuple[Places, I64]:
    """Each pair once, sorted."""
    order = np.lexsort((bits, owners))
    o, b = owners[order], bits[order]
    first = np.append(True, (o[1:] != o[:-1]) | (b[1:] != b[:-1]))
    return o[first], b[first]


def _float_bits(values: F64) -> I64:
    """Equal floats have equal bits: the negative zero is the positive one."""
    return np.ascontiguousarray(values + 0.0).view(np.int64)


def _text_hashes(codes: I64, texts: tuple[str, ...]) -> I64:
    used, place = np.unique(codes, return_inverse=True)
    return np.array([_hash(texts[code]) for code in used.tolist()], dtype=np.int64)[place]


@lru_cache(maxsize=16_384)
def _short_hash(text: str) -> int:
    return int.from_bytes(blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little", signed=True)


def _hash(text: str) -> int:
    """Long texts are hashed anew each time, so that the cache holds a bounded number of bytes."""
    return _short_hash(text) if len(text) <= 256 else _short_hash.__wrapped__(text)
