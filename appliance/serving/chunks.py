"""Hot rows that stay with a worker from one question to the next: what the service has handed over once it only names after that.

A chunk of the ring never changes, so who has it need not be given it again. ``Cuts`` makes what is cut out of a chunk the same object
each time, as long as the chunk lives; ``Held`` knows what one worker has, and says what it is to be given and what it has to let go. All
that a worker has follows from what it was told, whatever becomes of the question.
"""

from __future__ import annotations

import weakref
from collections import OrderedDict
from collections.abc import Iterable
from typing import Final

import pyarrow as pa

CUTS_MAX: Final = 1_024
HELD_BYTES_MAX: Final = 2 << 20
"""Of hot rows that one worker has, beyond those of the question at hand."""
CHUNK_BYTES: Final = 4_096
"""What a chunk takes besides its rows: so many that there are never more than 512."""


class Cuts:
    """Some columns of a chunk's rows, made once. Of any thread."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, frozenset[str]], tuple[weakref.ref[pa.RecordBatch], pa.RecordBatch, int]] = {}

    def __len__(self) -> int:
        return len(self._known)

    def cut(self, data: pa.RecordBatch, columns: frozenset[str] | None) -> tuple[pa.RecordBatch, int]:
        """``data`` with ``ts`` and these columns alone (None: all), and how many bytes that is."""
        if columns is None:
            return data, int(data.nbytes)
        key = (id(data), columns)
        found = self._known.get(key)
        if found is not None and found[0]() is data:
            return found[1], found[2]
        cut = data.select([n for n in data.schema.names if n == "ts" or n in columns])
        size = int(cut.nbytes)
        if len(self._known) >= CUTS_MAX:
            self._known.clear()
        self._known[key] = (weakref.ref(data, lambda _gone: self._forget(key)), cut, size)
        return cut, size

    def _forget(self, key: tuple[int, frozenset[str]]) -> None:
        found = self._known.get(key)
        if found is not None and found[0]() is None:  # else another chunk lies there by now
            self._known.pop(key, None)


class Held:
    """What one worker has, by number. Belongs to the event loop."""

    def __init__(self, *, bytes_max: int = HELD_BYTES_MAX) -> None:
        self._bytes_max = bytes_max
        self._numbers: OrderedDict[int, tuple[int, weakref.ref[pa.RecordBatch], int]] = OrderedDict()
        """By identity, the one used last at the end: number, rows, bytes."""
        self._bytes = 0
        self._count = 0

    def __len__(self) -> int:
        return len(self._numbers)

    def told(self, chunks: Iterable[tuple[pa.RecordBatch, int]]) -> tuple[list[int], dict[int, pa.RecordBatch], list[int]]:
        """The numbers of these rows (each with its bytes), those that are new to the worker, and what it does not have after that."""
        numbers: list[int] = []
        new: dict[int, pa.RecordBatch] = {}
        gone: list[int] = []
        for data, size in chunks:
            found = self._numbers.pop(id(data), None)
            if found is None or found[1]() is not data:
                if found is not None:
                    self._bytes -= found[2]
                    gone.append(found[0])
                self._count += 1
                found = (self._count, weakref.ref(data), size + CHUNK_BYTES)
                self._bytes += found[2]
                new[found[0]] = data
            self._numbers[id(data)] = found
            numbers.append(found[0])
        needed = set(numbers)
        while self._bytes > self._bytes_max:
            key, (number, _, size) = next(iter(self._numbers.items()))
            if number in needed:
                break  # those after it are needed as well
            del self._numbers[key]
            self._bytes -= size
            gone.append(number)
        return numbers, new, gone
