"""Reads every byte that the box is trusted with and compares it with what the manifest says.

Segments by their hash; hot batches by decoding them and by their sequences, which must follow each other from the mark to the
newest; the SQLite file by its own check; and the lake's folder for files that nobody knows.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from appliance.cold import lake
from appliance.cold.segments import check_segment
from appliance.errors import StoreDamaged
from appliance.hot.reader import HotReader
from appliance.hot.state import State, StreamState
from appliance.manifest import Segment


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong."""

    path: str
    """The file, relative to the data folder."""
    what: str
    """What is wrong and which records it concerns."""


@dataclass(frozen=True, slots=True)
class Checked:
    """What was looked at, all told."""

    segments: int
    bytes: int
    hot_rows: int
    findings: tuple[Finding, ...]


def verify(folder: Path, *, progress: Callable[[int, int], None] = lambda _done, _total: None) -> Checked:
    """Checks the whole folder. ``progress`` gets bytes done and in all. Raises ``StoreDamaged`` when ``hot.sqlite`` can't be opened."""
    reader = HotReader(folder)
    try:
        with reader.pinned():
            findings = list(_check_sqlite(reader))
            state = reader.load_state()
            hot_rows = 0
            for stream in state.streams.values():
                rows, found = _check_hot(reader, stream)
                hot_rows += rows
                findings += found
            replaced = {segment.path for segment, _ in reader.replaced()}
        segments = [s for stream in state.streams.values() for s in stream.segments]
        findings += _check_segments(folder, segments, progress)
        findings += [Finding(s.path, f"was set aside: {s.describe()}") for stream in state.streams.values() for s in stream.lost]
        findings += _check_strangers(folder, state, replaced)
    finally:
        reader.close()
    return Checked(len(segments), sum(s.bytes for s in segments), hot_rows, tuple(findings))


def _check_sqlite(reader: HotReader) -> Iterator[Finding]:
    try:
        rows = reader.execute("PRAGMA quick_check(5)")
    except sqlite3.DatabaseError as e:
        yield Finding("hot.sqlite", str(e))
        return
    for (text,) in rows:
        if text != "ok":
            yield Finding("hot.sqlite", str(text))


def _check_hot(reader: HotReader, stream: StreamState) -> tuple[int, list[Finding]]:
    """Every hot batch can be read, and together they are the sequences from the mark to the newest."""
    findings = []
    expected = stream.mark + 1
    rows = 0
    try:
        for chunk in reader.iterate(stream, after_seq=stream.mark):
            if chunk.first != expected:
                findings.append(Finding("hot.sqlite", f"stream {stream.name}: sequences {expected} to {chunk.first - 1} are missing"))
            if chunk.data.num_rows != chunk.rows:
                findings.append(
                    Finding(
                        "hot.sqlite",
                        f"stream {stream.name}: the batch from {chunk.first} on has {chunk.data.num_rows} rows, not {chunk.rows}",
                    )
                )
            expected = chunk.last + 1
            rows += chunk.rows
    except (pa.ArrowException, OSError, sqlite3.DatabaseError, StoreDamaged) as e:
        findings.append(Finding("hot.sqlite", f"stream {stream.name}: the batch from sequence {expected} on can't be read: {e}"))
        return rows, findings
    if expected != stream.last_seq + 1:
        findings.append(Finding("hot.sqlite", f"stream {stream.name}: sequences {expected} to {stream.last_seq} are missing"))
    return rows, findings


def _check_segments(folder: Path, segments: list[Segment], progress: Callable[[int, int], None]) -> list[Finding]:
    total, done = sum(s.bytes for s in segments), 0
    findings = []
    for segment in segments:
        reason = check_segment(folder, segment, deep=True)
        if reason is not None:
            findings.append(Finding(segment.path, f"{reason}; sequences {segment.first} to {segment.last}, {segment.rows} records"))
        done += segment.bytes
        progress(done, total)
    return findings


def _check_strangers(folder: Path, state: State, replaced: set[str]) -> list[Finding]:
    known = {s.path for stream in state.streams.values() for s in (*stream.segments, *stream.lost)} | replaced
    return [
        Finding(path, "is not in the manifest; a roll that is under way, or a stranger") for path in lake.files(folder) if path not in known
    ]
