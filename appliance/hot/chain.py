"""The chain of evidence as it grows: entries are written in the transaction of what they are about, or not at all.

Owned by the store, so by the writer's thread. Whatever changes the manifest comes by here by itself (``HotStore.add_segments``,
``end_segments``, ``raise_mark``); what else belongs into the evidence is put in with ``add``, within the same transaction.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from appliance.chain import FIRST, Reading, hash_of, jump_between, line_of, read_line
from appliance.clock import Clock
from appliance.manifest import Segment

SEGMENTS_AN_ENTRY: Final = 500
"""So that no line is longer than a screen editor likes, also where a large lake is taken over."""
_BOOT_CHARS: Final = 8
_NO_COMMIT_YET: Final = 2**62
"""Rank of a boot that no commit knows: later than those that do."""
_SEGMENT: Final = "g.path, g.sha256, g.rows, g.first, g.last, g.ts_min, g.ts_max, g.bytes, g.level"


class Reads(Protocol):
    """What runs a SELECT."""

    def execute(self, sql: str, parameters: tuple[object, ...] = ..., /) -> Iterable[Any]:
        """The rows."""


@dataclass(slots=True)
class _Pending:
    """What the transaction that is open has changed in the manifest of one stream."""

    added: list[Segment]
    ended: list[dict[str, Any]]
    mark: tuple[int, int] | None = None


class Chain:
    """The end of the chain, and what the open transaction adds to it."""

    def __init__(self, connection: sqlite3.Connection, clock: Clock) -> None:
        """On a store that has its newest form."""
        self._db = connection
        self._clock = clock
        self._last, self._hash, self._looked = _end_of(connection)
        self._pending: dict[str, _Pending] = {}
        self._words: list[tuple[str, Mapping[str, Any]]] = []
        self._next: tuple[int, str, Reading | None] = (self._last, self._hash, self._looked)

    def add(self, kind: str, body: Mapping[str, Any]) -> None:
        """An entry of the open transaction. ``body`` is made of JSON's values and has none of id, before, at, up_us, boot and kind."""
        self._words.append((kind, body))

    def look(self) -> None:
        """Once a commit: an entry where the wall clock has jumped since the last one."""
        now = self.reading()
        jump = jump_between(self._looked, now)
        if jump is not None:
            self.add("clock", jump)
        self._next = (*self._next[:2], now)

    def reading(self) -> Reading:
        """The clocks now."""
        return Reading(self._clock.now_us(), self._clock.boottime_us(), self._clock.boot_id()[:_BOOT_CHARS])

    def added(self, segments: Iterable[Segment]) -> None:
        """The open transaction puts these into the manifest."""
        for segment in segments:
            self._of(segment.stream).added.append(segment)

    def ending(self, ids: Iterable[int], *, state: str, reason: str | None) -> None:
        """The open transaction takes these out of the live set."""
        for i in ids:
            found = self._db.execute(
                "SELECT s.name, g.path, g.sha256, g.rows FROM segment g JOIN stream s ON s.id = g.stream_id WHERE g.id = ?", (i,)
            ).fetchone()
            if found is not None:
                name, path, sha256, rows = found
                gone = {"path": path, "sha256": sha256, "rows": rows, "state": state}
                self._of(name).ended.append(gone if reason is None else {**gone, "reason": reason})

    def marking(self, stream_id: int, mark: int) -> None:
        """The open transaction raises the mark of a stream."""
        name, before = self._db.execute("SELECT name, mark FROM stream WHERE id = ?", (stream_id,)).fetchone()
        if mark > before:
            self._of(name).mark = (before, mark)

    def write(self) -> None:
        """All of it, at the end of the transaction."""
        if not (self._pending or self._words):
            return
        now = self.reading()
        for kind, body in [*self._beginning(), *self._changes(), *self._words]:
            number, before, _ = self._next
            line = line_of(number=number + 1, before=before, reading=now, kind=kind, body=body)
            self._db.execute("INSERT INTO chain (id, at_us, entry) VALUES (?, ?, ?)", (number + 1, now.at_us, line))
            self._next = (number + 1, hash_of(line), now)

    def committed(self) -> None:
        """The transaction is durable."""
        self._last, self._hash, self._looked = self._next
        self._pending, self._words = {}, []

    def rolled_back(self) -> None:
        """Nothing of the transaction is there."""
        self._next = (self._last, self._hash, self._looked)
        self._pending, self._words = {}, []

    def _of(self, stream: str) -> _Pending:
        return self._pending.setdefault(stream, _Pending([], []))

    def _changes(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        for stream, found in self._pending.items():
            states = {gone["state"] for gone in found.ended}
            kind = "roll" if not found.ended else "compact" if found.added else "/".join(sorted(states))
            body: dict[str, Any] = {"stream": stream}
            if found.mark is not None:
                body["mark"] = found.mark
            if found.added:
                body["added"] = [_described(s) for s in found.added]
            if found.ended:
                body["ended"] = found.ended
            yield kind, body

    def _beginning(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """The first entries of a box: what was in its manifest already when the chain began."""
        if self._next[0]:
            return
        yield "begin", {}
        new = {s.path for found in self._pending.values() for s in found.added}
        gone = {g["path"]: None for found in self._pending.values() for g in found.ended}
        for name, stream_id, mark in self._db.execute("SELECT name, id, mark FROM stream ORDER BY id").fetchall():
            rows = self._db.execute(
                f"SELECT {_SEGMENT}, g.state FROM segment g WHERE g.stream_id = ? ORDER BY g.id", (stream_id,)
            ).fetchall()
            old = [r for r in rows if r[0] not in new and (r[-1] == "live" or r[0] in gone)]
            pending = self._pending.get(name)
            before = mark if pending is None or pending.mark is None else pending.mark[0]
            for start in range(0, len(old), SEGMENTS_AN_ENTRY):
                part = old[start : start + SEGMENTS_AN_ENTRY]
                yield "adopt", {"stream": name, "mark": (0, before), "added": [_described_row(r[:-1]) for r in part]}


def entries(reads: Reads, *, since: int = 1, until: int | None = None) -> Iterator[str]:
    """The lines of the chain with ids from ``since`` to before ``until`` (None: the end), in order."""
    if not has_chain(reads):
        return
    for (line,) in reads.execute(
        "SELECT entry FROM chain WHERE id >= ? AND id < ? ORDER BY id", (since, 2**62 if until is None else until)
    ):
        yield line


def has_chain(reads: Reads) -> bool:
    """False for a folder of an older version that was never opened by this one."""
    return bool(list(reads.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'chain'")))


def _end_of(db: sqlite3.Connection) -> tuple[int, str, Reading | None]:
    """Id and hash of the newest entry, and the newest clocks that are stored."""
    looked = db.execute(
        "SELECT b.committed_us, b.uptime_us, o.boot_id, o.id FROM batch b JOIN boot o ON o.id = b.boot ORDER BY b.id DESC LIMIT 1"
    ).fetchone()
    readings = [] if looked is None else [(looked[3], Reading(looked[0], looked[1], looked[2][:_BOOT_CHARS]))]
    number, hash_now = 0, FIRST
    for found, at_us, line in db.execute("SELECT id, at_us, entry FROM chain ORDER BY id DESC LIMIT 1").fetchall():
        number, hash_now = int(found), hash_of(line)
        link = read_line(line)
        if link is not None:
            reading = Reading(at_us, int(link.body["up_us"]), str(link.body["boot"]))
            row = db.execute("SELECT max(id) FROM boot WHERE substr(boot_id, 1, ?) = ?", (_BOOT_CHARS, reading.boot)).fetchone()
            readings.append((_NO_COMMIT_YET if row[0] is None else row[0], reading))
    newest = max(readings, key=lambda r: (r[0], r[1].up_us), default=None)
    return number, hash_now, None if newest is None else newest[1]


def _described(s: Segment) -> dict[str, Any]:
    return _described_row((s.path, s.sha256, s.rows, s.first, s.last, s.ts_min, s.ts_max, s.bytes, s.level))


def _described_row(row: tuple[Any, ...]) -> dict[str, Any]:
    path, sha256, rows, first, last, ts_min, ts_max, size, level = row
    return {
        "path": path,
        "sha256": sha256,
        "rows": rows,
        "first": first,
        "last": last,
        "ts_min": ts_min,
        "ts_max": ts_max,
        "bytes": size,
        "level": level,
    }
