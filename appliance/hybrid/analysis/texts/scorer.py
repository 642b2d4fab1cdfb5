"""The first pass over texts: see `TextScorer`."""

from __future__ import annotations

import math
from typing import Final

import msgspec
import numpy as np
import pyarrow as pa

from appliance.hybrid.analysis.texts.coding import I64
from appliance.hybrid.analysis.texts.labels import gravity
from appliance.hybrid.analysis.texts.masks import CHARACTERS_MAX
from appliance.hybrid.analysis.texts.miner import Miner
from appliance.hybrid.analysis.texts.rates import MINUTE_US, Rates, Usual, excess
from appliance.hybrid.analysis.texts.scored import NEW, PARAMETER, RATE, USUAL, Scored, surprise
from appliance.hybrid.analysis.texts.slots import NewValue, Slot, Slots
from appliance.hybrid.analysis.texts.storing import packed, unpacked
from appliance.hybrid.analysis.texts.templates import NO_TEXT, OTHER, Birth

WEEK_US: Final = 7 * 86_400 * 1_000_000
TEXTS_MEMORY: Final = 10_000
"""Texts after which a new template counts a third of one for how often new ones come."""
MINUTES_MEMORY: Final = 1_440.0
"""As ``TEXTS_MEMORY``, in minutes of event time."""
_CALM: Final = 0.6
"""What stays of the rarity of one word that was never there, and of a value in a place that has had one only: less than a text is new."""
_WHOLE, _GRAVE = 0.35, 0.4
"""The weight of a new template: of any, and what gravity adds."""
_VALUE_WHOLE, _VALUE_GRAVE = 0.25, 0.3
_RATE_WHOLE, _RATE_GRAVE = 0.6, 0.4
_UNKNOWN: Final = 0.2
"""Gravity of what is ``other``."""
_SHOWN_MAX: Final = 80
_OTHERS_MAX: Final = 3


class _Births(msgspec.Struct, array_like=True):
    """How many new templates came lately, each counting less as it is longer ago."""

    by_text: float = 0.0
    by_minute: float = 0.0
    texts: int = 0
    minutes: float = 0.0

    def rarity(self, texts: int, minutes: float) -> float:
        """How rare a new template is after so many texts and minutes, as minus the decimal logarithm of its probability; then counts it."""
        self.by_text *= math.exp((self.texts - texts) / TEXTS_MEMORY)
        self.by_minute *= math.exp((self.minutes - minutes) / MINUTES_MEMORY)
        self.texts, self.minutes = texts, minutes
        among_texts = (self.by_text + 0.5) / (min(texts, TEXTS_MEMORY) + 1)
        in_time = (self.by_minute + 0.5) / (min(minutes, MINUTES_MEMORY) + 1)
        self.by_text += 1
        self.by_minute += 1
        return -0.5 * (math.log10(min(1.0, among_texts)) + math.log10(min(1.0, in_time)))


class _State(msgspec.Struct, array_like=True):
    miner: bytes
    usual: dict[int, Usual]
    slots: dict[int, list[Slot | None]]
    gravity: dict[int, float]
    texts: int
    first_us: int
    newest_us: int
    births: _Births


