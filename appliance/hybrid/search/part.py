"""Search of a running service: where it looks, what asks it, and the upkeep of its indexes."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from typing import Final

from appliance.batching.work import Work
from appliance.box import Box
from appliance.cold.lake import Damage
from appliance.config import Config
from appliance.errors import RetryLater, UsageRefused
from appliance.hybrid.search.finding import Place, find
from appliance.observe.search import Found, SearchPicture, SearchQuery
from appliance.observe.status import Problem
from appliance.reconcile.start import put_aside
from appliance.serving.source import pinned_reader

AT_ONCE_MAX: Final = 2
"""Searches at once: each holds a processor, and some megabytes of texts."""
WAIT_S: Final = 10.0
TIMES_KEPT: Final = 1_000


class Search:
    """A ``Part``. ``find``, ``picture`` and ``rebuild`` may be called from any thread."""

    def __init__(self, box: Box, config: Config) -> None:
        self._box = box
        self._enabled = config.search.enabled
        self._place = Place(
            root=box.folder,
            state=lambda: box.state,
            reader=lambda: pinned_reader(box.folder),
            options=config.streams,
            clock=box.clock,
            damaged=lambda segment, reason: put_aside(box, Damage(segment, reason)),
        )
        self._room = threading.BoundedSemaphore(AT_ONCE_MAX)
        self._queries = 0
        self._times_ms: deque[float] = deque(maxlen=TIMES_KEPT)

    async def start(self) -> None:
        """See ``Part``."""

    async def stop(self) -> None:
        """See ``Part``."""

    def reload(self, config: Config) -> None:
        """See ``Part``; what is indexed is fixed at the start."""

    def problems(self) -> Sequence[Problem]:
        """See ``Part``."""
        return ()

    def works(self, config: Config) -> Sequence[Work]:  # noqa: ARG002 - as the protocol has it
        """See ``Part``."""
        return ()

    def find(self, asked: SearchQuery) -> Found:
        """The answer of now. Raises ``UsageRefused``, or ``RetryLater`` while too many search."""
        if not self._enabled:
            raise UsageRefused("search is switched off: [search] enabled = false")
        if not self._room.acquire(timeout=WAIT_S):
            raise RetryLater(f"{AT_ONCE_MAX} searches are under way; try again", after_s=1)
        try:
            start_ns = self._box.clock.monotonic_ns()
            hits, total, is_whole, notes = find(self._place, asked)
            took_ms = (self._box.clock.monotonic_ns() - start_ns) / 1e6
        finally:
            self._room.release()
        self._queries += 1
        self._times_ms.append(took_ms)
        return Found(hits=tuple(hits), total=total, is_whole=is_whole, took_ms=took_ms, notes=tuple(notes))

    def picture(self) -> SearchPicture:
        """All indexes as they are now."""
        times = sorted(self._times_ms)
        return SearchPicture(indexes=(), queries=self._queries, p50_ms=_share(times, 0.5), p99_ms=_share(times, 0.99))

    def rebuild(self, stream: str | None) -> str:
        """Has the indexes of a stream (None: of all) made anew from the records. Raises ``UsageRefused`` for an unknown one."""
        if stream is not None and self._box.state.get(stream) is None:
            raise UsageRefused(f"there is no stream {stream[:80]!r}")
        return "nothing is indexed yet"


def _share(times: Sequence[float], share: float) -> float | None:
    return times[min(len(times) - 1, int(len(times) * share))] if times else None
