"""Each kind of divergence among records that is put in from outside is found, named, and mended to what the undisturbed twin has."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple
from zlib import crc32

import numpy as np
import pyarrow as pa
import pytest

from appliance.hot.batches import body, headers
from appliance.hot.encoding import encode
from appliance.hot.reader import HotReader
from appliance.hot.state import Chunk
from tests.reconcile.rewriting import rewrite_file
from tests.reconcile.world import STREAM, World, flip_a_value

Injection = Callable[[World], None]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    world = World(tmp_path_factory.mktemp("twin") / "box")
    yield world.holds()
    world.close()


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path / "box")
    yield made
    made.close()


def run(world: World, sql: str, *parameters: object) -> None:
    with world.sql() as db:
        db.execute(sql, parameters)


def delete_batch(which: int) -> Injection:
    return lambda w: run(w, "DELETE FROM batch WHERE id = ?", w.batches()[which][0])


COPIED = "stream_id, {first}, {last}, ts_min, ts_max, schema_version, encoding, boot, uptime_us, committed_us, crc32, tally, body"
INTO = COPIED.format(first="first", last="last")


def double_batch(w: World) -> None:
    run(w, f"INSERT INTO batch ({INTO}) SELECT {INTO} FROM batch WHERE id = ?", w.batches()[1][0])


def overlap(w: World) -> None:
    """A batch again, as if it began five sequences later."""
    shifted = COPIED.format(first="first + 5", last="last + 5")
    run(w, f"INSERT INTO batch ({INTO}) SELECT {shifted} FROM batch WHERE id = ?", w.batches()[1][0])


def flip_body(w: World) -> None:
    with w.sql() as db:
        batch_id = w.batches()[2][0]
        data = bytearray(db.execute("SELECT body FROM batch WHERE id = ?", (batch_id,)).fetchone()[0])
        data[len(data) // 2] ^= 4
        db.execute("UPDATE batch SET body = ? WHERE id = ?", (bytes(data), batch_id))


def change_row(w: World) -> None:
    """One value is another; the checksum of the body is right."""
    with w.sql() as db:
        reader = HotReader(w.folder)
        state = reader.load_state().streams[STREAM]
        header = headers(reader, state.id)[1]
        data = body(reader, state, header).data
        reader.close()
        assert data is not None
        at = data.schema.get_field_index("value")
        values = data.column(at).to_pylist()
        values[3] = 4711.0
        encoding, message = encode(state.schemas[header.schema_version], data.set_column(at, data.schema.field(at), pa.array(values)))
        stored = bytes(memoryview(message))
        db.execute("UPDATE batch SET body = ?, crc32 = ?, encoding = ? WHERE id = ?", (stored, crc32(stored), encoding, header.id))


def header(column: str, by: int) -> Injection:
    return lambda w: run(w, f"UPDATE batch SET {column} = {column} + ? WHERE id = ?", by, w.batches()[1][0])


def stream(column: str, by: int) -> Injection:
    return lambda w: run(w, f"UPDATE stream SET {column} = {column} + ?", by)


def ring_differs(w: World) -> None:
    """A bit of memory has fallen over."""
    state = w.box.state.streams[STREAM]
    [chunk] = [c for c in state.ring if c.last == state.last_seq]
    at = chunk.data.schema.get_field_index("value")
    buffer = chunk.data.column(at).buffers()[1]
    memory = np.frombuffer(buffer, np.uint8).view()
    where = memory.__array_interface__["data"][0] + len(memory) - 24
    import ctypes

    ctypes.memset(where, 65, 1)


def ring_lacks(w: World) -> None:
    """The newest part of the ring is gone."""

    def cut(committer: Any) -> None:
        stream_id = committer.books[STREAM].id
        *kept, last = committer.ring.chunks(stream_id)
        rows = last.rows - 7
        part = Chunk(
            last.first, last.first + rows - 1, last.data.slice(0, rows), last.ts_min, last.ts_max, last.nbytes, last.schema_version
        )
        committer.ring._chunks[stream_id] = (*kept, part)
        committer.note_change(STREAM)

    w.box.writer.call(cut).result()


def file_of(w: World, which: int) -> Path:
    return w.folder / w.segments()[which][1]


def remove_segment(w: World) -> None:
    file_of(w, 1).unlink()


def truncate(w: World) -> None:
    path = file_of(w, 1)
    path.write_bytes(path.read_bytes()[:-40])


def flip_segment(w: World) -> None:
    flip_a_value(file_of(w, 2))


def spoil_footer(w: World) -> None:
    """A bit where no record is: in what the file says of its writer."""
    path = file_of(w, 2)
    data = bytearray(path.read_bytes())
    data[data.rindex(b"parquet-cpp")] ^= 1
    path.write_bytes(bytes(data))


def rewrite(w: World, which: int, change: Callable[[pa.Table], pa.Table], *, fitted: bool) -> None:
    """A valid file in place of a segment; ``fitted``: with the manifest's hash and size made to fit."""
    segment_id, path = w.segments()[which]
    digest, size, rows = rewrite_file(w.folder / path, change)
    if fitted:
        run(w, "UPDATE segment SET sha256 = ?, bytes = ?, rows = ? WHERE id = ?", digest, size, rows, segment_id)


