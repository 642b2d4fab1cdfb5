from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.hot.stream.windows.table import Mode, PaneTable
from tests.examples import examples
from tests.hot.stream.windows.cases import EVERY, any_order, assert_same_values, columns, cuts, in_order, of_sql, taken
from tests.hot.stream.windows.reference import Point, Record, seen, watermarks
from tests.hot.stream.windows.test_table import LATENESS, MODES, PANE_US, all_seen, new_table


def loaded(table: PaneTable, records: Sequence[Record], lateness_us: int, at: Sequence[int] = ()) -> None:
    """Gives records to ``load`` in rounds."""
    before = watermarks(records, lateness_us)
    for start, stop in zip([0, *at], [*at, len(records)], strict=True):
        if stop > start:
            watermark = np.array(before[start:stop], np.int64)
            table.load(**columns(records[start:stop]), watermark=watermark, watermark_us=int(watermark[-1]))


@given(records=in_order(), mode=MODES, lateness_us=LATENESS, split=st.integers(1, 39), chunks=cuts())
@settings(max_examples=examples(80), deadline=None)
def test_a_table_that_was_loaded_goes_on_like_one_that_ran_all_the_time(
    records: list[Record], mode: tuple[Mode, int], lateness_us: int, split: int, chunks: list[int]
) -> None:
    split = min(split, len(records))
    ran, restarted = new_table(*mode, lateness_us), new_table(*mode, lateness_us)
    whole = taken(ran, records, [split], lateness_us)
    loaded(restarted, records[:split], lateness_us, [c for c in chunks if c < split])
    rest = taken(restarted, records, [], lateness_us, first=split) if 0 < split < len(records) else []
    assert all_seen([part for part in whole if part[0] >= split] if split else []) == all_seen(rest)
    ids = np.arange(3)
    assert seen(restarted.current(ids)) == seen(ran.current(ids))
    assert seen(restarted.history(ids, -100, 1_000)) == seen(ran.history(ids, -100, 1_000))
    far = (records[-1].ts if records else 0) + 10_000
    assert seen(restarted.advance(far)) == seen(ran.advance(far))
    assert restarted.watermark_us == ran.watermark_us


