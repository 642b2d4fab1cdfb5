"""The same SQL has the same answer over the same records on each path, whatever came late or twice and wherever it lies."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from appliance.batching.panels.answer import is_same
from tests.panels.house import PanelHouse, Row

QUERIES = {
    "groups": "SELECT device, count(*) AS n, sum(value) AS total, avg(value) AS mean FROM readings GROUP BY ALL",
    "all": "SELECT count(*) AS n, min(value) AS low, max(value) - min(value) AS spread FROM readings",
    "hours": "SELECT time_bucket(INTERVAL '1 hour', ts) AS hour, device, max(value) AS peak FROM readings GROUP BY ALL"
    " ORDER BY hour, device",
    "top": "SELECT device, sum(value) AS total FROM readings WHERE value > 2 GROUP BY ALL ORDER BY total DESC, device LIMIT 2",
    "newest": "SELECT ts, device, value FROM readings ORDER BY ts DESC, device LIMIT 3",
    "distinct": "SELECT DISTINCT device FROM readings",
    "kinds": "SELECT count(DISTINCT value) AS kinds, quantile_cont(value, 0.5) AS median FROM readings",
    "recent": "SELECT device, count(*) AS n FROM readings WHERE ts >= now() - INTERVAL '3 hours' GROUP BY ALL",
    "within": "SELECT device, count(*) FILTER (value > 5) AS high FROM readings"
    " WHERE ts >= '2026-11-21 20:10' AND ts < '2026-11-22 08:40' GROUP BY ALL",
    "having": "SELECT device, sum(value) FILTER (value < 8) AS low FROM readings GROUP BY device HAVING count(*) > 2",
    "window": "SELECT device, ts, value, sum(value) OVER (PARTITION BY device ORDER BY ts) AS until_then FROM readings",
    "best": "SELECT device, ts, value FROM readings QUALIFY row_number() OVER (PARTITION BY device ORDER BY value DESC, ts DESC) = 1",
    "join": "SELECT r.device, count(*) AS n FROM readings r JOIN limits l ON r.device = l.device AND r.value > l.value GROUP BY ALL",
    "change": "WITH h AS (SELECT date_trunc('hour', ts) AS hour, sum(value) AS total FROM readings GROUP BY ALL)"
    " SELECT hour, total - lag(total) OVER (ORDER BY hour) AS change FROM h",
    "union": "SELECT 'low' AS side, count(*) AS n FROM readings WHERE value < 5"
    " UNION ALL SELECT 'high', count(*) FROM readings WHERE value >= 5",
}
WITH_PARTS = {"groups", "all", "hours", "top", "distinct", "recent", "within", "having"}
GROUPS = [tuple(list(QUERIES)[at::5]) for at in range(5)]
row = st.tuples(st.integers(-120, 3).map(lambda q: q / 4), st.sampled_from(["a", "b", "c"]), st.none() | st.integers(0, 9))
full = row.filter(lambda r: r[2] is not None)
step = st.one_of(
    st.lists(row, min_size=1, max_size=6),
    st.lists(row, min_size=1, max_size=6),
    st.sampled_from(["roll", "refresh", "compact", "hour"]),
)


def do(house: PanelHouse, what: list[Row] | str) -> None:
    match what:
        case "roll":
            house.roll()
        case "refresh":
            house.refresh()
        case "compact":
            house.compact()
        case "hour":
            house.pass_hours(1)
        case list():
            house.comes("readings", what)


@pytest.mark.parametrize("names", GROUPS, ids="-".join)
@settings(
    max_examples=int(os.environ.get("PANELS_EXAMPLES", "2")),
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(steps=st.lists(step, min_size=4, max_size=12), limits=st.lists(full, min_size=1, max_size=3))
def test_the_three_paths_give_the_same_answer_over_the_same_records(
    names: tuple[str, ...], steps: list[list[Row] | str], limits: list[Row]
) -> None:
    root = Path(tempfile.mkdtemp(prefix="panels"))
    house = PanelHouse(root, {name: QUERIES[name] for name in names})
    try:
        house.comes("readings", [(-29.0, "a", 1)])
        house.comes("limits", limits)
        house.store_parts()
        assert {name.removesuffix(".parts") for name in house.views} == WITH_PARTS.intersection(names)
        for what in steps:
            do(house, what)
        for panel in house.panels.values():
            truth, hot, hybrid = house.truly(panel), house.found(panel, "hot"), house.found(panel, "hybrid")
            assert is_same(hot, truth), f"{panel.name}: {hot.to_pylist()} != {truth.to_pylist()}"
            assert is_same(hybrid, truth), f"{panel.name}: {hybrid.to_pylist()} != {truth.to_pylist()}"
            assert house.offered(panel, "cold") == "a new answer"
            kept = house.book.newest(panel.name)
            assert kept is not None
            assert kept.table is not None
            assert is_same(kept.table, truth), f"{panel.name}: {kept.table.to_pylist()} != {truth.to_pylist()}"
            house.clock.pass_s(0.001)
        for panel in house.panels.values():
            if panel.name != "recent":  # whose answer may be another one after a millisecond
                assert house.offered(panel, "hot") == "unchanged", panel.name
                assert house.offered(panel, "hybrid") == "older", "nothing has come since, and no time has passed"
    finally:
        house.close()
        shutil.rmtree(root)
