"""The bytes of an answer on their way from a query's process to whoever asked."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING

from appliance.serving.explain import Explain
from appliance.serving.handed import Handed
from appliance.serving.running import Basis, RunningQuery

if TYPE_CHECKING:
    from appliance.serving.queries import Queries


class Result(AsyncIterator[bytes]):
    """The bytes of an answer, read once."""

    def __init__(self, queries: Queries, query: RunningQuery) -> None:
        self._queries = queries
        self._query = query

    cached = ""

    @property
    def id(self) -> str:
        return self._query.question.id

    @property
    def notes(self) -> tuple[str, ...]:
        """What the answer lacks, a line each: segments that are missing or damaged."""
        return self._query.notes

    @property
    def version(self) -> int:
        """``State.version`` of what it is answered from."""
        return self._query.source.version

    @property
    def read(self) -> Mapping[str, int]:
        """Folded name of each stream that was read -> its highest sequence at the instant of the snapshot."""
        return self._query.read

    @property
    def basis(self) -> Basis | None:
        """What it was found from; whole only at its end. None: nothing was pinned."""
        return self._query.basis

    @property
    def spent_ms(self) -> float:
        """From the question to the answer's end, without the wait for a process; known at its end."""
        explain = self._query.explain
        return 0.0 if explain is None else sum(part.ms for part in explain.parts if part.name != "worker")

    @property
    def now_us(self) -> int:
        """What ``now()`` gives."""
        return self._query.now_us

    @property
    def explain(self) -> Explain | None:
        """How it was answered; None before the last piece."""
        return self._query.explain

    @property
    def whole(self) -> bytes | None:
        """All of the answer, where it was here from the start; None: it comes in pieces. It is the rest then: read once."""
        if not self._query.clean:
            return None
        pieces, self._query.pieces = self._query.pieces, []
        return b"".join(pieces)

    @property
    def handed(self) -> Handed | None:
        """The result as a file; None before its end, and where it goes over the socket."""
        return self._query.handed

    async def __anext__(self) -> bytes:
        piece = await self._queries.piece(self._query)
        if piece is None:
            raise StopAsyncIteration
        return piece

    async def aclose(self) -> None:
        """Ends the query, read or not."""
        self._queries.leave(self._query)
