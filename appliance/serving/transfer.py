"""A snapshot through a memory file: written by the service, mapped by the worker without a copy.

Layout: the Arrow streams one after the other, then a table of contents (msgpack), then its length in 8 bytes. Hot rows of one
version of a schema and with the same columns share a stream; dictionaries that differ from batch to batch are replaced in it.
"""

from __future__ import annotations

import io
import mmap
import os
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, Final

import msgspec
import pyarrow as pa

from appliance.manifest import Deletion, Segment
from appliance.records import Schema
from appliance.serving.chunks import Held
from appliance.serving.protocol import Given
from appliance.serving.routing import Route
from appliance.serving.snapshot import HotRows, Skipped, Snapshot, Span, StreamPin, Wanted
from appliance.serving.view_pins import ViewPin

_TAIL: Final = 8
_ALIGNMENT: Final = 64


class _Run(msgspec.Struct, frozen=True, array_like=True):
    """Hot rows in one Arrow stream."""

    offset: int
    size: int
    firsts: tuple[int, ...]
    bytes: tuple[int, ...]
    number: int = 0
    """Of a chunk that the worker has, in place of a stream here; 0: none."""


class _Blob(msgspec.Struct, frozen=True, array_like=True):
    offset: int
    size: int


class _Stream(msgspec.Struct, frozen=True, array_like=True):
    key: str
    schema: Schema
    versions: tuple[Schema, ...]
    identity: tuple[str, ...] | None
    hot: tuple[_Run, ...]
    files: tuple[Segment, ...]
    spans: tuple[Span, ...]
    lost: tuple[Segment, ...]
    deletions: tuple[Deletion, ...]
    skipped: Skipped
    latest: _Blob | None
    route: Route


class _Contents(msgspec.Struct, frozen=True, array_like=True):
    streams: tuple[_Stream, ...]
    tables: tuple[tuple[str, _Blob], ...]
    files: tuple[tuple[str, str], ...]
    views: tuple[tuple[str, int, ViewPin], ...]
    kept: tuple[tuple[str, int, _Blob], ...]


def pack(snapshot: Snapshot) -> tuple[int, int]:
    """A snapshot in a new memory file: its descriptor, which the caller closes, and its size."""
    descriptor = os.memfd_create("appliance-snapshot", os.MFD_CLOEXEC)
    try:
        with io.FileIO(descriptor, "wb", closefd=False) as raw:
            size = _pack(pa.PythonFile(raw, "w"), snapshot)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor, size


def given(wanted: tuple[Wanted, ...], snapshot: Snapshot, held: Held) -> Given:
    """A small snapshot, laid out in the same way, but for its hot rows: they stay with the worker, and go along where it lacks them."""
    chunks = {id(h.data): (h.data, h.bytes) for pin in snapshot.streams.values() for h in pin.hot}
    numbers, new, gone = held.told(chunks.values())
    out = pa.BufferOutputStream()
    _pack(out, snapshot, dict(zip(chunks, numbers, strict=True)))
    return Given(wanted, out.getvalue().to_pybytes(), tuple((number, _stream(data)) for number, data in new.items()), tuple(gone))


def take_in(chunks: dict[int, pa.RecordBatch], message: Given) -> None:
    """Brings what a worker has to what the service takes it to have; whether the snapshot is used or not."""
    for number in message.gone:
        del chunks[number]
    for number, data in message.new:
        with pa.ipc.open_stream(pa.py_buffer(data)) as reader:
            chunks[number] = reader.read_next_batch()


def unpack(descriptor: int, size: int) -> Snapshot:
    """The snapshot in a memory file; its rows lie in the mapping, which lives as long as they do. Closes the descriptor."""
    try:
        whole = pa.py_buffer(mmap.mmap(descriptor, size, prot=mmap.PROT_READ))
    finally:
        os.close(descriptor)
    return _unpack(whole, {})


def unpack_given(message: Given, chunks: Mapping[int, pa.RecordBatch]) -> Snapshot:
    """What ``given`` has packed; its rows lie in the message, and in ``chunks``."""
    return _unpack(pa.py_buffer(message.snapshot), chunks)


def _unpack(whole: pa.Buffer, chunks: Mapping[int, pa.RecordBatch]) -> Snapshot:
    size = whole.size
    length = int.from_bytes(whole.slice(size - _TAIL).to_pybytes(), "little")
    contents = msgspec.msgpack.decode(whole.slice(size - _TAIL - length, length).to_pybytes(), type=_Contents)
    streams = {s.key: _unpack_stream(whole, s, chunks) for s in contents.streams}
    tables = {name: _unpack_table(whole, blob) for name, blob in contents.tables}
    views = {(name, version): pin for name, version, pin in contents.views}
    kept = {(name, version): _unpack_table(whole, blob) for name, version, blob in contents.kept}
    return Snapshot(streams, tables, dict(contents.files), views, kept)


