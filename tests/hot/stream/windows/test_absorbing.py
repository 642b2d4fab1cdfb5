"""Rows that are only absorbed: whatever is asked later is answered as if each had given its points."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.hot.stream.values import Points
from appliance.hot.stream.windows.aggregates import Function
from appliance.hot.stream.windows.batch import Batch
from appliance.hot.stream.windows.table import Mode, PaneTable
from tests.examples import examples
from tests.hot.stream.windows.cases import EVERY, columns, cuts, in_order, rounds, taken
from tests.hot.stream.windows.reference import Record, seen, watermarks
from tests.hot.stream.windows.test_table import LATENESS, PANE_US, all_seen

KEEPS_NONE = tuple(a for a in EVERY if a.function not in (Function.QUANTILE, Function.DISTINCT))


def table_of(panes: int, lateness_us: int) -> PaneTable:
    return PaneTable(
        pane_us=PANE_US,
        panes=panes,
        aggregates=KEEPS_NONE,
        mode=Mode.SLIDING,
        lateness_panes=2,
        lateness_us=lateness_us,
    )


def mixed(
    table: PaneTable, records: Sequence[Record], at: Sequence[int], absorbed: Sequence[bool], lateness_us: int
) -> list[tuple[int, Points]]:
    """Rounds that are absorbed or taken in turn, and what the latter gave."""
    before = watermarks(records, lateness_us)
    found: list[tuple[int, Points]] = []
    for number, (start, part) in enumerate(rounds(records, at)):
        watermark = np.array(before[start : start + len(part)], np.int64)
        given_ = columns(part)
        if absorbed[number % len(absorbed)]:
            seqs = given_.pop("seqs")
            assert len(seqs) == len(part)
            batch = Batch([given_["ids"]], [given_["ts"]], [watermark])
            table.absorb(batch, [[vector] for vector in given_["vectors"]], watermark_us=int(watermark[-1]))
        else:
            found.append((start, table.take(**given_, watermark=watermark, watermark_us=int(watermark[-1]))))
    return found


@given(
    records=in_order(),
    panes=st.sampled_from([1, 2, 5]),
    lateness_us=LATENESS,
    at=cuts(),
    absorbed=st.lists(st.booleans(), min_size=1, max_size=8),
)
@settings(max_examples=examples(200), deadline=None)
def test_rows_that_were_absorbed_count_in_all_that_is_asked_later(
    records: list[Record], panes: int, lateness_us: int, at: list[int], absorbed: list[bool]
) -> None:
    ran, quiet = table_of(panes, lateness_us), table_of(panes, lateness_us)
    whole = taken(ran, records, at, lateness_us)
    some = mixed(quiet, records, at, absorbed, lateness_us)
    starts = {start for start, _ in some}
    assert all_seen([part for part in whole if part[0] in starts]) == all_seen(some)
    ids = np.arange(3)
    assert seen(quiet.current(ids)) == seen(ran.current(ids))
    assert seen(quiet.history(ids, -100, 1_000)) == seen(ran.history(ids, -100, 1_000))
    assert quiet.watermark_us == ran.watermark_us
    far = (records[-1].ts if records else 0) + 10_000
    assert seen(quiet.advance(far)) == seen(ran.advance(far))


def test_tumbling_windows_and_those_that_keep_values_are_always_looked_at() -> None:
    assert table_of(3, 0).absorbs
    assert not PaneTable(pane_us=PANE_US, panes=3, aggregates=EVERY).absorbs
    assert not PaneTable(pane_us=PANE_US, panes=1, aggregates=KEEPS_NONE, mode=Mode.TUMBLING).absorbs
