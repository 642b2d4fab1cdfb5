"""What decides is a table: headers of batches, which segments are due, what a roll may take."""

from __future__ import annotations

from pathlib import Path

import pytest

from appliance.batching.looks import DUE_US, parts_of, segments_due
from appliance.errors import StoreDamaged
from appliance.hot.batches import Header
from appliance.manifest import Segment
from appliance.reconcile.headers import Line, judge
from tests.reconcile.world import STREAM, World


def header(first: int, last: int, *, id_: int = 0, at: int = 0) -> Header:
    return Header(id_ or first, first, last, 0, 0, 1, 1, at, 0, 10, None)


def line(*batches: Header, mark: int = 10, last: int = 30, reach: int = 10, **more: int) -> Line:
    return Line(mark=mark, last_seq=last, committed_us=0, reach=reach, has_deletions=False, batches=batches, **more)


WHOLE = (header(11, 20), header(21, 30))


@pytest.mark.parametrize(
    ("stored", "wanted"),
    [
        (line(*WHOLE), []),
        (line(header(5, 20), header(21, 30)), []),
        (line(header(21, 30)), [("rows missing", 11, 20)]),
        (line(header(11, 20)), [("last sequence false", 20, 30)]),
        (line(header(11, 20), known_mark=10, known_last=30), [("rows missing", 21, 30)]),
        (line(header(11, 14), header(17, 30)), [("rows missing", 15, 16)]),
        (line(header(11, 20), header(11, 20, id_=9), header(21, 30)), [("rows twice", 11, 20)]),
        (line(header(11, 20), header(18, 30)), [("rows twice", 18, 20)]),
        (line(header(1, 9), *WHOLE), [("rows twice", 1, 9)]),
        (line(*WHOLE, mark=25), [("mark false", 10, 25)]),
        (line(*WHOLE, mark=4), [("mark false", 4, 10)]),
        (line(*WHOLE, mark=4, known_mark=10, known_last=30), [("mark false", 4, 10)]),
        (line(*WHOLE, reach=14), []),
        (line(*WHOLE, last=40), [("last sequence false", 30, 40)]),
        (line(*WHOLE, last=25), [("last sequence false", 25, 30)]),
        (line(mark=10, last=10), []),
    ],
)
def test_headers_are_judged_by_mark_and_last_sequence(stored: Line, wanted: list[tuple[str, int, int]]) -> None:
    assert [(t.kind, t.first, t.last) for t in judge(stored)] == wanted


def segment(number: int, size: int = 10) -> Segment:
    return Segment(number, "s", 0, f"p{number}", 1, 2, 2, 0, 1, size, f"h{number}", 1, 0)


def test_what_was_never_looked_at_or_has_waited_is_due_first_and_the_rest_is_spread() -> None:
    now = 100 * DUE_US
    some = [segment(n) for n in range(1, 11)]
    looked = {n: (f"h{n}", now - n * DUE_US // 20) for n in range(1, 10)} | {10: ("another hash", now)}
    due = segments_due(some, looked, now_us=now, every_s=DUE_US / 1e6 / 4)
    assert [s.id for s in due] == [10, 9, 8]
    assert [s.id for s in segments_due(some, {}, now_us=now, every_s=60.0)] == list(range(1, 11))
    assert segments_due([], {}, now_us=now, every_s=60.0) == []


def test_parts_hold_at_least_one_segment_and_at_most_so_many_bytes() -> None:
    assert [len(p) for p in parts_of([segment(n, size) for n, size in enumerate([50, 200, 40, 40, 40])], bytes_max=100)] == [1, 1, 2, 1]


def test_a_roll_takes_no_rows_across_a_gap_and_none_that_memory_could_fill(tmp_path: Path) -> None:
    world = World(tmp_path / "box")
    ids = [batch_id for batch_id, _, _ in world.batches()]
    with world.sql() as db:
        db.execute("DELETE FROM batch WHERE id = ?", (ids[1],))
    world.roll()
    assert world.box.state.streams[STREAM].mark == 100, "up to the gap"
    with pytest.raises(StoreDamaged, match="records 101 to 120 of stream 'readings' are in memory and not in the hot store"):
        world.roll()
    world.restart()
    world.roll()
    state = world.box.state.streams[STREAM]
    assert (state.mark, state.cold_rows) == (160, 140), "nothing can fill it any more: it is passed over"
    assert [f.kind for f in world.look()] == []
    world.close()
