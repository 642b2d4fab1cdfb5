"""The values in the places of templates: which places have few, and which value was never there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import msgspec
import numpy as np
import pyarrow as pa

from appliance.hybrid.analysis.texts.coding import I32, I64
from appliance.hybrid.analysis.texts.masks import parts

PLACES_MAX: Final = 8
"""Places of a template that are looked at: its first."""
VALUES_MAX: Final = 16
"""Different values from which on a place is free: any may come."""
VALUE_CHARACTERS_MAX: Final = 64
SEEN_MIN: Final = 100
"""Texts after which a new value is worth a word."""
RETURNS_MIN: Final = 2
"""Changes for each value, from which on values come back, as a state or a code does and a date or the number of a process does not."""


class Slot(msgspec.Struct, array_like=True):
    """One place of one template."""

    values: list[str]
    """In the order in which they came first."""
    seen: int = 0
    """Texts."""
    newest: int = 0
    """Texts seen when the newest value came."""
    changes: int = 0
    """How often the value was another than in the text before."""
    last: str = ""


@dataclass(frozen=True, slots=True)
class NewValue:
    """A value that was never there in its place."""

    row: int
    value: str
    others: tuple[str, ...]
    since: int
    """Texts of the template since a new value came the last time."""
    returns: bool
    """Whether values of this place come back; else it has had one value only."""


class Slots:
    """The places of all templates; owned by one `TextScorer`. A template without any place that has few values costs nothing."""

    def __init__(self) -> None:
        self.slots: dict[int, list[Slot | None]] = {}
        """Template -> its places, as many as its first text has; None: free. Without any that is not free it is not looked at."""

    def take(self, ids: I32, rows: I64, marks: Callable[[I64], pa.StringArray]) -> Iterator[NewValue]:
        """Takes in texts of templates and gives values that were never there; ``marks`` gives some of the rows' texts, marked."""
        followed = [id_ for id_ in np.unique(ids).tolist() if self._is_followed(id_)]
        chosen = np.flatnonzero(np.isin(ids, followed))
        if not len(chosen):
            return
        cut = parts(marks(rows[chosen]))
        offsets = np.asarray(cut.offsets)
        lengths = np.diff(offsets)
        of_text = np.repeat(np.arange(len(chosen)), lengths)
        place = np.arange(offsets[0], offsets[-1]) - np.repeat(offsets[:-1], lengths)
        self._begin(ids[chosen], lengths)
        wanted = (place % 2 == 1) & (place < 2 * PLACES_MAX)
        of_text, place = of_text[wanted], place[wanted] // 2
        values = cut.values.filter(pa.array(_with_ends(wanted, offsets, len(cut.values)))).dictionary_encode()
        codes = np.asarray(values.indices)
        keys = ids[chosen][of_text].astype(np.int64) * PLACES_MAX + place
        order = np.argsort(keys, kind="stable")
        keys, codes, of_row = keys[order], codes[order], rows[chosen][of_text[order]]
        ends = [*(1 + np.flatnonzero(np.diff(keys))).tolist(), len(keys)] if len(keys) else []
        for begin, end in zip([0, *ends], ends, strict=False):
            slot = self._slot(*divmod(int(keys[begin]), PLACES_MAX))
            if slot is not None:
                yield from self._take(int(keys[begin]), slot, codes[begin:end], of_row[begin:end], values.dictionary)

    def join(self, old: int, heir: int) -> None:
        """The values of ``old`` were those of ``heir``."""
        olds, heirs = self.slots.pop(old, None), self.slots.get(heir)
        if olds is None or heirs is None:
            if olds is not None:
                self.slots[heir] = olds
            return
        for place in range(max(len(olds), len(heirs))):
            one = olds[place] if place < len(olds) else Slot([])
            other = heirs[place] if place < len(heirs) else Slot([])
            if place >= len(heirs):
                heirs.append(other)
            heirs[place] = None if one is None or other is None else _together(one, other)

    def forget(self, id_: int) -> None:
        """Nothing is known of it any more."""
        self.slots.pop(id_, None)

    def _is_followed(self, id_: int) -> bool:
        slots = self.slots.get(id_)
        return slots is None or any(slot is not None for slot in slots)

    def _begin(self, ids: I32, lengths: I64) -> None:
        """Templates that come for the first time get as many places as their first text has."""
        distinct, firsts = np.unique(ids, return_index=True)
        for id_, length in zip(distinct.tolist(), lengths[firsts].tolist(), strict=True):
            if id_ not in self.slots:
                self.slots[id_] = [Slot([]) for _ in range(min(length // 2, PLACES_MAX))]

    def _slot(self, id_: int, place: int) -> Slot | None:
        slots = self.slots[id_]
        return slots[place] if place < len(slots) else None

    def _take(self, key: int, slot: Slot, codes: I32, rows: I64, dictionary: pa.Array) -> Iterator[NewValue]:
        texts = {code: dictionary[code].as_py() for code in np.unique(codes).tolist()}
        changed = np.cumsum(np.r_[texts[int(codes[0])] != slot.last and slot.seen > 0, np.diff(codes) != 0])
        distinct, firsts = np.unique(codes, return_index=True)
        for at in np.sort(firsts[[texts[int(code)] not in slot.values for code in distinct]]).tolist():
            value = texts[int(codes[at])]
            seen = slot.seen + at
            if len(slot.values) >= VALUES_MAX or len(value) > VALUE_CHARACTERS_MAX:
                id_, place = divmod(key, PLACES_MAX)
                self.slots[id_][place] = None
                return
            returns = slot.changes + int(changed[at]) >= RETURNS_MIN * len(slot.values)
            if seen >= SEEN_MIN and (returns or len(slot.values) == 1):
                yield NewValue(int(rows[at]), value, tuple(slot.values), seen - slot.newest, returns and len(slot.values) > 1)
            slot.values.append(value)
            slot.newest = seen
        slot.seen += len(codes)
        slot.changes += int(changed[-1])
        slot.last = texts[int(codes[-1])]


def _with_ends(wanted: np.ndarray[tuple[int], np.dtype[np.bool_]], offsets: I32, length: int) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """A mask over all values of a list array, of which the offsets use a part."""
    mask = np.zeros(length, np.bool_)
    mask[offsets[0] : offsets[-1]] = wanted
    return mask


def _together(one: Slot, other: Slot) -> Slot | None:
    values = list(dict.fromkeys([*other.values, *one.values]))
    if len(values) > VALUES_MAX:
        return None
    seen = one.seen + other.seen
    return Slot(values, seen, seen, one.changes + other.changes, other.last)
