"""The templates of texts, mined as they come. See `Miner`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec
import numpy as np
import pyarrow as pa

from appliance.hybrid.analysis.texts.coding import I32, I64, Coded, Coder, firsts
from appliance.hybrid.analysis.texts.columns import Columns, columns_of, text_of
from appliance.hybrid.analysis.texts.grouping import Grouping
from appliance.hybrid.analysis.texts.labels import classify
from appliance.hybrid.analysis.texts.lineage import Lineage
from appliance.hybrid.analysis.texts.storing import packed, unpacked
from appliance.hybrid.analysis.texts.templates import NO_TEXT, OTHER, OTHER_TEXT, Birth, Template

TEMPLATES_MAX: Final = 2_000
SHAPES_MAX: Final = 8_192
"""Shapes whose template is remembered; when there are more, all are forgotten and found again."""
CHARACTERS_MAX: Final = 2_000_000
"""Characters of all shapes that are remembered, as ``SHAPES_MAX``."""
COLUMNS_MAX: Final = 40
"""Columns of a template, on average: with more of them there are fewer templates."""
BLOCK_ROWS: Final = 16_384
KEPT_SHARE: Final = 0.75
"""Of the templates that stay when there are too many; the others, the rarest, become ``other``."""
FOLD_TEXTS_MIN: Final = 20
"""Times ``templates_max``: as many texts lie between two such foldings; in the meantime what is new is ``other`` at once."""


class _Stored(msgspec.Struct, array_like=True):
    id: int
    columns: Columns
    places: tuple[int, ...]
    tally: tuple[int, int | None, int | None]


class _State(msgspec.Struct, array_like=True):
    max: int
    templates: list[_Stored]
    other: tuple[int, int | None, int | None]
    names: list[str]
    known: dict[str, int]
    dead: dict[int, int]
    next: int
    texts: int
    folded_at: int
    folded: int


class Miner:
    """Learns templates online, by column over distinct shapes. Not safe for several threads: whoever follows the records owns it.

    What comes out depends on the texts and their order alone, not on how they are cut into batches, nor on a ``dump`` and ``load`` between.
    Bounded: at most ``templates_max`` templates with ``COLUMNS_MAX`` columns on average, and ``SHAPES_MAX`` shapes, together about 16 MiB.
    What is more than that is ``other``: the rarest templates, and while many different texts come, each text that no template fits.
    """

    def __init__(self, *, templates_max: int = TEMPLATES_MAX) -> None:
        self._max = templates_max
        self._grouping = Grouping()
        self._coder = Coder()
        self._known: dict[str, int] = {}
        self._characters = 0
        self._lineage = Lineage(4 * templates_max + SHAPES_MAX)
        self._tallies: dict[int, list[int | None]] = {OTHER: [0, None, None]}
        self._next = OTHER + 1
        self._texts = 0
        self._folded_at = -FOLD_TEXTS_MIN * templates_max
        self.folded = 0
        """Templates that became ``other`` because there were too many."""
        self.joined: list[tuple[int, int, int]] = []
        """What became one in the last ``learn``: (row from which on, id, what it became), in the order of the rows."""
        self.born: list[Birth] = []
        """The templates that came in the last ``learn``, in the order of the rows; without those that were one with another at once."""
        self._marks: list[tuple[int, Coded]] = []

    def learn(self, texts: pa.Array, ts_us: I64 | None = None) -> I32:
        """The template id of each text, in their order; ``NO_TEXT`` for null. ``ts_us``: their event times.

        An id stands for what was known when its text came: ``heirs_of`` says what it has become since.
        """
        ids = np.full(len(texts), NO_TEXT, np.int32)
        self.joined, self.born, self._marks = [], [], []
        for begin in range(0, len(texts), BLOCK_ROWS):
            end = min(begin + BLOCK_ROWS, len(texts))
            coded = self._coder.code(texts.slice(begin, end - begin))
            self._marks.append((begin, coded))
            self._block(coded.codes, coded.shapes, ids[begin:end], None if ts_us is None else ts_us[begin:end], begin)
        return ids

    def marks(self, rows: I64) -> pa.StringArray:
        """Those texts of the last ``learn``, none of them null, as ``masks.parts`` takes them; ``rows`` rise."""
        found = [
            coded.marks.take(pa.array(coded.of_text[rows[at:until] - begin]))
            for begin, coded in self._marks
            if (at := np.searchsorted(rows, begin)) < (until := np.searchsorted(rows, begin + len(coded.codes)))
        ]
        return found[0] if len(found) == 1 else pa.concat_arrays([pa.array([], pa.string()), *found])

    def heirs_of(self, ids: I32) -> I32:
        """The live ids of what these became: themselves, or what they are one with now. ``NO_TEXT`` stays."""
        distinct, places = np.unique(ids, return_inverse=True)
        return np.array([self._heir(int(i)) for i in distinct], np.int32)[places]

    @property
    def templates(self) -> Mapping[int, Template]:
        """The live templates by id, in the order of their ids; made anew. ``OTHER`` is among them when there was any."""
        return {i: self.template(i) for i in sorted(self._tallies) if i != OTHER or self._tallies[OTHER][0]}

    def template(self, id_: int) -> Template:
        """What the id, or what it became, stands for."""
        heir = self._heir(id_)
        columns = self._grouping.columns.get(heir, (OTHER_TEXT,))
        text = text_of(columns)
        count, first, last = self._tallies[heir]
        return Template(heir, text, columns, count or 0, first, last, classify(text))

    @property
    def live(self) -> int:
        """How many templates there are, without ``other``."""
        return len(self._grouping.columns)

    @property
    def nbytes(self) -> int:
        """About how much memory it holds."""
        return (
            self._characters
            + 120 * len(self._known)
            + 150 * self._grouping.size
            + 100 * len(self._lineage)
            + 100 * len(self._grouping.names)
        )

    def dump(self) -> bytes:
        """Everything, packed."""
        grouping = self._grouping
        templates = [_Stored(i, c, grouping.places(i), _tally(self._tallies[i])) for i, c in grouping.columns.items()]
        other = _tally(self._tallies[OTHER])
        counts = (self._next, self._texts, self._folded_at, self.folded)
        return packed(_State(self._max, templates, other, list(grouping.names), self._known, self._lineage.dead, *counts))

    @classmethod
    def load(cls, dumped: bytes) -> Miner:
        """As it was dumped. Raises StateUnusable."""
        state = unpacked(dumped, _State)
        miner = cls(templates_max=state.max)
        for stored in state.templates:
            miner._grouping.put(stored.columns, stored.id, stored.places)
            miner._tallies[stored.id] = list(stored.tally)
        miner._tallies[OTHER] = list(state.other)
        miner._grouping.names = dict.fromkeys(state.names)
        miner._known, miner._lineage.dead = state.known, state.dead
        miner._characters = sum(map(len, state.known))
        miner._next, miner._texts, miner._folded_at, miner.folded = state.next, state.texts, state.folded_at, state.folded
        return miner

    def _heir(self, id_: int) -> int:
        if id_ in self._grouping.columns or id_ <= OTHER:
            return id_
        heir = self._lineage.heir(id_)
        return heir if heir in self._grouping.columns else OTHER

    def _block(self, codes: I32, shapes: list[str], ids: I32, ts_us: I64 | None, first_row: int) -> None:
        """Writes the ids of some rows; a stretch ends where too much is remembered, which is put right before the next."""
        begin = 0
        while begin < len(codes):
            end = begin + self._stretch(codes[begin:], shapes, ids[begin:], first_row + begin)
            self._tally(ids[begin:end], None if ts_us is None else ts_us[begin:end])
            self._texts += end - begin
            if end < len(codes):
                self._turn_over(first_row + end)
            begin = end

    def _stretch(self, codes: I32, shapes: list[str], ids: I32, first_row: int) -> int:
        """Writes ids up to the row that needs a turn-over first; returns that row, or how many there are."""
        by_code = np.full(len(shapes) + 1, NO_TEXT, np.int32)
        first = len(self.joined)
        end = len(codes)
        for row, code in firsts(codes, len(shapes)):
            shape = shapes[code]
            known = self._known.get(shape)
            if known is None:
                if self._is_full(row):
                    end = row
                    break
                self._characters += len(shape)
                known = self._known[shape] = self._new(columns_of(shape), first_row + row)
            by_code[code] = self._heir(known)
        found = by_code[codes[:end]]
        joined = [(row - first_row, old, heir) for row, old, heir in self.joined[first:]]
        ids[:end] = self._lineage.as_of_rows(found, joined) if joined else found
        return end

    def _is_full(self, row: int) -> bool:
        """Whether something has to be forgotten before another shape is remembered at that row of the stretch."""
        remembered = len(self._known) >= SHAPES_MAX or self._characters >= CHARACTERS_MAX
        return remembered or self._may_fold(self._texts + row)

    def _may_fold(self, texts: int) -> bool:
        return self._has_many and texts - self._folded_at >= FOLD_TEXTS_MIN * self._max

    @property
    def _has_many(self) -> bool:
        return self.live >= self._max or self._grouping.size >= COLUMNS_MAX * self._max

    def _new(self, columns: Columns, row: int) -> int:
        """The template of a shape that is not remembered: one that fits, else one of its own, by which others may become one."""
        fitting = self._grouping.match(columns)
        if fitting is not None:
            return fitting
        if self._has_many:
            return OTHER
        id_ = self._next
        self._next += 1
        self._tallies[id_] = [0, None, None]
        for old, heir in self._grouping.add(columns, id_):
            self._bury(row, old, heir)
        if id_ in self._grouping.columns:
            near = self._grouping.neighbour(id_)
            told = None if near is None else (columns[near[1]], text_of(self._grouping.columns[near[0]]))
            self.born.append(Birth(row, id_, text_of(columns), told))
        return id_

    def _tally(self, ids: I32, ts_us: I64 | None) -> None:
        live, places, counts = np.unique(self.heirs_of(ids), return_inverse=True, return_counts=True)
        first: I64 = np.full(len(live), np.iinfo(np.int64).max)
        last: I64 = np.full(len(live), np.iinfo(np.int64).min)
        if ts_us is not None:
            np.minimum.at(first, places, ts_us)
            np.maximum.at(last, places, ts_us)
        for id_, count, oldest, newest in zip(live.tolist(), counts.tolist(), first.tolist(), last.tolist(), strict=True):
            if id_ != NO_TEXT:
                new = [count, None, None] if ts_us is None else [count, oldest, newest]
                self._tallies[id_] = _together(self._tallies[id_], new)

    def _bury(self, row: int, old: int, heir: int) -> None:
        self.joined.append((row, old, heir))
        self._lineage.bury(old, heir)
        self._tallies[heir] = _together(self._tallies[heir], self._tallies.pop(old))

    def _turn_over(self, row: int) -> None:
        """Forgets shapes, and folds the rarest templates where there are too many."""
        self._known, self._characters = {}, 0
        if not self._may_fold(self._texts):
            return
        for id_ in sorted(self._grouping.columns, key=lambda i: (self._tallies[i][0] or 0, -i)):
            if self.live < self._max * KEPT_SHARE and self._grouping.size < COLUMNS_MAX * self._max * KEPT_SHARE:
                break
            self._grouping.drop(id_)
            self._bury(row, id_, OTHER)
            self.folded += 1
        self._folded_at = self._texts


def _together(one: list[int | None], other: list[int | None]) -> list[int | None]:
    times = [t for t in (one[1], other[1]) if t is not None], [t for t in (one[2], other[2]) if t is not None]
    return [(one[0] or 0) + (other[0] or 0), min(times[0], default=None), max(times[1], default=None)]


def _tally(values: list[int | None]) -> tuple[int, int | None, int | None]:
    return values[0] or 0, values[1], values[2]