def one_changed(table: pa.Table) -> pa.Table:
    at = table.schema.get_field_index("value")
    values = table.column(at).to_pylist()
    values[1] = -1.0
    return table.set_column(at, table.schema.field(at), pa.array(values))


def one_missing(table: pa.Table) -> pa.Table:
    return pa.concat_tables([table.slice(0, 4), table.slice(5)])


def one_twice(table: pa.Table) -> pa.Table:
    return pa.concat_tables([table.slice(0, 5), table.slice(4)])


def replaced(change: Callable[[pa.Table], pa.Table], *, fitted: bool) -> Injection:
    return lambda w: rewrite(w, 0, change, fitted=fitted)


def foreign(w: World) -> None:
    """A copy of a segment under another name."""
    place = file_of(w, 0)
    shutil.copy(place, place.with_name("0000000000000000900-0000000000000000910.parquet"))


def foreign_text(w: World) -> None:
    (file_of(w, 0).parent / "notes.txt").write_text("left here by somebody")


def forget_segment(w: World) -> None:
    """The manifest forgets a file, in memory too, as after a restart."""
    run(w, "DELETE FROM segment WHERE id = ?", w.segments()[2][0])
    w.restart()


def fact(column: str, by: int) -> Injection:
    return lambda w: run(w, f"UPDATE segment SET {column} = {column} + ? WHERE id = ?", by, w.segments()[1][0])


def false_hash(w: World) -> None:
    run(w, "UPDATE segment SET sha256 = ? WHERE id = ?", "0" * 64, w.segments()[1][0])


def twice_in_the_manifest(w: World) -> None:
    """A copy of a file is in the manifest as well: its sequences are in two live files."""
    segment_id, path = w.segments()[0]
    other = path.replace(".parquet", "-g7.parquet")
    shutil.copy(w.folder / path, w.folder / other)
    columns = "stream_id, day, first, last, rows, ts_min, ts_max, bytes, sha256, schema_version, level, days, purged, tallies, created_us"
    run(w, f"INSERT INTO segment (path, {columns}) SELECT ?, {columns} FROM segment WHERE id = ?", other, segment_id)
    w.restart()


def books_differ(w: World) -> None:
    run(w, "UPDATE tally SET rows = rows + 3, sum = sum + 12345")


class Case(NamedTuple):
    """What is put in, which kinds are found, whether all is mended, whether it is the very same then."""

    inject: Injection
    kinds: tuple[str, ...]
    mended: bool = True
    as_twin: bool = True
    """Whether the files are those of the twin too; their records always are."""


