"""What is asked again and again: questions that differ in their constants alone are one habit. Bounded; no lock, no clock."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from appliance.clock import US_PER_S
from appliance.hybrid.cache.kept import Kept, key_of
from appliance.hybrid.cache.slices import FORMATS, Slicing
from appliance.serving.question import Question
from appliance.serving.templates import cut

HABITS_MAX: Final = 512
WHOLES_MAX: Final = 3
"""A question that is so often answered as a whole gets a part besides, where it can have one."""
WARM_ASKS_MIN: Final = 3
WARM_LIVED_US: Final = 30 * US_PER_S
"""An answer that was true for less time would be so again: computing it unasked would be for nobody."""
WARM_IDLE_US: Final = 24 * 3_600 * US_PER_S
"""What was not asked for so long is no habit any more."""


@dataclass(frozen=True, slots=True)
class Pays:
    """When a part of an answer is worth making."""

    asks_min: int = 2
    """Who asks once would pay twice."""
    records_min: int = 200_000
    """Fewer records are read faster than a part is looked for (``stand_in.Worth``)."""
    ms_min: float = 20.0
    """What the records take."""


@dataclass(slots=True)
class Habit:
    """One text that is asked."""

    question: Question
    """The newest such."""
    asks: int = 0
    used_us: int = 0
    records: int = 0
    """That it reads, when it reads records."""
    cost_ms: float = 0.0
    """What that takes."""
    part: int = 0
    """The number of the part that serves it; 0: none has been made."""
    no_part: str = ""
    """Why no part can be made of it; empty: nothing speaks against it."""
    has_varied: bool = False
    """Whether other constants or bounds were asked for."""
    slicing: Slicing | None = None
    """How its answers are cut; None: they can't be, or nobody has looked."""
    wholes: int = 0
    """Answers since that is known which were found as a whole all the same: too many of their buckets had changed."""
    is_known: bool = False
    """Whether somebody has looked how its answers are cut."""

    def wants_part(self, pays: Pays) -> bool:
        """Whether keeping a part of it pays: answers that can be cut are completed without one, unless it is another one each time."""
        return not self.no_part and self.pays(pays) and not self.is_completed

    @property
    def is_completed(self) -> bool:
        """Whether an answer to it is kept and only completed."""
        is_cut = self.slicing is not None and self.wholes < WHOLES_MAX
        return is_cut and not self.has_varied and self.question.format in FORMATS

    def pays(self, pays: Pays) -> bool:
        """Whether it is asked often, and takes long."""
        return (
            self.asks >= pays.asks_min
            and self.records >= pays.records_min
            and self.cost_ms >= pays.ms_min
            and self.question.path == "merged"
            and self.question.views
        )


class Habits:
    """The habits that were used last."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, Habit] = OrderedDict()

    def note(self, question: Question, *, at_us: int) -> Habit:
        """A question was asked, whoever has answered it."""
        key = _text(question)
        habit = self._known.setdefault(key, Habit(question))
        self._known.move_to_end(key)
        habit.has_varied |= key_of(question)[:4] != key_of(habit.question)[:4]
        habit.question, habit.asks, habit.used_us = question, habit.asks + 1, at_us
        if len(self._known) > HABITS_MAX:
            self._known.popitem(last=False)
        return habit

    def slicing_of(self, question: Question) -> Slicing | None:
        """How the answers to a question are cut, as far as that is known."""
        habit = self._known.get(_text(question))
        return None if habit is None or question.format not in FORMATS or question.path != "merged" else habit.slicing

    def is_worth_warming(self, kept: Kept, *, now_us: int) -> bool:
        """Whether an answer that is no longer true should be computed again before anybody asks."""
        habit = self._known.get(_text(kept.question))
        return (
            habit is not None
            and habit.asks >= WARM_ASKS_MIN
            and now_us - habit.used_us <= WARM_IDLE_US
            and kept.hits + kept.warmed > 0
            and now_us - kept.made_us >= WARM_LIVED_US
        )


def _text(question: Question) -> str:
    parts = cut(question.sql)
    return question.sql if parts is None else parts.text
