"""Sealed indexes as batch work: those that are missing are built in a process, those whose segments are gone are removed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from appliance.batch_options import BatchOptions, Priority
from appliance.batching.program import own_program
from appliance.batching.work import Context, Limits, Outcome, When
from appliance.errors import JobFailed
from appliance.hot.state import State, StreamState
from appliance.hybrid.search.sealed.building import Made, One, Task
from appliance.hybrid.search.sealed.shelf import Shelf

NAME: Final = "_search"
MODULE: Final = "appliance.hybrid.search.sealed.building"
BASE_BYTES: Final = 192 << 20
"""Memory of the process besides what packing takes."""
AT_ONCE: Final = 200
"""Segments of one process."""
ROWS_DUE: Final = 100_000
"""Records without an index, from which on it is built at once: they take a tenth of a second to be read."""
WAIT_NS: Final = 300_000_000_000
"""For so long fewer wait: small segments are soon replaced by what compaction makes of them."""


class Sealing:
    """A ``Work``."""

    name = NAME
    kind = "search"
    when = When()
    priority: Priority = "low"
    retries = 1
    notify: Sequence[str] = ()

    def __init__(
        self,
        shelf: Shelf,
        *,
        state: Callable[[], State],
        fields: Callable[[StreamState], tuple[str, ...]],
        memory_bytes: int,
        batch: BatchOptions,
    ) -> None:
        """``fields`` says what of a stream is indexed; ``memory_bytes`` is what packing may take."""
        self._shelf, self._state, self._fields = shelf, state, fields
        self._memory_bytes = memory_bytes
        self.limits: Limits | None = Limits(memory_bytes + BASE_BYTES, batch.threads, batch.time_max_s, batch.disk_bytes_max)
        self.failed: dict[str, str] = {}
        """Segments that could not be indexed, by path, and why."""
        self._since_ns: int | None = None
        self._under_way = False
        self._turn = asyncio.Lock()
        """Held while files are written below ``search``."""
        self.is_hurried = False
        """Whether what is missing is due at the next look."""

    def missing(self) -> list[One]:
        """What is to be built, newest first of each stream."""
        streams = self._state().streams.values()
        return [one for s in streams for one in self._shelf.missing(s, self._fields(s)) if one.path not in self.failed]

    def is_due(self, now_ns: int) -> bool:
        """Whether there is enough to be built, or something for long enough."""
        found = [] if self._under_way else self.missing()
        if not found:
            self._since_ns, self.is_hurried = None, False
            return False
        if self.is_hurried:
            self.is_hurried = False
            return True
        self._since_ns = now_ns if self._since_ns is None else self._since_ns
        return sum(one.rows for one in found) >= ROWS_DUE or now_ns - self._since_ns >= WAIT_NS

    def hurry(self) -> None:
        """What is missing now is due at the next look."""
        self.is_hurried = True

    async def run(self, context: Context) -> Outcome:
        """See ``Work``."""
        self._under_way = True
        try:
            async with self._turn:
                return await self._build(context)
        finally:
            self._under_way = False

    async def tidy(self) -> None:
        """Removes the indexes of segments that are gone; while others are made that is left to whoever makes them."""
        if not self._turn.locked():
            async with self._turn:
                await asyncio.to_thread(self._shelf.sweep, self._state(), also_unfinished=False)

    async def _build(self, context: Context) -> Outcome:
        await asyncio.to_thread(self._shelf.sweep, self._state())
        built = rows = 0
        while found := (await asyncio.to_thread(self.missing))[:AT_ONCE]:
            if context.is_cancelled():
                break
            context.progress(None, f"{len(found)} segments")
            task = Task(".", tuple(found), self._memory_bytes)
            made = msgspec.json.decode(await context.runner.program(own_program(MODULE), input=msgspec.json.encode(task)), type=Made)
            self._shelf.forget()
            self.failed |= made.failed
            built, rows = built + made.built, rows + sum(one.rows for one in found)
            if not made.built and not made.failed:
                raise JobFailed("the search index could not be built, and the process does not say why")
        await asyncio.to_thread(self._shelf.sweep, self._state())  # of segments that have gone meanwhile
        return Outcome(f"{built} segments indexed", rows=rows)