CASES: dict[str, Case] = {
    "a batch deleted in the middle": Case(delete_batch(1), ("rows missing",)),
    "a batch deleted at the mark": Case(delete_batch(0), ("rows missing",)),
    "a batch deleted at the end": Case(delete_batch(-1), ("rows missing",)),
    "a batch there twice": Case(double_batch, ("rows twice",)),
    "an overlapping batch": Case(overlap, ("rows changed", "rows twice")),
    "a flipped bit in a body": Case(flip_body, ("batch damaged",)),
    "a changed row with the right checksum": Case(change_row, ("rows changed",)),
    "a header that ends too late": Case(header("last", 3), ("header false",)),
    "a header that begins too early": Case(header("first", -2), ("header false",)),
    "a header with a false earliest time": Case(header("ts_min", 1_000_000), ("header false",)),
    "a header with a false latest time": Case(header("ts_max", -1_000_000), ("header false",)),
    "the mark too high": Case(stream("mark", 15), ("mark false",)),
    "the mark too low": Case(stream("mark", -15), ("mark false",)),
    "the last sequence too high": Case(stream("last_seq", 9), ("last sequence false",)),
    "the last sequence too low": Case(stream("last_seq", -9), ("last sequence false",)),
    "a flipped bit in the ring": Case(ring_differs, ("ring differs",)),
    "a ring that lacks rows": Case(ring_lacks, ("ring incomplete",)),
    "a segment deleted": Case(remove_segment, ("segment missing",), mended=False),
    "a segment cut off": Case(truncate, ("segment damaged",), mended=False),
    "a flipped bit in a segment": Case(flip_segment, ("segment damaged",), mended=False),
    "a flipped bit beside the records of a segment": Case(spoil_footer, ("segment damaged",), as_twin=False),
    "a segment with one row changed": Case(replaced(one_changed, fitted=False), ("segment damaged",), mended=False),
    "one row changed, the hash made to fit": Case(replaced(one_changed, fitted=True), ("segment rows changed",), mended=False),
    "one row missing, the hash made to fit": Case(replaced(one_missing, fitted=True), ("segment lacks rows",), mended=False),
    "one row twice, the hash made to fit": Case(replaced(one_twice, fitted=True), ("segment has rows twice",), mended=False),
    "a foreign copy in the lake": Case(foreign, ("file foreign",)),
    "a foreign text in the lake": Case(foreign_text, ("file foreign",)),
    "a segment that the manifest forgot": Case(forget_segment, ("segment not in the manifest",)),
    "false rows in the manifest": Case(fact("rows", 5), ("manifest false",)),
    "false first sequence in the manifest": Case(fact("first", -3), ("manifest false",)),
    "false last sequence in the manifest": Case(fact("last", -3), ("manifest false",)),
    "false earliest time in the manifest": Case(fact("ts_min", 5_000_000), ("manifest false",)),
    "false latest time in the manifest": Case(fact("ts_max", -5_000_000), ("manifest false",)),
    "false size in the manifest": Case(fact("bytes", 1), ("manifest false",)),
    "a false hash in the manifest": Case(false_hash, ("manifest false",)),
    "a file twice in the manifest": Case(twice_in_the_manifest, ("segment twice",)),
    "books that nothing agrees with": Case(books_differ, ("books differ",), mended=False),
}


@pytest.mark.parametrize("name", CASES)
def test_it_is_found_named_and_mended_like_the_undisturbed_twin(name: str, world: World, undisturbed: dict[str, Any]) -> None:
    case = CASES[name]
    assert world.found_by_turns() == [], "nothing is wrong before"
    case.inject(world)
    seen = world.found_by_turns()
    assert sorted({f.kind for f in seen}) == sorted(set(case.kinds)), seen
    found = world.look("full")
    assert sorted({f.kind for f in found}) == sorted(set(case.kinds))
    if not case.mended:
        return
    done = world.mend(found)
    assert [r.did for r in done if r.state != "repaired"] == []
    assert [f.what for f in world.look("full")] == []
    holds, wanted = world.holds(), dict(undisturbed)
    if not case.as_twin:
        holds["segments"] = wanted["segments"] = holds["of memory"] = wanted["of memory"] = []
    assert holds == wanted