class TextScorer:
    """Scores texts as they come, by column: new templates, too many of one, values that were never there. One thread owns it.

    Scores depend on the texts, their event times and their order alone, not on how they are cut into batches, nor on a restart.
    A text that is older than one before it counts at the time of that one. That texts stay away is not seen here.
    """

    def __init__(self, miner: Miner | None = None) -> None:
        self.miner = miner or Miner()
        """Owned by this scorer: ``score`` lets it learn."""
        self._rates, self._slots = Rates(), Slots()
        self._gravity: dict[int, float] = {}
        self._texts = 0
        self._first_us = self._newest_us = -1
        self._births = _Births()

    def score(self, texts: pa.Array, ts_us: I64) -> Scored:
        """Learns texts (type ``string``; null is no text) with their event times, and says how unusual each was when it came."""
        n = len(texts)
        ids = self.miner.learn(texts, ts_us)
        scored = Scored(ids, ts_us, np.zeros(n), np.full(n, USUAL, np.uint8), np.zeros(n), np.full(n, np.nan))
        if not n:
            return scored
        times: I64 = np.maximum.accumulate(ts_us)
        if self._texts:
            np.maximum(times, self._newest_us, out=times)
        else:
            self._first_us = int(times[0])
        begin = 0
        born = {birth.row: birth for birth in self.miner.born}
        for row, old, heir in self.miner.joined:
            if row > begin:
                self._part(texts, times, scored, born, begin, row)
                begin = row
            self._join(old, heir)
        self._part(texts, times, scored, born, begin, n)
        self._texts += n
        self._newest_us = int(times[-1])
        return scored

    def reason(self, scored: Scored, row: int) -> str:
        """Why a text of ``scored`` has its score, for a person; "" where it is usual."""
        if scored.kind[row] == RATE:
            return f"{scored.count[row]:,.0f} of these in one minute; usually at most {scored.usual[row]:,.0f}"
        return scored.reasons.get(row, "")

    def template(self, scored: Scored, row: int) -> str:
        """The template of a text of ``scored``, with ``<*>`` for what varies; one that came with it as it was with that text alone."""
        return scored.born.get(row) or self.miner.template(int(scored.ids[row])).text

    @property
    def learned(self) -> float:
        """How much of a week has been seen, by event time: 0 to 1."""
        return min(1.0, (self._newest_us - self._first_us) / WEEK_US) if self._texts else 0.0

    @property
    def nbytes(self) -> int:
        """About how much memory it holds, with its miner."""
        slots = sum(60 + 120 * len(slot.values) for places in self._slots.slots.values() for slot in places if slot is not None)
        return self.miner.nbytes + slots + 300 * len(self._rates.usual) + 60 * len(self._gravity)

    def dump(self) -> bytes:
        """All that is known, its miner's with it, packed."""
        times = (self._texts, self._first_us, self._newest_us)
        return packed(_State(self.miner.dump(), self._rates.usual, self._slots.slots, self._gravity, *times, self._births))

    @classmethod
    def load(cls, dumped: bytes) -> TextScorer:
        """As it was dumped. Raises StateUnusable."""
        state = unpacked(dumped, _State)
        scorer = cls(Miner.load(state.miner))
        scorer._rates.usual, scorer._slots.slots = state.usual, state.slots
        scorer._gravity, scorer._births = state.gravity, state.births
        scorer._texts, scorer._first_us, scorer._newest_us = state.texts, state.first_us, state.newest_us
        return scorer

    def _part(self, texts: pa.Array, times: I64, scored: Scored, born: dict[int, Birth], begin: int, end: int) -> None:
        """Scores rows between which nothing became one."""
        rows: I64 = begin + np.flatnonzero(scored.ids[begin:end] != NO_TEXT)
        if not len(rows):
            return
        new = [birth for row, birth in born.items() if begin <= row < end]
        for birth in new:
            scored.born[birth.row] = birth.text
            self._gravity[birth.id] = gravity(_text(texts, birth.row))
        self._score_rates(rows, times, scored)
        for value in self._slots.take(scored.ids[rows], rows, self.miner.marks):
            self._score_value(value, texts, scored)
        for birth in new:
            self._score_new(birth, int(times[birth.row]), scored)

    def _score_rates(self, rows: I64, times: I64, scored: Scored) -> None:
        count, usual = np.zeros(len(rows)), np.full(len(rows), np.nan)
        weight = self._rates.take(scored.ids[rows], times[rows] // MINUTE_US, count, usual)
        scored.count[rows], scored.usual[rows] = count, usual
        doubled = excess(count, usual) * weight
        over = np.flatnonzero(doubled > 0)
        if not len(over):
            return
        distinct, places = np.unique(scored.ids[rows[over]], return_inverse=True)
        weights = np.array([_RATE_WHOLE + _RATE_GRAVE * self._gravity.get(int(i), _UNKNOWN) for i in distinct])[places]
        scored.score[rows[over]] = 1.0 - 10.0 ** (-doubled[over] * weights)
        scored.kind[rows[over]] = RATE

    def _score_value(self, new: NewValue, texts: pa.Array, scored: Scored) -> None:
        rarity = math.log10(new.since + 1) * (1.0 if new.returns else _CALM)
        score = surprise(rarity, _VALUE_WHOLE + _VALUE_GRAVE * gravity(_text(texts, new.row)))
        others = ", ".join(_shown(value) for value in new.others[:_OTHERS_MAX]) + (", …" if len(new.others) > _OTHERS_MAX else "")
        _raise(scored, new.row, score, PARAMETER, f"{_shown(new.value)} was not there in {new.since:,} such texts; so far: {others}")

    def _score_new(self, birth: Birth, time_us: int, scored: Scored) -> None:
        """How rare a new template is: by how often new ones have come lately, among texts and in time."""
        before = self._texts + birth.row
        rarity = self._births.rarity(before, (time_us - self._first_us) / MINUTE_US)
        weight = _WHOLE + _GRAVE * self._gravity[birth.id]
        if birth.near is None:
            _raise(scored, birth.row, surprise(rarity, weight), NEW, f"no text like this among the {before:,} before it")
            return
        word, other = birth.near
        reason = f"{_shown(word)} was never there in {before:,} texts; otherwise as: {_shown(other)}"
        _raise(scored, birth.row, surprise(rarity * _CALM, weight), PARAMETER, reason)

    def _join(self, old: int, heir: int) -> None:
        self._gravity.pop(old, None)
        if heir == OTHER:
            self._rates.forget(old)
            self._slots.forget(old)
        else:
            self._rates.join(old, heir)
            self._slots.join(old, heir)


def _raise(scored: Scored, row: int, score: float, kind: int, reason: str) -> None:
    """The highest score of a row stands, with its reason."""
    if score > scored.score[row]:
        scored.score[row], scored.kind[row], scored.reasons[row] = score, kind, reason


def _text(texts: pa.Array, row: int) -> str:
    return str(texts[row].as_py())[:CHARACTERS_MAX]


def _shown(text: str) -> str:
    """A part of a text, short, in quotes."""
    return f'"{text}"' if len(text) <= _SHOWN_MAX else f'"{text[:_SHOWN_MAX]}…"'
