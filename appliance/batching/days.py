"""Which days of a stream are over and in the lake: asked of the published state, and of the hot store where that has changed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

from appliance.clock import Clock, day_of
from appliance.cold.batch.schedule import days_there
from appliance.hot.reader import HotReader
from appliance.hot.state import State, StreamState


class Days:
    """Remembers its answers until something has been rolled, or a day has gone by."""

    def __init__(self, *, state: Callable[[], State], reader: Callable[[], AbstractContextManager[HotReader]], clock: Clock) -> None:
        self._state = state
        self._reader = reader
        self._clock = clock
        self._known: dict[str, tuple[tuple[int, int, int], Sequence[int]]] = {}

    async def there(self, stream: str) -> Sequence[int]:
        """The days, rising; none where there is no such stream (yet)."""
        found = self._state().get(stream)
        if found is None:
            return ()
        now_us = self._clock.now_us()
        of = (found.mark, len(found.segments), day_of(now_us))
        known = self._known.get(found.name)
        if known is None or known[0] != of:
            spans = await asyncio.to_thread(self._hot_spans, found)
            days = days_there(segment_days=(s.day for s in found.segments), hot_spans=spans, now_us=now_us)
            known = self._known[found.name] = (of, days)
        return known[1]

    def _hot_spans(self, stream: StreamState) -> list[tuple[int, int]]:
        with self._reader() as reader:
            found = reader.execute("SELECT ts_min, ts_max FROM batch WHERE stream_id = ? AND last > ?", (stream.id, stream.mark))
            return [(int(str(low)), int(str(high))) for low, high in found]
