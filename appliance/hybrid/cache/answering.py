"""The queries of people, with the cache before them: what is kept is given at once, what is found is kept. Belongs to the event loop."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Final

import msgspec

from appliance.clock import Clock
from appliance.hot.state import State
from appliance.hybrid.cache.cache import Cache
from appliance.hybrid.cache.changes import within
from appliance.hybrid.cache.parts import NAME
from appliance.hybrid.cache.slices import FORMATS as CUT_FORMATS
from appliance.hybrid.cache.slices import Slicing
from appliance.observe.latencies import QUERIES, Latencies
from appliance.serving.explain import Explain
from appliance.serving.queries import Queries
from appliance.serving.question import FORMATS, Question
from appliance.serving.result import Result
from appliance.serving.running import Basis

ATTEMPTS_MAX: Final = 2
"""Times that an answer is completed while records come to yet other buckets; then it is found as a whole."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A question that was answered for somebody."""

    question: Question
    basis: Basis | None
    """None: out of the cache."""
    explain: Explain | None
    """None: out of the cache."""
    spent_ms: float
    at_us: int


class CachedQueries:
    """As ``Queries``, for those who ask over HTTP."""

    def __init__(self, queries: Queries, cache: Cache, *, clock: Clock, latencies: Latencies | None = None) -> None:
        """``latencies`` is told how long hits took; None: nobody is."""
        self._queries = queries
        self._cache = cache
        self._clock = clock
        self._latencies = latencies
        self.on_asked: Callable[[Asked], None] = lambda _asked: None
        """Told of each answer once it has been read; must return at once."""
        self.slicing: Callable[[Question], Slicing | None] = lambda _question: None
        """How the answer to a question can be cut; None: it can't be, or nobody has looked."""
        self.answer_bytes_max = cache.options.answer_bytes_max
        self.progress = queries.progress
        self.cancel = queries.cancel

    async def run(self, question: Question) -> Result | KeptResult | KeepingResult:
        """The answer, kept or found. Raises as ``Queries.run`` does."""
        start_ns, now_us = self._clock.monotonic_ns(), self._clock.now_us()
        if not self._takes(question):
            return await self._queries.run(question)
        if question.explain:
            return KeepingResult(self, await self._queries.run(question), question, now_us)
        kept = self._cache.find(question, now_us=now_us)
        if kept is None:
            grown = await self._grown(question, start_ns)
            if grown is not None:
                return grown
            self._cache.missed()
            return KeepingResult(self, await self._queries.run(question), question, now_us)
        if self._latencies is not None:
            self._latencies.note(QUERIES, "done", (self._clock.monotonic_ns() - start_ns) / 1e6, at_us=now_us)
        self.on_asked(Asked(question, None, None, kept.cost_ms, now_us))
        return KeptResult(kept.body)

    async def _grown(self, question: Question, start_ns: int) -> KeptResult | None:
        """A kept answer with the rows of those buckets that have changed found anew; None where the whole has to be. Raises as ``run``."""
        for _attempt in range(ATTEMPTS_MAX):
            growing = self._cache.growing(question, now_us=self._clock.now_us())
            if growing is None:
                return None
            fresh: list[tuple[bytes, State]] = []
            for span in growing.spans:
                piece = await self._rows(within(question, span))
                if piece is None:
                    return None
                fresh.append(piece)
            now_us, spent_ms = self._clock.now_us(), (self._clock.monotonic_ns() - start_ns) / 1e6
            body = self._cache.grow(growing, fresh, spent_ms=spent_ms, now_us=now_us)
            if body is not None:
                self.on_asked(Asked(question, None, None, growing.kept.cost_ms, now_us))
                return KeptResult(body, "completed")
        return None

    async def _rows(self, question: Question) -> tuple[bytes, State] | None:
        """A whole answer, and the picture that it is of; None where it lacks something."""
        async with aclosing(await self._queries.run(question)) as result:
            body = b"".join([piece async for piece in result])
            if result.basis is None or result.notes or result.explain is None or result.explain.notes:
                return None
            return body, result.basis.state

    def ended(self, result: Result, question: Question, body: bytes | None, asked_us: int) -> None:
        """An answer has been read to its end: keeps it, unless it is larger than may be kept (None) or lacks something."""
        basis, explain, now_us = result.basis, result.explain, self._clock.now_us()
        if basis is None or explain is None:
            return
        if explain.stood_in.startswith(NAME):
            self._cache.used_part(explain.stood_in, spent_ms=result.spent_ms, now_us=now_us)
        if body is not None and not explain.notes:
            slicing = self.slicing(question)
            self._cache.keep(question, basis, body, cost_ms=result.spent_ms, asked_us=result.now_us, now_us=now_us, slicing=slicing)
        self.on_asked(Asked(question, basis, explain, result.spent_ms, asked_us))

    def explained(self, result: Result, question: Question, body: bytes) -> bytes:
        """An explanation with what the cache has to say."""
        explain, now_us = msgspec.json.decode(body, type=Explain), self._clock.now_us()
        plain = msgspec.structs.replace(explain, cached=self._said(result, question, explain, now_us))
        return msgspec.json.encode(plain)

    def _said(self, result: Result, question: Question, explain: Explain, now_us: int) -> str:
        if any(self._cache.is_kept(replace(question, format=f), now_us=now_us) for f in FORMATS):
            return "the answer is kept, and is given without this work"
        if any(self._cache.growing(replace(question, format=f), now_us=now_us) for f in CUT_FORMATS):
            return "the answer is kept, and is completed by the rows of those buckets of time in which something has changed"
        basis = result.basis
        varies = "always" if basis is None else basis.varies
        begin = f"{explain.stood_in} and what has come since; " if explain.stood_in.startswith(NAME) else ""
        return begin + ("not kept: it gives another answer each time" if varies == "always" else "kept when it is asked")

    def _takes(self, question: Question) -> bool:
        return question.cache and question.now_us is None and self._cache.options.memory_bytes_max > 0


