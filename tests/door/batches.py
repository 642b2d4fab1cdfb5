"""Batches, submissions and boxes for tests, said in a line each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

import pyarrow as pa

from appliance.box import Box
from appliance.clock import US_PER_S, Clock
from appliance.config import Config, load_config
from appliance.records import TAG_TYPE, TS_TYPE, Batch, FileProgress, Format, Receipt, Reject, Submission
from tests.clock import NOON_US

FOR_TESTS = '[limits]\ndisk_free_min = 1\n[hot]\ncommit_every = "1ms"\n'
"""Tests run on whatever disk there is, and don't wait for others."""


@dataclass(frozen=True, slots=True)
class Lines:
    """An origin whose raw bytes name the row."""

    first: int = 1

    def raw(self, row: int) -> bytes:
        return f"raw {row}".encode()

    def line(self, row: int) -> int:
        return self.first + row


def at(second: float) -> int:
    """Event time: so many seconds after noon."""
    return NOON_US + int(second * US_PER_S)


def batch(stream: str, ts: Sequence[int | None], /, *, tags: Mapping[str, Sequence[str | None]] | None = None, **fields: Any) -> Batch:
    """``ts`` in microseconds; fields as lists, or as Arrow arrays where the type matters."""
    named = {**{k: pa.array(v, pa.string()).dictionary_encode() for k, v in (tags or {}).items()}}
    named = {k: v.cast(TAG_TYPE) for k, v in named.items()}
    named.update({k: v if isinstance(v, pa.Array) else pa.array(v) for k, v in fields.items()})
    data = pa.RecordBatch.from_arrays([pa.array(ts, TS_TYPE), *named.values()], names=["ts", *named])
    return Batch(stream, tuple(tags or ()), data, Lines())


def submission(
    *batches: Batch,
    source: str = "http",
    format_: Format = Format.LP,
    rejects: tuple[Reject, ...] = (),
    progress: FileProgress | None = None,
    all_or_nothing: bool = False,
    replay_of: tuple[int, ...] = (),
) -> Submission:
    return Submission(source, format_, batches, rejects, progress, all_or_nothing, replay_of)


def config(folder: Path, text: str = "") -> Config:
    """``text`` is TOML; without any, ``FOR_TESTS``."""
    with NamedTemporaryFile("w", suffix=".toml") as file:
        file.write(text or FOR_TESTS)
        file.flush()
        return load_config(data_dir=folder, file=Path(file.name))


def open_box(folder: Path, text: str = "", *, clock: Clock | None = None, **more: Any) -> Box:
    """A started box; the caller closes it."""
    box = Box(config(folder, text), clock=clock, **more)
    box.start()
    return box


def send(box: Box, *batches: Batch, **more: Any) -> Receipt:
    """Submits and waits for the receipt."""
    return box.door.submit_blocking(submission(*batches, **more), 30)


def rows_of(box: Box, stream: str) -> list[dict[str, Any]]:
    """Every hot row of a stream, out of SQLite, with its sequence."""
    reader = box.reader()
    try:
        state = reader.load_state().streams[stream.lower()]
        found = []
        for chunk in reader.rows(state, after_seq=0, before_seq=2**62):
            for i, row in enumerate(chunk.data.to_pylist()):
                found.append({**row, "_seq": chunk.first + i})
        return found
    finally:
        reader.close()


def ring_rows(box: Box, stream: str) -> list[dict[str, Any]]:
    """Every row of a stream that the ring holds, with its sequence."""
    found = []
    for chunk in box.state.streams[stream.lower()].ring:
        assert chunk.data.num_rows == chunk.rows
        for i, row in enumerate(chunk.data.to_pylist()):
            found.append({**row, "_seq": chunk.first + i})
    return found
