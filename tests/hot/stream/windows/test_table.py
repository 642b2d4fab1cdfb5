from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.hot.stream.values import Points
from appliance.hot.stream.windows.table import Mode, PaneTable
from tests.examples import examples
from tests.hot.stream.windows.cases import EVERY, assert_same_values, cuts, in_order, of_sql, taken
from tests.hot.stream.windows.reference import Point, Record, Reference, seen, sorted_points, watermarks

PANE_US = 10
MODES = st.sampled_from([(Mode.SLIDING, 1), (Mode.SLIDING, 3), (Mode.SLIDING, 8), (Mode.TUMBLING, 1)])
LATENESS = st.sampled_from([0, 5, 30])


def new_table(mode: Mode, panes: int, lateness_us: int = 0, values_max: int = 1_000) -> PaneTable:
    lateness_panes = -(-lateness_us // PANE_US) + panes
    return PaneTable(
        pane_us=PANE_US,
        panes=panes,
        aggregates=EVERY,
        mode=mode,
        lateness_panes=lateness_panes,
        lateness_us=lateness_us,
        values_max=values_max,
    )


def expected_points(records: list[Record], mode: Mode, panes: int, lateness_us: int) -> list[Point]:
    reference = Reference(pane_us=PANE_US, panes=panes, tumbling=mode is Mode.TUMBLING, lateness_us=lateness_us)
    for record, watermark in zip(records, watermarks(records, lateness_us), strict=True):
        reference.apply(record, watermark)
    if records:
        reference.pass_time(watermarks(records, lateness_us)[-1])
    return sorted_points(reference.points)


def all_seen(found: list[tuple[int, Points]]) -> list[tuple[object, ...]]:
    return sorted((point for start, points in found for point in seen(points, first_row=start)), key=lambda point: point[0])


@given(records=in_order(), mode=MODES, lateness_us=LATENESS)
@settings(max_examples=examples(100), deadline=None)
def test_points_are_those_of_the_plain_reference_with_the_values_of_duckdb(
    records: list[Record], mode: tuple[Mode, int], lateness_us: int
) -> None:
    expected = expected_points(records, *mode, lateness_us)
    found = taken(new_table(*mode, lateness_us), records, [], lateness_us)
    assert [p[:4] for p in all_seen(found)] == [(p.key, p.row, p.at_us, p.seq) for p in expected]
    if expected:
        assert_same_values(found[0][1], of_sql(expected), records)


@given(records=in_order(), mode=MODES, lateness_us=LATENESS, at=cuts())
@settings(max_examples=examples(100), deadline=None)
def test_other_rounds_give_the_same_points_bit_for_bit(
    records: list[Record], mode: tuple[Mode, int], lateness_us: int, at: list[int]
) -> None:
    whole, cut, single = (
        all_seen(taken(new_table(*mode, lateness_us), records, where, lateness_us)) for where in ([], at, list(range(1, len(records))))
    )
    assert whole == cut
    assert whole == single
