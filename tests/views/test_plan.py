"""What a refresh makes next, in tables: pieces of a backfill, late buckets, small files that grow into large ones."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest

from appliance.cold.batch.views.plan import FILES_MAX, GROWTH, RECORDS_MAX, Extent, plan_refresh, target_of
from appliance.derived import Definition, Stale, Used, ViewFile, ViewVersion
from appliance.hot.view_store import replaced
from appliance.spans import FIRST, ORIGIN_US, Span, union

HOUR = 3_600_000_000
BASE = ORIGIN_US


def at(hour: float) -> int:
    return BASE + int(hour * HOUR)


def version(*, closed: float | None = None, dirty: tuple[Span, ...] = (), files: tuple[ViewFile, ...] = ()) -> ViewVersion:
    stale = tuple(Stale(at(a), at(b), 1) for a, b in dirty)
    used = Used(1, "view", "v@1", "s", HOUR, FIRST if closed is None else at(closed), stale=stale)
    definition = Definition(name="v", sql="", bucket_us=HOUR, source="s", bucket="bucket", keys=(), aggregates=(), columns_read=())
    return ViewVersion(1, 1, definition, (), (), (), "views/v/1", used, files)


def file(low: float | None, high: float, rows: int, *, number: int = 1, whole: bool = True) -> ViewFile:
    return ViewFile(number, f"{low}-{high}", FIRST if low is None else at(low), at(high), rows, rows * 10, "", whole)


def steps(v: ViewVersion, extents: tuple[Extent, ...] = (), *, target: float) -> list[tuple[str, list[tuple[float | None, float]]]]:
    return [
        (s.why, [(None if a == FIRST else (a - BASE) / HOUR, (b - BASE) / HOUR) for a, b in s.spans])
        for s in plan_refresh(v, extents, target_us=at(target))
    ]


def test_a_backfill_is_pieces_of_whole_buckets() -> None:
    days = tuple(Extent(at(24 * d), at(24 * d + 24) - 1, RECORDS_MAX // 2) for d in range(5))
    found = steps(version(), days, target=120)
    assert found == [("new", [(None, 48)]), ("new", [(48, 96)]), ("new", [(96, 120)])]


def test_nothing_to_do_is_no_step() -> None:
    assert steps(version(closed=10, files=(file(None, 10, 99),)), target=10) == []


def test_small_files_are_taken_along() -> None:
    files = (file(None, 100, 10_000), file(100, 104, 400), file(104, 105, 100))
    assert steps(version(closed=105, files=files), target=106) == [("new", [(100, 106)])]
    far = (file(None, 100, 10_000), file(100, 104, 400 * GROWTH), file(104, 105, 100))
    assert steps(version(closed=105, files=far), target=106) == [("new", [(104, 106)])]


def test_a_year_of_hours_stays_few_files_and_writes_each_row_a_few_times() -> None:
    v, written = version(closed=0), 0
    for hour in range(1, 2_000):
        (step,) = plan_refresh(v, (), target_us=at(hour))
        rows = (step.high - step.low) // HOUR * 100
        written += rows
        new = ViewFile(hour, str(hour), step.low, step.high, rows, 0, "", True)
        files = tuple(sorted([*replaced(v.files, step.spans), new], key=lambda f: f.low))
        v = replace(v, files=files, used=replace(v.used, closed_us=at(hour)))
    assert len(v.files) < 12
    assert written < 2_000 * 100 * 12


@pytest.mark.parametrize(
    ("dirty", "expected"),
    [
        (((3, 4), (50, 51)), [("late", [(3, 4), (50, 51)])]),
        (((0, 60),), [("late", [(None, 100)])]),
        (((100, 101),), [("late", [(100, 110)])]),
        (((3, 4), (100, 101)), [("late", [(3, 4)]), ("late", [(100, 110)])]),
    ],
)
def test_late_buckets_are_patched_or_the_file_is_written_anew(
    dirty: tuple[Span, ...], expected: list[tuple[str, list[tuple[float | None, float]]]]
) -> None:
    files = (replace(file(0, 100, 50_000), low=at(0)), file(100, 110, 500))
    found = steps(version(closed=110, dirty=dirty, files=files), target=110)
    assert found == [(why, [(0 if a is None else a, b) for a, b in spans]) for why, spans in expected]


def test_too_many_files_are_merged_with_their_neighbours() -> None:
    files = tuple(file(n, n + 1, 10, number=n + 1) for n in range(FILES_MAX + 1))
    assert steps(version(closed=FILES_MAX + 1, files=files), target=FILES_MAX + 1) == [("merge", [(0, FILES_MAX + 1)])]


def test_steps_never_overlap() -> None:
    files = (file(None, 100, 50_000), file(100, 104, 400), file(104, 105, 100))
    plan = plan_refresh(version(closed=105, dirty=((2, 3), (104, 105)), files=files), (), target_us=at(200))
    spans = sorted(s for step in plan for s in step.spans)
    assert all(a[1] <= b[0] for a, b in pairwise(spans))
    assert union(spans)[-1] == (at(104), at(200))


def test_a_file_that_has_lost_rows_is_not_whole_any_more() -> None:
    one = file(0, 10, 100)
    two = [replace(one, id=n, path="p", low=at(a), high=at(b)) for n, (a, b) in enumerate(((0, 2), (5, 7)), 1)]
    left = replaced(two, ((at(5), at(6)),))
    assert [(f.low, f.high, f.whole) for f in left] == [(at(0), at(2), False), (at(6), at(7), False)]


def test_a_bucket_is_over_when_it_has_settled() -> None:
    assert target_of(at(5.01), bucket_us=HOUR, settle_us=60_000_000) == at(4)
    assert target_of(at(5.5), bucket_us=HOUR, settle_us=60_000_000) == at(5)
