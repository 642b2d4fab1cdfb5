"""The ring in the service's memory against the hot store: the same records, none missing, none changed. Reads only."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final
from zlib import crc32

import numpy as np
import pyarrow as pa

from appliance.hot.state import Chunk, StreamState
from appliance.reconcile.bodies import Judged
from appliance.reconcile.finding import Finding
from appliance.reconcile.look import Look
from appliance.tally import row_hashes

RING: Final = "ring differs"
INCOMPLETE: Final = "ring incomplete"
PLACE: Final = "memory ring"
FROM_STORE: Final = "fill the ring from the hot store"


class RingLook:
    """One stream's ring at one look."""

    def __init__(self, look: Look, stream: StreamState, memory: StreamState | None, sums: Mapping[int, int | None]) -> None:
        """``sums``: batch id -> the sum of its hashes, of batches that are what was committed."""
        self._look = look
        self._stream = stream
        self._chunks = () if memory is None else memory.ring
        self._memory = memory
        self._sums = sums

    def covers(self, first: int, last: int) -> bool:
        """Whether the ring has all of these sequences."""
        return covers(self._chunks, first, last)

    def findings(self, whole: Sequence[Judged]) -> Iterator[Finding]:
        """What is wrong with the ring; ``whole`` are the batches that are right, by their first sequence."""
        if self._memory is None:
            return
        yield from self._gaps(self._memory)
        firsts = [j.true.first for j in whole]
        for chunk in self._chunks:
            if chunk.last > self._stream.mark:
                mine = whole[bisect_left(firsts, chunk.first) : bisect_right(firsts, chunk.last)]
                yield from self._chunk(chunk, [j for j in mine if j.true.last <= chunk.last])

    def _gaps(self, memory: StreamState) -> Iterator[Finding]:
        expected = self._chunks[0].first if self._chunks else memory.last_seq + 1
        for chunk in self._chunks:
            if chunk.data.num_rows != chunk.rows:
                said = f"says that it holds the records {chunk.first} to {chunk.last}, and has {chunk.data.num_rows}"
                yield self._finding(INCOMPLETE, chunk.first, chunk.last, f"a part of the ring {said}")
            if chunk.first > expected:
                yield self._finding(INCOMPLETE, expected, chunk.first - 1, f"the ring lacks the records {expected} to {chunk.first - 1}")
            expected = chunk.last + 1
        if expected <= memory.last_seq:
            yield self._finding(INCOMPLETE, expected, memory.last_seq, f"the ring lacks the records {expected} to {memory.last_seq}")

    def _chunk(self, chunk: Chunk, whole: Sequence[Judged]) -> Iterator[Finding]:
        """A chunk is compared with the batches once; after that its bytes in memory must stay what they were."""
        look = self._look
        memo: dict[tuple[int, int], tuple[Chunk, int, int]] = look.memo.setdefault("chunks", {})
        fresh: dict[tuple[int, int], tuple[Chunk, int, int]] = look.memo.setdefault("chunks of now", {})
        place = (self._stream.id, chunk.first)
        before = memo.get(place)
        if before is not None and before[0] is chunk and before[2] == len(whole) and not look.is_whole:
            fresh[place] = before
            if (chunk.first + look.turn) % 2 or checksum(chunk) == before[1]:
                return
        sums = np.concatenate((np.zeros(1, np.uint64), np.cumsum(row_hashes(chunk.data, chunk.first), dtype=np.uint64)))
        is_right = True
        for j in whole:
            if (wanted := j.header.sum) is not None:
                low, high = j.true.first - chunk.first, j.true.last + 1 - chunk.first
                if high < len(sums) and (int(sums[high]) - int(sums[low])) % 2**64 != wanted:
                    is_right = False
                    what = f"the records {j.true.first} to {j.true.last} in the ring are not those in the hot store"
                    yield self._finding(RING, j.true.first, j.true.last, what)
        if is_right:
            fresh[place] = (chunk, checksum(chunk), len(whole))
        else:
            fresh.pop(place, None)

    def _finding(self, kind: str, first: int, last: int, what: str) -> Finding:
        name = self._stream.name
        return Finding(
            kind=kind,
            where=PLACE,
            key=f"{name}:{first}-{last}",
            stream=name,
            first=first,
            last=last,
            what=f"stream {name}: {what}",
            repair=FROM_STORE,
        )


def covers(chunks: Sequence[Chunk], first: int, last: int) -> bool:
    """Whether the chunks have all of these sequences."""
    expected = first
    for chunk in chunks:
        if chunk.data.num_rows == chunk.rows and chunk.first <= expected <= chunk.last:
            expected = chunk.last + 1
    return expected > last


def cut(chunks: Sequence[Chunk], first: int, last: int) -> list[Chunk]:
    """These sequences out of chunks that cover them, a piece of each."""
    found = []
    for chunk in chunks:
        low, high = max(first, chunk.first), min(last, chunk.last)
        if low <= high:
            data = chunk.data.slice(low - chunk.first, high - low + 1)
            found.append(Chunk(low, high, data, chunk.ts_min, chunk.ts_max, chunk.nbytes, chunk.schema_version))
    return found


def checksum(chunk: Chunk) -> int:
    """Of the bytes that its columns hold in memory."""
    found = 0
    for column in chunk.data.columns:
        for buffer in _buffers(column):
            found = crc32(buffer, found)
    return found


def _buffers(column: Any) -> Iterator[Any]:
    if pa.types.is_dictionary(column.type):
        yield from _buffers(column.indices)
        yield from _buffers(column.dictionary)
        return
    yield from (b for b in column.buffers() if b is not None)


def settle_memo(look: Look) -> None:
    """Forgets chunks that are no longer in the ring; after all streams."""
    look.memo["chunks"] = look.memo.pop("chunks of now", {})
