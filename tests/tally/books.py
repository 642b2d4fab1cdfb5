"""What the books of a data folder say against what lies in it: batch by batch, file by file, and day by day."""

from __future__ import annotations

from pathlib import Path

from appliance.cold.segments import read_tallies
from appliance.hot.reader import HotReader
from appliance.hot.state import StreamState
from appliance.tally import Tally, joined, tally_by_day

Held = dict[str, dict[int, Tally]]
"""Path -> what the file holds; segments never change, so they are read once."""


def check_books(folder: Path, held: Held | None = None) -> int:
    """Asserts that they agree, on a folder where everything is known and no file is lost; how many days of the lake there are."""
    held, days = {} if held is None else held, 0
    reader = HotReader(folder)
    try:
        with reader.pinned():
            for stream in reader.load_state().streams.values():
                days += _check(reader, stream, folder, held)
    finally:
        reader.close()
    return days


def _check(reader: HotReader, stream: StreamState, folder: Path, held: Held) -> int:
    chunks = list(reader.iterate(stream, after_seq=stream.mark))
    books, batches = reader.tallies(stream.id), reader.batch_tallies(stream.id)
    for segment in stream.segments:
        if segment.path not in held:
            held[segment.path] = read_tallies(folder / segment.path)
        assert segment.tallies == held[segment.path], segment.describe()
    assert books == joined(held[s.path] for s in stream.segments), f"the lake of {stream.name}"
    assert reader.hot_tallies(stream) == joined(tally_by_day(c.data, c.first) for c in chunks), f"the hot rows of {stream.name}"
    assert [(b.first, b.last) for b in batches][1:] == [(c.first, c.last) for c in chunks][1:]
    for batch, chunk in list(zip(batches, chunks, strict=True))[1:]:  # the mark may lie within the first
        assert batch.tallies == tally_by_day(chunk.data, chunk.first), f"the batch from {chunk.first} on of {stream.name}"
    return len(books)
