"""What a worker will want of streams for a question, by what it wanted when the same was asked before. Pure.

The same text with other constants wants the same columns, over a range that follows from the constants, from --since and --until or
from ``now()`` as it did before. A guess goes along with the question and saves a round trip; the worker uses it only if it is exactly
what it finds out to want itself, so a wrong one costs time, never rows.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from appliance.serving.plain_select import time_us
from appliance.serving.question import Question
from appliance.serving.snapshot import Wanted
from appliance.serving.templates import Cut, cut

KNOWN_MAX: Final = 256
MISSES_MAX: Final = 3
"""After so many wrong guesses one after the other nothing is guessed for a text any more."""
_NOW: Final = re.compile(r"now|current_|transaction_timestamp|today", re.IGNORECASE)
_Key = tuple[str, str, bool]


@dataclass(frozen=True, slots=True)
class _Bound:
    """How a bound of a range follows from a question."""

    place: int | None
    """Of the moment that it lies ``offset_us`` after: of the time of asking if it is negative; None: ``offset_us`` itself."""
    offset_us: int


@dataclass(slots=True)
class _Known:
    """What was wanted, as a recipe."""

    wanted: tuple[tuple[Wanted, _Bound | None, _Bound | None], ...]
    misses: int = 0


class Guesses:
    """Owned by the event loop."""

    def __init__(self) -> None:
        self._known: OrderedDict[_Key, _Known] = OrderedDict()

    def wanted(self, question: Question, *, now_us: int) -> tuple[Wanted, ...] | None:
        """The guess for a question that is asked now; None where there is none."""
        parts = cut(question.sql)
        known = None if parts is None else self._known.get(_key(question, parts))
        if parts is None or known is None or known.misses >= MISSES_MAX:
            return None
        moments = _moments(question, parts)
        return tuple(
            msgspec.structs.replace(want, since_us=_value(since, moments, now_us), until_us=_value(until, moments, now_us))
            for want, since, until in known.wanted
        )

    def learn(self, question: Question, wanted: Sequence[Wanted], *, now_us: int) -> None:
        """Notes what a question wanted; called only where no guess was right."""
        parts = cut(question.sql)
        if parts is None:
            return
        moments = _moments(question, parts)
        has_now = _NOW.search(parts.text) is not None
        recipe = tuple(
            (
                want,
                _bound(want.since_us, moments, now_us, has_now=has_now),
                _bound(want.until_us, moments, now_us, has_now=has_now, last=True),
            )
            for want in wanted
        )
        key = _key(question, parts)
        before = self._known.pop(key, None)
        known = before if before is not None and before.wanted == recipe else _Known(recipe, 0 if before is None else before.misses + 1)
        self._known[key] = known
        if len(self._known) > KNOWN_MAX:
            self._known.popitem(last=False)

    def confirm(self, question: Question) -> None:
        """A guess was right."""
        parts = cut(question.sql)
        known = None if parts is None else self._known.get(_key(question, parts))
        if known is not None:
            known.misses = 0


def _key(question: Question, parts: Cut) -> _Key:
    return parts.text, question.path, question.views


def _moments(question: Question, parts: Cut) -> list[int | None]:
    """The times that a question names."""
    return [question.since_us, question.until_us, *(int(c) if c.isdigit() else time_us(c) for c in parts.constants)]


def _bound(value: int | None, moments: Sequence[int | None], now_us: int, *, has_now: bool, last: bool = False) -> _Bound | None:
    """Of moments that are the same the first one, or the ``last``: people write the beginning of a range before its end."""
    if value is None:
        return None
    for place, moment in reversed(list(enumerate(moments))) if last else enumerate(moments):
        if moment is not None and 0 <= value - moment <= 1:
            return _Bound(place, value - moment)
    return _Bound(-1, value - now_us) if has_now else _Bound(None, value)


def _value(bound: _Bound | None, moments: Sequence[int | None], now_us: int) -> int | None:
    if bound is None:
        return None
    moment = 0 if bound.place is None else now_us if bound.place < 0 else moments[bound.place]
    return None if moment is None else moment + bound.offset_us