def _pack(out: Any, snapshot: Snapshot, numbers: Mapping[int, int] | None = None) -> int:
    """Writes the whole layout and returns its size. ``numbers`` of rows that are named alone, by identity."""
    streams = tuple(_pack_stream(out, key, pin, numbers or {}) for key, pin in snapshot.streams.items())
    tables = tuple((name, _pack_table(out, table)) for name, table in snapshot.tables.items())
    views = tuple((*key, pin) for key, pin in snapshot.views.items())
    kept = tuple((*key, _pack_table(out, table)) for key, table in snapshot.kept.items())
    contents = msgspec.msgpack.encode(_Contents(streams, tables, tuple(snapshot.files.items()), views, kept))
    out.write(contents)
    out.write(len(contents).to_bytes(_TAIL, "little"))
    return int(out.tell())


def _pack_stream(out: Any, key: str, pin: StreamPin, numbers: Mapping[int, int]) -> _Stream:
    runs = ((number, list(run)) for (number, _), run in groupby(pin.hot, key=lambda h: (numbers.get(id(h.data), 0), h.data.schema)))
    return _Stream(
        key=key,
        schema=pin.schema,
        versions=tuple(pin.versions.values()),
        identity=pin.identity,
        hot=tuple(_pack_run(out, run, number) for number, run in runs),
        files=pin.files,
        spans=pin.spans,
        lost=pin.lost,
        deletions=pin.deletions,
        skipped=pin.skipped,
        latest=None if pin.latest is None else _pack_table(out, pin.latest),
        route=pin.route,
    )


def _pack_run(out: Any, run: Sequence[HotRows], number: int) -> _Run:
    firsts, sizes = tuple(rows.first for rows in run), tuple(rows.bytes for rows in run)
    if number:
        return _Run(0, 0, firsts, sizes, number)
    offset = _aligned(out)
    with pa.ipc.new_stream(out, run[0].data.schema) as writer:
        for rows in run:
            writer.write_batch(rows.data)
    return _Run(offset, int(out.tell()) - offset, firsts, sizes)


def _stream(data: pa.RecordBatch) -> bytes:
    """Rows as an Arrow stream of their own."""
    out = pa.BufferOutputStream()
    with pa.ipc.new_stream(out, data.schema) as writer:
        writer.write_batch(data)
    found: bytes = out.getvalue().to_pybytes()
    return found


def _pack_table(out: Any, table: pa.Table) -> _Blob:
    offset = _aligned(out)
    with pa.ipc.new_stream(out, table.schema) as writer:
        writer.write_table(table)
    return _Blob(offset, int(out.tell()) - offset)


def _aligned(out: Any) -> int:
    """The next place at which a stream's buffers are aligned as they were made."""
    out.write(bytes(-int(out.tell()) % _ALIGNMENT))
    return int(out.tell())


def _unpack_stream(whole: pa.Buffer, stream: _Stream, chunks: Mapping[int, pa.RecordBatch]) -> StreamPin:
    return StreamPin(
        schema=stream.schema,
        versions={s.version: s for s in stream.versions},
        identity=stream.identity,
        hot=tuple(rows for run in stream.hot for rows in _unpack_run(whole, run, chunks)),
        files=stream.files,
        spans=stream.spans,
        lost=stream.lost,
        deletions=stream.deletions,
        skipped=stream.skipped,
        latest=None if stream.latest is None else _unpack_table(whole, stream.latest),
        route=stream.route,
    )


def _unpack_run(whole: pa.Buffer, run: _Run, chunks: Mapping[int, pa.RecordBatch]) -> Iterator[HotRows]:
    if run.number:
        yield from (HotRows(first, chunks[run.number], size) for first, size in zip(run.firsts, run.bytes, strict=True))
        return
    with pa.ipc.open_stream(whole.slice(run.offset, run.size)) as reader:
        for first, size, batch in zip(run.firsts, run.bytes, reader, strict=True):
            yield HotRows(first, batch, size)


def _unpack_table(whole: pa.Buffer, blob: _Blob) -> pa.Table:
    with pa.ipc.open_stream(whole.slice(blob.offset, blob.size)) as reader:
        return reader.read_all()
