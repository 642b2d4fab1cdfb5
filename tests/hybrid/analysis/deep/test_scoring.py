"""Scores with what came before and after."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pc_csv
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.errors import UsageRefused
from appliance.hybrid.analysis.deep.changes import change_points
from appliance.hybrid.analysis.deep.files import write_deep_scores
from appliance.hybrid.analysis.deep.relating import correlated
from appliance.hybrid.analysis.deep.scoring import deep_scores
from tests.hybrid.analysis.deep.histories import F64, MINUTE_US, MONDAY_US, day_wave


def times(count: int, *, step_us: int = 5 * MINUTE_US) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return MONDAY_US + np.arange(count) * step_us


def waves(count: int = 2_000) -> F64:
    at = np.arange(count)
    return np.asarray(10 * np.sin(2 * np.pi * at / 288) + np.random.default_rng(1).normal(0, 0.5, count))


def test_a_stretch_like_no_other_has_the_highest_score() -> None:
    values = waves()
    values[1_140:1_200] = values[1_140]

    found = deep_scores(times(len(values)), values)

    assert 1_100 < found.argmax() < 1_240
    assert found.max() > 2 * np.median(found)


def test_a_shape_that_comes_again_is_less_unusual_than_one_that_does_not() -> None:
    once, again = waves(), waves()
    once[1_200:1_230] += 15
    for at in (1_200 - 3 * 288, 1_200 - 288, 1_200, 1_200 + 288):
        again[at : at + 30] = waves()[at : at + 30] + 15

    first, second = (deep_scores(times(2_000), v)[1_180:1_250].max() for v in (once, again))

    assert first > 1.2 * second


@pytest.mark.parametrize(
    "values",
    [
        np.zeros(0),
        np.array([1.0]),
        np.full(500, 7.0),
        np.full(500, np.nan),
        np.r_[np.full(250, 1.0), np.full(250, np.nan)],
        np.r_[waves(400), 1e300, -1e300],
        np.r_[waves(400), np.inf, -np.inf, np.nan],
        np.r_[waves(500), 1000 * waves(500)],
    ],
    ids=["none", "one", "constant", "nan", "half nan", "huge", "infinite", "another unit"],
)
def test_scores_of_bad_values_are_between_nothing_and_one(values: F64) -> None:
    found = deep_scores(times(len(values)), values)

    assert len(found) == len(values)
    assert np.isfinite(found).all()
    assert found.min(initial=0) >= 0
    assert found.max(initial=0) <= 1
    assert (found[np.isinf(values)] == 1).all()
    assert (found[np.isnan(values)] == 0).all()


def test_a_gap_of_a_week_is_no_anomaly() -> None:
    ts = times(2_000)
    ts[1_000:] += 7 * 1_440 * MINUTE_US

    found = deep_scores(ts, waves())

    assert found[900:1_100].max() < 0.9


@settings(max_examples=25, deadline=None)
@given(st.permutations(range(120)))
def test_the_order_of_records_makes_no_difference(order: list[int]) -> None:
    ts, values = times(120), waves(120)

    assert np.allclose(deep_scores(ts[order], values[order]), deep_scores(ts, values)[order])


def test_files_have_a_score_for_each_row(tmp_path: Path) -> None:
    (tmp_path / "in/deeper").mkdir(parents=True)
    stamps = pa.array(times(300)).cast(pa.timestamp("us")).cast(pa.string())
    pc_csv.write_csv(pa.table({"timestamp": stamps, "value": waves(300)}), tmp_path / "in/deeper/x.csv")

    assert write_deep_scores(tmp_path / "in", tmp_path / "out") == 1

    found = pc_csv.read_csv(tmp_path / "out/deeper/x.csv")
    assert (found.column_names, found.num_rows) == (["timestamp", "anomaly_score"], 300)


def test_a_folder_without_files_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageRefused, match="no CSV file"):
        write_deep_scores(tmp_path, tmp_path / "out")


def test_changes_of_level_are_found_where_they_are() -> None:
    rng = np.random.default_rng(3)
    values = np.r_[rng.normal(0, 1, 300), rng.normal(10, 1, 200), rng.normal(4, 1, 250)]
    values[100] += 40

    found = change_points(values, 1.0)

    assert [(abs(c.cell - cell) <= 2, round(c.after - c.before)) for c, cell in zip(found, (300, 500), strict=True)] == [
        (True, 10),
        (True, -6),
    ]


@pytest.mark.parametrize("values", [np.zeros(0), np.zeros(3), np.full(400, 2.0), day_wave(400, noise=0.0) * 1e12])
def test_no_change_is_found_where_there_is_none(values: F64) -> None:
    assert change_points(values, max(1.0, float(np.std(values)) if len(values) else 0.0)) == []


def test_the_lag_is_found_and_its_sign_says_who_follows() -> None:
    lead = np.zeros(400)
    lead[200:220] = 1
    table = np.stack([np.roll(lead, 7), -np.roll(lead, -5), np.full(400, 3.0)])

    found = correlated(lead, table)

    assert found.lag.tolist() == [7, -5, 0]
    assert np.allclose(found.strength, [1, -1, 0], atol=0.02)


def test_a_day_is_known_after_some_days() -> None:
    values = day_wave(5 * 288 * 5)[::5]

    found = deep_scores(times(len(values)), values)

    assert (found > 0.9).mean() < 0.1
