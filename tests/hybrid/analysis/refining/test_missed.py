"""What the first pass has missed is found at night: late, few, told once, and never what somebody has told already."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from appliance.clock import SystemClock
from appliance.hybrid.analysis.deep.missed import Found, Sought, Told, find
from tests.alerting.hooks import Hook
from tests.hybrid.analysis.deep.histories import DAY_US, MINUTE_US, MONDAY_US, day_wave, source
from tests.hybrid.analysis.refining.incidents import shown, whole
from tests.hybrid.analysis.refining.test_training import run
from tests.running import running, wait_for

pytestmark = pytest.mark.xdist_group("deep")
DAYS = 8
SIZE = DAYS * 1_440
AT = SIZE - 600
"""Ten hours before the end."""
STEP_US = 5 * MINUTE_US


def sought(folder: Path, series: dict[str, Any], **more: Any) -> Found:
    end_us = MONDAY_US + DAYS * DAY_US
    facts: dict[str, Any] = {
        "since_us": end_us - DAY_US,
        "until_us": end_us - 900_000_000,
        "sensitivity": 0.5,
        "series_max": 100,
        "found_max": 2,
    }
    return find(Sought(sources=(source(folder, "readings", series, since_us=MONDAY_US, step_us=STEP_US),), **(facts | more)))


def waves(count: int) -> dict[str, Any]:
    return {f"d{n}": day_wave(SIZE, seed=n) for n in range(count)}


def test_what_no_other_day_has_is_found_where_and_when_it_was(tmp_path: Path) -> None:
    series = waves(6)
    series["d3"][AT : AT + 30] += 25
    series["d5"][AT + 5 : AT + 30] -= 20
    found = sought(tmp_path, series)
    ((first, second),) = found.together
    assert {first.key["device"], second.key["device"]} == {"d3", "d5"}
    assert abs(first.since_us - (MONDAY_US + AT * MINUTE_US)) <= 2 * STEP_US
    assert abs(first.until_us - (MONDAY_US + (AT + 30) * MINUTE_US)) <= 3 * STEP_US
    assert found.series == 6


@pytest.mark.parametrize("kind", ["calm", "each day", "heavy tails", "short", "told", "goes on", "dismissed"])
def test_what_is_not_found(tmp_path: Path, kind: str) -> None:
    series = waves(5)
    more: dict[str, Any] = {}
    far = series["d3"]
    if kind == "each day":
        for day in range(DAYS):
            far[day * 1_440 + 700 : day * 1_440 + 720] += 25
    if kind == "heavy tails":
        series = {f"d{n}": np.random.default_rng(n).pareto(1.5, SIZE) for n in range(8)}
    if kind in ("told", "dismissed", "short"):
        far[AT : AT + 30] += 12 if kind == "dismissed" else 25
    if kind == "short":
        series = {"d3": np.where(np.arange(SIZE) < SIZE - 3 * 1_440, np.nan, far)}
    if kind == "told":
        at_us = MONDAY_US + AT * MINUTE_US
        more["told"] = (Told(("Readings",), at_us + 20 * MINUTE_US, at_us + 90 * MINUTE_US),)
    if kind == "dismissed":
        more["factors"] = {'["readings","value","{\\"device\\":\\"d3\\"}"]': 3.0}
    if kind == "goes on":
        far[-120:] += 25
    assert sought(tmp_path, series, **more).together == ()


def test_of_many_the_gravest_few_are_told_and_the_rest_is_counted(tmp_path: Path) -> None:
    series = waves(6)
    for n, values in enumerate(series.values()):
        values[SIZE - 1_200 + n * 150 :][:20] += 15 + 5 * n
    found = sought(tmp_path, series)
    assert (len(found.together), found.left) == (2, 4)
    assert found.together[0][0].unusual >= found.together[1][0].unusual


def test_a_counter_is_looked_at_by_its_rate(tmp_path: Path) -> None:
    rates = np.random.default_rng(1).poisson(600, SIZE).astype(np.float64)
    rates[AT : AT + 30] += 3_000
    ((found,),) = sought(tmp_path, {"d": np.cumsum(rates)}).together
    assert found.is_rate
    assert found.expected == pytest.approx(10, rel=0.05)
    assert found.value == pytest.approx(60, rel=0.2)


def test_the_night_opens_what_was_missed_once_and_tells_it_once(tmp_path: Path) -> None:
    hook = Hook()
    config = "[workload.all]\nkind = 'analysis'\nnightly = '0 0 29 2 *'\nnotify = ['ops']\n"
    none = "[analysis]\ndefault = false\n"
    ops = f'[notify.ops]\nurl = "json://127.0.0.1:{hook.port}/hook"\n'
    step_us, count = 300_000_000, 7 * 288
    begin_us = SystemClock().now_us() - count * step_us
    values = 50 + np.random.default_rng(1).normal(0, 1, count)
    values[count - 100 : count - 90] += 30
    lines = "\n".join(f"readings,device=a value={v:.3f} {begin_us + i * step_us}" for i, v in enumerate(values))
    with running(tmp_path / "data", config=none, sources="source = []\n") as service:
        assert service.write(lines) == 204
    with running(tmp_path / "data", config=config + ops, sources="source = []\n") as service:
        before = len(shown(service))
        words = run(service, "all.nightly")["words"]
        assert "; 1 found late in 1 series" in words, words
        (row,) = shown(service)[: len(shown(service)) - before]
        assert (row["state"], row["deep"], row["streams"]) == ("closed", "done", ["readings"])
        assert row["summary"].startswith("Found late: readings value (device=a): ")
        (answer,) = whole(service, row["id"])["answers"]
        assert (answer["by"], answer["number"], answer["verdict"]) == ("deep", 1, "confirmed")
        assert "the first pass had told nothing of it" in answer["basis"]
        (quality,) = json.loads(service.request("GET", "/api/analysis")[1])["quality"]
        assert (quality["found_late"], quality["overturned"]) == (1, 0)
        wait_for(lambda: hook.messages, what="whoever is to be told")

        assert "; 0 found late" in run(service, "all.nightly")["words"], "it is known now"
        assert [i["id"] for i in shown(service)] == [row["id"]]
        assert ["found late" in json.dumps(message) for message in hook.messages] == [True]
    hook.close()