class KeptResult(AsyncIterator[bytes]):
    """An answer out of the cache."""

    notes: tuple[str, ...] = ()

    def __init__(self, body: bytes, cached: str = "hit") -> None:
        self._body: bytes | None = body
        self.cached = cached

    @property
    def whole(self) -> bytes | None:
        """All of it; read once."""
        body, self._body = self._body, b""
        return body

    async def __anext__(self) -> bytes:
        body, self._body = self._body, None
        if not body:
            raise StopAsyncIteration
        return body

    async def aclose(self) -> None:
        """There is nothing to end."""


class KeepingResult(AsyncIterator[bytes]):
    """An answer on its way to whoever asked, collected while it is small enough to be kept."""

    cached = "miss"

    def __init__(self, owner: CachedQueries, result: Result, question: Question, asked_us: int) -> None:
        self._owner = owner
        self._result = result
        self._question = question
        self._asked_us = asked_us
        self._pieces: list[bytes] | None = []
        self._bytes = 0
        self._is_done = False

    @property
    def id(self) -> str:
        return self._result.id

    @property
    def notes(self) -> tuple[str, ...]:
        return self._result.notes

    @property
    def explain(self) -> Explain | None:
        return self._result.explain

    @property
    def whole(self) -> bytes | None:
        """As ``Result.whole``."""
        body = None if self._question.explain else self._result.whole
        if body is None:
            return None
        self._collect(body)
        self._end()
        return body

    async def __anext__(self) -> bytes:
        try:
            piece = await self._result.__anext__()
        except StopAsyncIteration:
            self._end()
            raise
        if self._question.explain:
            return self._owner.explained(self._result, self._question, piece)
        self._collect(piece)
        return piece

    async def aclose(self) -> None:
        """Ends the query, read or not."""
        await self._result.aclose()

    def _collect(self, piece: bytes) -> None:
        self._bytes += len(piece)
        if self._pieces is not None:
            self._pieces.append(piece)
            if self._bytes > self._owner.answer_bytes_max:
                self._pieces = None

    def _end(self) -> None:
        if self._is_done or self._question.explain:
            return
        self._is_done = True
        self._owner.ended(self._result, self._question, None if self._pieces is None else b"".join(self._pieces), self._asked_us)
