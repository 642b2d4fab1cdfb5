"""Hot rows that stay with a worker: whatever is committed, rolled, deleted and asked in between, each answer is that of the flat list."""

from __future__ import annotations

import gc
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.hot.state import Chunk, State, StreamState
from appliance.manifest import Deletion
from appliance.serving.chunks import CHUNK_BYTES, Cuts, Held
from appliance.serving.snapshot import Snapshot, Wanted
from appliance.serving.source import pin_stream
from appliance.serving.transfer import given as given_along
from appliance.serving.transfer import take_in, unpack_given
from tests.serving.queries_of import ask, opened
from tests.serving.world import VERSIONS, World, at, rows_of

ROWS = 70
BYTES_MAX = 5 * CHUNK_BYTES
COLUMNS = (None, (), ("device",), ("value",), ("device", "value"))


def stream_of(chunks: list[Chunk], mark: int) -> StreamState:
    return StreamState(
        id=1, schema=VERSIONS[1], schemas=VERSIONS, identity=None, folder="r", mark=mark, last_seq=chunks[-1].last, ring=tuple(chunks)
    )


def chunk_of(first: int, rows: int) -> Chunk:
    data = rows_of(VERSIONS[1], [{"ts": at(n), "device": f"d{n % 3}", "value": n} for n in range(first, first + rows)])
    return Chunk(first, first + rows - 1, data, at(first), at(first + rows - 1), data.nbytes, 1)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("commit"), st.integers(1, 2 * ROWS)),
        st.tuples(st.just("join"), st.just(0)),
        st.tuples(st.just("roll"), st.integers(1, 3 * ROWS)),
        st.tuples(st.just("ask"), st.integers(0, len(COLUMNS) - 1)),
    ),
    max_size=30,
)


@settings(max_examples=60, deadline=None)
@given(steps=STEPS)
def test_a_worker_has_just_what_it_is_taken_to_have_and_sees_the_rows_as_they_are(steps: list[tuple[str, int]]) -> None:
    chunks, mark = [chunk_of(1, ROWS)], 0
    cuts, held, worker = Cuts(), Held(bytes_max=BYTES_MAX), dict[int, pa.RecordBatch]()
    for what, number in [*steps, ("ask", 0)]:
        if what == "commit":
            chunks.append(chunk_of(chunks[-1].last + 1, number))
        elif what == "join" and len(chunks) > 1:
            older, newer = chunks[-2:]
            chunks[-2:] = [chunk_of(older.first, older.rows + newer.rows)]
        elif what == "roll":
            mark = min(max(mark, chunks[0].first - 1 + number), chunks[-1].last - 1)
            chunks = [c for c in chunks if c.last > mark]
        elif what == "ask":
            pin = pin_stream(stream_of(chunks, mark), Wanted(stream="r", columns=COLUMNS[number]), None, bytes_max=1 << 30, cuts=cuts)
            message = given_along((), Snapshot({"r": pin}), held)
            take_in(worker, message)
            (found,) = unpack_given(message, worker).streams.values()
            assert [(h.first, h.bytes) for h in found.hot] == [(h.first, h.bytes) for h in pin.hot]
            assert [h.data.to_pylist() for h in found.hot] == [h.data.to_pylist() for h in pin.hot]
            assert pin.hot_rows == chunks[-1].last - mark
            assert len(worker) == len(held) <= max(5, len(pin.hot))
            needed = sum(h.bytes for h in pin.hot)
            assert sum(batch.nbytes for batch in worker.values()) <= max(BYTES_MAX, needed) * 2  # a stream pads its buffers


def test_what_was_handed_over_is_only_named_the_next_time() -> None:
    chunks, cuts, held, worker = [chunk_of(1, ROWS), chunk_of(ROWS + 1, ROWS)], Cuts(), Held(), dict[int, pa.RecordBatch]()
    for columns, added in ((("value",), 2), (("value",), 0), (("device",), 2), (("value",), 0)):
        pin = pin_stream(stream_of(chunks, 0), Wanted(stream="r", columns=columns), None, bytes_max=1 << 30, cuts=cuts)
        message = given_along((), Snapshot({"r": pin}), held)
        take_in(worker, message)
        assert (len(message.new), message.gone) == (added, ())


def test_a_cut_does_not_outlive_its_chunk() -> None:
    cuts, data = Cuts(), chunk_of(1, ROWS).data
    assert cuts.cut(data, frozenset({"value"}))[0] is cuts.cut(data, frozenset({"value"}))[0]
    assert len(cuts) == 1
    del data
    gc.collect()
    assert len(cuts) == 0


def deletion(number: int, low: int, high: int, device: str, *, up_to: int) -> Deletion:
    return Deletion(number, "readings", low, high, {"device": device}, up_to_seq=up_to)


def hides(deletion: Deletion, row: dict[str, Any]) -> bool:
    assert deletion.since_us is not None
    assert deletion.until_us is not None
    is_within = deletion.since_us <= row["ts"] < deletion.until_us and row["_seq"] <= deletion.up_to_seq
    return is_within and bool(row["device"] == deletion.matching["device"])


async def test_questions_between_commits_rolls_and_deletions_are_answered_like_the_flat_list(tmp_path: Path) -> None:
    rng, world, deletions = random.Random(7), World(tmp_path, "own", identity=None), list[Deletion]()
    (tmp_path / "lake").mkdir()

    def state() -> State:
        (stream,) = world.state().streams.values()
        return State({"readings": replace(stream, deletions=tuple(deletions))}, 1)

    def flat(device: str, since: int) -> list[dict[str, Any]]:
        shown = [r for r in world.rows if r["device"] == device and r["ts"] >= since and not any(hides(d, r) for d in deletions)]
        return [{"n": len(shown), "total": sum(r["value"] for r in shown) if shown else None}]

    async with opened(world, state=state) as queries:
        for turn in range(60):
            now = len(world.rows)
            step = rng.choice(("commit", "commit", "commit", "roll", "delete", "nothing"))
            if step == "commit" or not now:
                count = rng.choice((1, 5, ROWS, 3 * ROWS))
                world.commit([{"ts": at(now + n), "device": f"d{n % 3}", "value": float(now + n)} for n in range(count)])
            elif step == "roll":
                world.roll(rng.randrange(world.mark, now + 1))
            elif step == "delete":
                low = rng.randrange(now)
                deletions.append(deletion(len(deletions) + 1, at(low), at(low + 20), f"d{rng.randrange(3)}", up_to=now))
            device, since = f"d{rng.randrange(3)}", at(rng.randrange(len(world.rows)))
            sql = f"SELECT count(*) AS n, sum(value) AS total FROM readings WHERE device = '{device}' AND ts >= make_timestamp({since})"
            assert await ask(queries, sql, id_=f"q{turn}") == flat(device, since), (turn, step)