def window(records: Sequence[Record], key: int, pane: int, panes: int) -> tuple[Record, ...]:
    """The records of a window, in the order in which sequences were given."""
    return tuple(r for r in records if r.key == key and pane - panes < r.ts // PANE_US <= pane)


def in_order_places(records: Sequence[Record]) -> list[bool]:
    """Whether each is not older than the newest of its key before it."""
    newest: dict[int, int] = {}
    out = []
    for record in records:
        out.append(record.ts >= newest.get(record.key, record.ts))
        newest[record.key] = max(newest.get(record.key, record.ts), record.ts)
    return out


def give(table: PaneTable, records: Sequence[Record], lateness_us: int) -> None:
    """In-order records through ``take``, late ones through ``replace``, one by one."""
    before = watermarks(records, lateness_us)
    for place, timely in enumerate(in_order_places(records)):
        record = records[place]
        if timely:
            watermark = np.array(before[place : place + 1], np.int64)
            table.take(**columns([record]), watermark=watermark, watermark_us=before[place])
            continue
        pane = record.ts // PANE_US
        same = [r for r in records[: place + 1] if r.key == record.key and r.ts // PANE_US == pane]
        table.replace(np.array([record.key]), pane, pane, **columns(same))


@given(records=any_order(), mode=MODES, lateness_us=LATENESS)
@settings(max_examples=examples(80), deadline=None)
def test_windows_of_records_in_any_order_are_those_of_duckdb(records: list[Record], mode: tuple[Mode, int], lateness_us: int) -> None:
    panes = mode[1]
    table = PaneTable(
        pane_us=PANE_US, panes=panes, aggregates=EVERY, mode=mode[0], lateness_panes=40, lateness_us=lateness_us, values_max=1_000
    )
    give(table, records, lateness_us)
    keys = sorted({r.key for r in records})
    found = table.history(np.array(keys, np.int64), 0, 30)
    points = [
        Point(int(key), 0, int(at_us), -1, window(records, int(key), int(at_us) // PANE_US - 1, panes))
        for key, at_us in zip(found.key, found.at_us, strict=True)
    ]
    if points:
        assert_same_values(found, of_sql(points), records)
    have = {(p.key, p.at_us // PANE_US - 1) for p in points}
    assert have >= {(r.key, r.ts // PANE_US) for r in records}


@given(records=any_order(), mode=MODES, lateness_us=LATENESS, at=cuts())
@settings(max_examples=examples(80), deadline=None)
def test_late_records_that_are_loaded_leave_what_replacing_their_panes_does(
    records: list[Record], mode: tuple[Mode, int], lateness_us: int, at: list[int]
) -> None:
    replaced, put_in = (
        PaneTable(pane_us=PANE_US, panes=mode[1], aggregates=EVERY, mode=mode[0], lateness_panes=40, lateness_us=lateness_us)
        for _ in range(2)
    )
    give(replaced, records, lateness_us)
    loaded(put_in, records, lateness_us, [c for c in at if c < len(records)])
    ids = np.arange(3)
    assert seen(put_in.history(ids, 0, 30)) == seen(replaced.history(ids, 0, 30))
    assert seen(put_in.current(ids)) == seen(replaced.current(ids))
    assert seen(put_in.advance(10_000)) == seen(replaced.advance(10_000))


@given(records=any_order(), later=in_order(most=10))
@settings(max_examples=examples(80), deadline=None)
def test_a_table_goes_on_from_replaced_panes(records: list[Record], later: list[Record]) -> None:
    shift = 1 + max((r.ts for r in records), default=0) + 400
    later = [replace(r, ts=r.ts + shift, seq=r.seq + len(records)) for r in later]
    one, other = new_table(Mode.SLIDING, 60), new_table(Mode.SLIDING, 60)
    give(one, records, 5)
    loaded(other, records, 5)
    whole = [*records, *later]
    if later:
        at = len(records)
        assert all_seen(taken(one, whole, [], 5, first=at)) == all_seen(taken(other, whole, [], 5, first=at)) if at else True


def test_panes_can_be_emptied() -> None:
    table = new_table(Mode.SLIDING, 3)
    records = [Record(0, 5, 1.0, seq=0), Record(0, 15, 2.0, seq=1), Record(0, 25, 3.0, seq=2)]
    taken(table, records, [], 0)
    table.replace(np.array([0]), 1, 2, **columns([]))
    assert seen(table.current(np.array([0])))[0][4:7] == (1, 1, (1.0).hex())
    table.replace(np.array([0]), 0, 0, **columns([]))
    assert seen(table.current(np.array([0])))[0][4:7] == (0, 0, None)
    assert len(table.advance(10_000)) == 0


def test_rows_older_than_what_is_kept_are_left_out() -> None:
    table = new_table(Mode.SLIDING, 3)
    taken(table, [Record(0, 1_000, 1.0, seq=0)], [], 0)
    table.replace(np.array([0]), 1, 1, **columns([Record(0, 15, 2.0, seq=1)]))
    assert len(table.history(np.array([0]), 0, 50)) == 0
    assert seen(table.current(np.array([0])))[0][4] == 1


def test_history_tells_only_of_windows_that_are_whole() -> None:
    table = PaneTable(pane_us=PANE_US, panes=3, aggregates=EVERY, lateness_panes=2)
    taken(table, [Record(0, t, 1.0, seq=t) for t in range(0, 200, 10)], [], 0)
    assert (table.history(np.array([0]), 0, 100).at_us // PANE_US - 1).tolist() == [17, 18, 19]


@pytest.mark.parametrize("ids", [[], [7]])
def test_keys_that_never_came_have_no_past_and_an_empty_present(ids: list[int]) -> None:
    table = new_table(Mode.SLIDING, 3)
    assert len(table.history(np.array(ids, np.int64), 0, 10)) == 0
    assert [p[4] for p in seen(table.current(np.array(ids, np.int64)))] == [0] * len(ids)
