"""The program that builds sealed indexes, one segment after the other, in bounded memory: reads a ``Task``, tells what it made."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa

from appliance.cold.files import Publisher
from appliance.cold.picking import picking
from appliance.errors import StoreDamaged
from appliance.hybrid.search.sealed.file import Facts, write_index
from appliance.hybrid.search.sealed.packing import PackedPart, pack
from appliance.hybrid.search.sought import texts_of
from appliance.manifest import Segment

PIECES = 8
"""Pieces that a run of rows is read in."""
MEMORY_A_BYTE = 24
"""Bytes of memory that packing takes at most for a byte of text."""
ROWS_MAX = 262_144


class One(msgspec.Struct, frozen=True):
    """A segment to be indexed."""

    path: str
    """Relative to the data folder."""
    sha256: str
    stream: str
    fields: tuple[str, ...]
    rows: int
    folder: str
    """Where its index goes, relative to the data folder."""
    name: str


class Task(msgspec.Struct, frozen=True):
    """What the program is to do."""

    root: str
    segments: tuple[One, ...]
    memory_bytes: int


class Made(msgspec.Struct, frozen=True):
    """What came of it."""

    built: int
    failed: dict[str, str]
    """Segments that could not be indexed, by path, and why."""


def one_of(segment: Segment, *, fields: tuple[str, ...], folder: str, name: str) -> One:
    """The task for one segment."""
    return One(segment.path, segment.sha256, segment.stream, fields, segment.rows, folder, name)


def main() -> None:
    """See the module."""
    task = msgspec.json.decode(sys.stdin.buffer.read(), type=Task)
    sys.stdout.buffer.write(msgspec.json.encode(build(task)))


def build(task: Task) -> Made:
    """Indexes each segment; one that can't be read is told and passed over."""
    publisher, failed, built = Publisher(Path(task.root), owner="search"), dict[str, str](), 0
    for one in task.segments:
        try:
            publisher.publish(one.folder, partial(_fill, one=one, task=task))
            built += 1
        except StoreDamaged as e:
            failed[one.path] = str(e)
    return Made(built, failed)


def _fill(tmp: Path, *, one: One, task: Task) -> tuple[str, None]:
    path = Path(task.root) / one.path
    with picking(path) as picker:
        facts = Facts(one.stream, one.fields, one.sha256, one.rows, picker.stored_bytes(one.fields))
    write_index(tmp, facts, _parts(path, one, bytes_max=task.memory_bytes // MEMORY_A_BYTE))
    return one.name, None


def _parts(path: Path, one: One, *, bytes_max: int) -> Iterator[PackedPart]:
    """Runs of rows of at most so many bytes of text."""
    waiting: list[list[Any]] = []
    size = rows = 0
    with picking(path) as picker:
        groups = range(len(picker.spans))
        for _, batch in picker.batches(groups, one.fields, bytes_max=max(1, bytes_max // PIECES), rows_max=ROWS_MAX // PIECES):
            columns = texts_of(batch, one.fields)
            more = sum(int(c.nbytes) for c in columns)
            if waiting and (size + more > bytes_max or rows + batch.num_rows > ROWS_MAX):
                yield _packed(waiting)
                waiting, size, rows = [], 0, 0
            waiting.append(columns)
            size, rows = size + more, rows + batch.num_rows
    if waiting:
        yield _packed(waiting)


def _packed(waiting: list[list[Any]]) -> PackedPart:
    return pack([pa.concat_arrays(list(pieces)) for pieces in zip(*waiting, strict=True)])


if __name__ == "__main__":
    main()
