"""Answers that are kept, in bounded memory: by question, with what each depended on. Values and one container; no lock, no clock."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from appliance.clock import US_PER_DAY
from appliance.hybrid.cache.changes import Changes
from appliance.hybrid.cache.depends import Depends
from appliance.hybrid.cache.slices import Slices, Slicing
from appliance.serving.question import Question
from appliance.spans import Span, fewer, union

ENTRY_BYTES: Final = 1_024
"""Memory of an answer besides its bytes and its SQL, about."""
ENTRIES_MAX: Final = 4_096
DIRTY_MAX: Final = 16
"""Spans of an answer that are remembered apart; more are joined over the smallest gaps."""
Key = tuple[str, int | None, int | None, str, str, bool]


def key_of(question: Question) -> Key:
    """What two questions have to have in common to have one answer."""
    return question.sql, question.since_us, question.until_us, question.path, question.format, question.views


@dataclass(slots=True)
class Kept:
    """One answer."""

    question: Question
    body: bytes
    depends: Depends
    day: int | None
    """The UTC day for which it holds; None: for any."""
    cost_ms: float
    made_us: int
    warmed: bool
    used_us: int = 0
    hits: int = 0
    slicing: Slicing | None = None
    """How it is cut where only some of its buckets have changed; None: it can't be."""
    slices: Slices | None = None
    """It, cut; None: it has not been yet."""
    dirty: tuple[Span, ...] = ()
    """Whole buckets that are others by now: without these it is true."""

    @property
    def bytes(self) -> int:
        """Memory that it takes, about."""
        return len(self.body) + 2 * len(self.question.sql) + ENTRY_BYTES + (0 if self.slices is None else self.slices.bytes)

    def outlives(self, found: Changes) -> bool:
        """Takes note of what has changed of its stream; False where nothing of it holds any more."""
        if self.slicing is None or found.everything:
            return False
        self.dirty = fewer(union([*self.dirty, *found.buckets(self.slicing.width_us)]), DIRTY_MAX)
        return True

    def holds_at(self, now_us: int) -> bool:
        """Whether it is the answer at this time, by what it asks of the date."""
        return self.day is None or self.day == now_us // US_PER_DAY


class Shelves:
    """All kept answers, the one that was used last at the end. ``bytes`` never exceeds what ``make_room`` was told."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Key, Kept] = OrderedDict()
        self._by_stream: dict[str, dict[Key, Kept]] = {}
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._kept)

    def __iter__(self) -> Iterator[Kept]:
        return iter(list(self._kept.values()))

    def get(self, question: Question) -> Kept | None:
        """The answer to just this, moved to the end."""
        key = key_of(question)
        found = self._kept.get(key)
        if found is not None:
            self._kept.move_to_end(key)
        return found

    def of_stream(self, stream: str) -> list[Kept]:
        """Those that depend on a stream (folded)."""
        return list(self._by_stream.get(stream, {}).values())

    @property
    def streams(self) -> Iterable[str]:
        """Folded names of all streams that answers depend on."""
        return tuple(self._by_stream)

    def put(self, kept: Kept) -> None:
        """Keeps it in place of what there was of the same question."""
        key = key_of(kept.question)
        if key in self._kept:
            self.drop(self._kept[key])
        self._kept[key] = kept
        self.bytes += kept.bytes
        for on in kept.depends.streams:
            self._by_stream.setdefault(on.stream, {})[key] = kept

    def cut(self, kept: Kept, slices: Slices, *, dirty: tuple[Span, ...]) -> None:
        """Other rows of an answer that is kept, and where its buckets lie in them."""
        self.bytes -= kept.bytes
        kept.body, kept.slices, kept.dirty = slices.body, slices, dirty
        self.bytes += kept.bytes

    def drop(self, kept: Kept) -> None:
        """Keeps it no more."""
        key = key_of(kept.question)
        if self._kept.get(key) is not kept:
            return
        del self._kept[key]
        self.bytes -= kept.bytes
        for stream in {on.stream for on in kept.depends.streams}:
            there = self._by_stream[stream]
            del there[key]
            if not there:
                del self._by_stream[stream]

    def make_room(self, bytes_max: int) -> int:
        """Drops those that were not used for longest until the rest fits, and says how many those were."""
        count = 0
        while self._kept and (self.bytes > bytes_max or len(self._kept) > ENTRIES_MAX):
            self.drop(next(iter(self._kept.values())))
            count += 1
        return count
