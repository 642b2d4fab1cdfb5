"""Following records as they come, without anything that could slow the door: a follower is a place in the sequences.

It looks at the published ``State`` a few times a second and shows what is above its place. Rows beyond what a person can read,
or what a slow reader has not taken meanwhile, are not shown but counted where they are missing. Nothing waits, nothing is kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import pyarrow as pa

from appliance.clock import iso
from appliance.hot.state import State, StreamState
from appliance.hot.visible import runs

LOOK_EVERY_S: Final = 0.2
ROWS_PER_LOOK_MAX: Final = 200
"""Rows of one stream shown at one look, the newest; so at most a thousand a second."""
LAST_ROWS_MAX: Final = 1_000


@dataclass(frozen=True, slots=True)
class Seen:
    """Records of one stream with consecutive sequences, or a gap before the next ones."""

    stream: str
    first: int = 0
    data: pa.RecordBatch | None = None
    missed: int = 0
    """Records that are not shown, in place of ``data``."""


class Follower:
    """Where one reader is in one stream (None: in all of them). The event loop's."""

    def __init__(self, stream: str | None, state: State, *, last_rows: int = 0, after: int | None = None) -> None:
        """Starts ``last_rows`` before the end, or at the end (0) of what there is now; with ``after``, behind that sequence, but
        never beyond the end."""
        self._stream = stream
        self._places = {
            key: max(0, s.last_seq - last_rows) if after is None else min(after, s.last_seq) for key, s in self._followed(state).items()
        }
        self._rows_max = max(ROWS_PER_LOOK_MAX, last_rows, LAST_ROWS_MAX if after is not None else 0)
        self._version = -1

    @property
    def place(self) -> int:
        """The sequence up to which the one stream was looked at."""
        return max(self._places.values(), default=0)

    def look(self, state: State) -> Iterator[Seen]:
        """What is new, in pieces of one stream; a gap stands before the rows that follow it."""
        if state.version == self._version:
            return
        self._version = state.version
        for key, stream in self._followed(state).items():
            place = self._places.get(key, 0)
            if stream.last_seq <= place:
                continue
            self._places[key] = stream.last_seq
            first = max(place + 1, stream.last_seq - self._rows_max + 1, stream.ring_first)
            if first > place + 1:
                yield Seen(stream.name, missed=first - place - 1)
            for chunk in stream.ring:
                if chunk.last >= first:
                    for part in runs(chunk.after(first - 1), stream.deletions):
                        yield Seen(stream.name, part.first, part.data)
        self._rows_max = ROWS_PER_LOOK_MAX

    def lines(self, state: State) -> Iterator[bytes]:
        """``look`` as JSON lines; ``{"_missed": n}`` stands for a gap."""
        for seen in self.look(state):
            if seen.data is None:
                yield msgspec.json.encode({"_stream": seen.stream, "_missed": seen.missed}) + b"\n"
            else:
                rows = rows_as_json(seen.stream, seen.first, seen.data, with_stream=self._stream is None)
                yield b"\n".join(rows) + b"\n"

    def _followed(self, state: State) -> dict[str, StreamState]:
        if self._stream is None:
            return dict(state.streams)
        found = state.get(self._stream)
        return {} if found is None else {self._stream.lower(): found}


def rows_as_json(stream: str, first: int, data: pa.RecordBatch, *, with_stream: bool) -> list[bytes]:
    """One JSON object a row: ``ts`` as ISO 8601 with ``Z``, columns without null, ``_seq``. For the few rows that a person follows."""
    stamps = data.column("ts").cast(pa.int64()).to_pylist()
    others = data.drop_columns(["ts"]).to_pylist()
    lines = []
    for row, (ts_us, values) in enumerate(zip(stamps, others, strict=True)):
        head: dict[str, Any] = {"_stream": stream} if with_stream else {}
        shown = {name: value for name, value in values.items() if value is not None}
        lines.append(msgspec.json.encode({**head, "ts": iso(ts_us), **shown, "_seq": first + row}))
    return lines
