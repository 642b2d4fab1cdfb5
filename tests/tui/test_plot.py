"""The chart's pure half: from buckets to cells."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.tui.fake import NOON_US, S
from tui.symbols import ASCII, BLOCK, BRAILLE, Symbols
from tui.trace import Trace
from tui.widgets.plot import (
    Buckets,
    Extent,
    Window,
    area,
    columns,
    held,
    line,
    range_of,
    sparkline,
    threshold,
    time_axis,
    top_of,
    window_up_to,
)

GAP = None


def at_seconds(*values: float | None, start_s: int = 0, step_s: int = 1) -> Buckets:
    return Buckets(start_s * S, step_s * S, values, values)


def extents(*values: float | None) -> list[Extent | None]:
    return [None if v is None else Extent(v, v) for v in values]


def test_a_window_starts_on_whole_cells_and_holds_the_newest_instant() -> None:
    window = window_up_to(1_234_567_890, cell_us=2 * S, cells=5)
    assert window.from_us % (2 * S) == 0
    assert window.until_us - 2 * S < 1_234_567_890 <= window.until_us


def test_the_picture_stays_while_the_newest_cell_fills() -> None:
    windows = {window_up_to(end, cell_us=2 * S, cells=30) for end in range(100 * S + 1, 102 * S + 1, 100_000)}
    assert len(windows) == 1


def test_each_column_keeps_the_smallest_and_the_largest_value() -> None:
    buckets = Buckets(0, S, [5, 1, 3, 9], [6, 2, 8, 9])
    assert columns(buckets, Window(0, 2 * S, 2), dots_x=1) == [Extent(1, 6), Extent(3, 9)]


def test_a_wide_bucket_counts_in_every_column_that_it_touches() -> None:
    assert columns(at_seconds(7, start_s=2, step_s=4), Window(0, S, 8), dots_x=1) == [GAP, GAP, *[Extent(7, 7)] * 4, GAP, GAP]


def test_gaps_and_values_that_are_no_numbers_stay_blank() -> None:
    found = columns(at_seconds(1, GAP, math.nan, math.inf, 2), Window(0, S, 5), dots_x=1)
    assert found == [Extent(1, 1), GAP, GAP, GAP, Extent(2, 2)]


def test_buckets_outside_the_window_don_t_count() -> None:
    assert columns(at_seconds(1, 2, 3, 4, 5, 6), Window(2 * S, S, 2), dots_x=1) == [Extent(3, 3), Extent(4, 4)]


@given(
    st.lists(st.one_of(st.none(), st.floats(-1e9, 1e9)), max_size=60),
    st.integers(1, 7),
    st.integers(0, 50),
    st.integers(1, 9),
    st.integers(1, 12),
    st.sampled_from([1, 2]),
)
def test_no_value_in_the_window_is_lost(
    values: Sequence[float | None], step_s: int, from_s: int, cell_s: int, cells: int, dots_x: int
) -> None:
    buckets, window = at_seconds(*values, start_s=20, step_s=step_s), Window(from_s * S, cell_s * S, cells)
    found = [e for e in columns(buckets, window, dots_x=dots_x) if e is not None]
    starts = [(20 + i * step_s) * S for i in range(len(values))]
    inside = [v for v, t in zip(values, starts, strict=True) if v is not None and t < window.until_us and t + step_s * S > window.from_us]
    assert (min((e.low for e in found), default=None), max((e.high for e in found), default=None)) == (
        min(inside, default=None),
        max(inside, default=None),
    )


def test_an_area_in_braille() -> None:
    picture = area(extents(0, 1, 2, 3, 4, 5, 6, 8), rows=2, top=8, symbols=BRAILLE)
    assert picture == ["  ⢀⣼", "⢀⣴⣿⣿"]


def test_an_area_in_blocks_and_in_ascii() -> None:
    assert area(extents(0, 1, 2, 3, 4), rows=2, top=4, symbols=BLOCK) == ["   ▄█", " ▄███"]
    assert area(extents(0, 1, 2, 3, 4), rows=2, top=4, symbols=ASCII) == ["   .:", " .:::"]


def test_what_is_little_but_not_nothing_shows_a_dot() -> None:
    assert area(extents(0.001, 0), rows=1, top=1000, symbols=BRAILLE) == ["⡀"]


def test_a_line_is_joined_and_breaks_at_gaps() -> None:
    assert line(extents(0, 3, GAP, 0), rows=1, bottom=0, top=3, symbols=BRAILLE) == ["⡸⢀"]


@pytest.mark.parametrize("symbols", [BRAILLE, BLOCK, ASCII])
@given(st.lists(st.one_of(st.none(), st.floats(-1e6, 1e6)), min_size=2, max_size=40), st.integers(1, 6))
def test_a_picture_has_its_size_whatever_the_values(symbols: Symbols, values: list[float | None], rows: int) -> None:
    drawn = extents(*values[: len(values) // 2 * 2])
    for picture in (area(drawn, rows=rows, top=10.0, symbols=symbols), line(drawn, rows=rows, bottom=-5.0, top=5.0, symbols=symbols)):
        assert {len(row) for row in picture} == {len(drawn) // symbols.dots_x}
        assert len(picture) == rows


@pytest.mark.parametrize(
    ("highest", "before", "top"), [(0, 0, 1), (6.2, 0, 8), (6.2, 10, 10), (3.0, 10, 3), (11, 10, 20), (1000, 0, 1000), (0.031, 0, 0.04)]
)
def test_the_axis_ends_on_a_round_number_and_does_not_flap(highest: float, before: float, top: float) -> None:
    assert top_of(highest, before=before) == pytest.approx(top)


def test_the_range_of_a_constant_is_around_it() -> None:
    low, high = range_of(21.5, 21.5, before=None)
    assert low < 21.5 < high


@given(st.floats(-1e12, 1e12), st.floats(0, 1e12))
def test_a_range_holds_its_values(low: float, extent: float) -> None:
    bottom, top = range_of(low, low + extent, before=None)
    slack = 1e-6 * max(abs(low), extent, 1.0)
    assert bottom <= low + slack
    assert top >= low + extent - slack


def test_a_sparkline_scales_to_its_own_peak_and_moves_by_whole_steps() -> None:
    values = (0, 0, 4, 4, 8, 8, 2, 2)
    drawn = sparkline(values, 4, end_s=100, symbols=BLOCK)
    assert drawn == " ▄█▄"
    assert sparkline((*values[1:], 2), 4, end_s=101, symbols=BLOCK) == "▄█▄▄"
    assert sparkline((), 5, end_s=7, symbols=BRAILLE) == " " * 5


def test_time_labels_stand_at_round_times_under_their_cell() -> None:
    window = window_up_to(NOON_US, cell_us=2 * S, cells=60)
    axis = time_axis(window)
    assert axis == "╵11:58:00      ╵11:58:30      ╵11:59:00      ╵11:59:30      "
    assert len(axis) == 60


def test_labels_of_days_are_dates() -> None:
    day = 86_400 * S
    assert "20 Nov" in time_axis(window_up_to(NOON_US, cell_us=day // 12, cells=80))


def test_a_trace_looks_further_back_than_one_status() -> None:
    trace = Trace(seconds_max=6)
    trace.extend(10 * S, [1, 2, 3])
    trace.extend(12 * S, [3, 4, 5])
    assert (trace.buckets.start_us, list(trace.buckets.high)) == (7 * S, [1, 2, 3, 4, 5])
    trace.extend(15 * S, [9, 9])
    assert (trace.buckets.start_us, list(trace.buckets.high)) == (9 * S, [3, 4, 5, None, 9, 9])


def test_a_clock_that_jumps_back_starts_a_new_trace() -> None:
    trace = Trace()
    trace.extend(1000 * S, [1, 2, 3])
    trace.extend(500 * S, [7, 8])
    assert (trace.buckets.start_us, list(trace.buckets.high)) == (498 * S, [7, 8])


def test_a_level_line_lies_at_its_value() -> None:
    assert threshold(0.0, rows=2, bottom=0.0, top=7.0, symbols=BRAILLE) == (1, "⣀")
    assert threshold(3.0, rows=2, bottom=0.0, top=7.0, symbols=BRAILLE) == (1, "⠉")
    assert threshold(4.0, rows=2, bottom=0.0, top=7.0, symbols=BRAILLE) == (0, "⣀")
    assert threshold(7.0, rows=2, bottom=0.0, top=7.0, symbols=BLOCK) == (0, "─")
    assert threshold(3.5, rows=1, bottom=0.0, top=7.0, symbols=ASCII) == (0, "-")


@pytest.mark.parametrize(("value", "bottom", "top"), [(8.0, 0.0, 7.0), (-1.0, 0.0, 7.0), (1.0, 1.0, 1.0), (math.nan, 0.0, 7.0)])
def test_a_level_line_that_is_not_on_the_picture_is_not_drawn(value: float, bottom: float, top: float) -> None:
    assert threshold(value, rows=3, bottom=bottom, top=top, symbols=BRAILLE) is None


def test_a_value_holds_until_the_next_point_and_null_ends_it() -> None:
    found = held([(0, 1.0), (3 * S, 5.0), (4 * S, None), (6 * S, 2.0)], step_us=S)
    assert (found.start_us, found.low, found.high) == (0, [1.0, 1.0, 1.0, 1.0, 5.0, None, 2.0], [1.0, 1.0, 1.0, 5.0, 5.0, None, 2.0])


def test_a_long_silence_stays_blank() -> None:
    found = held([(0, 1.0), (S, 2.0), (2 * S, 3.0), (40 * S, 4.0)], step_us=S)
    assert found.high == [1.0, 2.0, 3.0, *[None] * 37, 4.0]


def test_no_points_are_no_buckets() -> None:
    assert list(held([], step_us=S).high) == []


@given(
    st.lists(st.tuples(st.integers(-(10**15), 10**15), st.none() | st.floats(-1e6, 1e6)), min_size=1, max_size=30).map(
        lambda points: sorted(points, key=lambda p: p[0])
    ),
    st.sampled_from([S, 7 * S, 3600 * S]),
)
def test_every_newest_value_is_in_its_bucket(points: list[tuple[int, float | None]], step_us: int) -> None:
    found = held(points, step_us=step_us)
    for at_us, value in points:
        place = at_us // step_us - found.start_us // step_us
        if value is not None and place >= 0:
            low, high = found.low[place], found.high[place]
            assert low is not None
            assert high is not None
            assert low <= value <= high
