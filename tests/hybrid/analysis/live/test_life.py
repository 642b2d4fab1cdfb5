"""The follower beside a box that is short of something, told another config, or has streams of every kind."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from appliance.errors import RetryLater
from appliance.hybrid.analysis.live import followed
from appliance.hybrid.analysis.live.model_stored import packed, unpacked
from appliance.hybrid.analysis.numeric.model import HOURS, Model
from appliance.observe.ladder import Standing, Step
from tests.door.batches import FOR_TESTS, batch, config, submission
from tests.hybrid.analysis.live.house import T0, LiveHouse, S, living
from tests.running import wait_for


def send(house: LiveHouse, first: int, count: int, stream: str = "readings", spike: int | None = None, **more: Any) -> None:
    """``count`` seconds of one device, one of them far off."""
    values = [20.0 + i % 3 if i != spike else 900.0 for i in range(first, first + count)]
    at = [T0 + i * S for i in range(first, first + count)]
    house.send(submission(batch(stream, at, tags={"device": ["d"] * count}, value=values, **more)))


def learning(house: LiveHouse, stream: str = "readings") -> Any:
    return next((r for r in house.live.learning() if r.stream == stream), None)


def test_while_analysis_is_shed_nothing_is_scored_and_then_all_of_it_is(tmp_path: Path) -> None:
    with living(tmp_path / "box", config=FOR_TESTS) as house:
        house.box.ladder.standing = Standing(step=Step.ANALYSIS_SHED)
        send(house, 0, 200, spike=150)
        assert house.live.call("watch", lambda w: w.scored).result(30) == 0
        wait_for(lambda: learning(house) is not None and learning(house).behind_s > 0, what="the records to wait")
        house.box.ladder.standing = Standing()
        house.settle()
        assert house.heard.sightings[0].value == 900.0


def test_more_than_may_wait_is_passed_over_counted_and_said(tmp_path: Path) -> None:
    with living(tmp_path / "box", config=f"{FOR_TESTS}[analysis]\nqueue_max = 100\n") as house:
        send(house, 0, 10)
        house.settle()
        house.box.ladder.standing = Standing(step=Step.ANALYSIS_SHED)
        send(house, 10, 500)
        send(house, 0, 30, stream="others")
        house.box.ladder.standing = Standing()
        house.settle()
        assert (learning(house).passed_over, learning(house, "others").passed_over) == (430, 0)
        assert "records were passed over" in house.live.problems()[0].what


def test_series_above_the_limit_are_left_out_and_counted(tmp_path: Path) -> None:
    with living(tmp_path / "box", config=f"{FOR_TESTS}[workload.all]\nkind = 'analysis'\nseries_max = 3\n") as house:
        for first in (0, 30):
            at = [T0 + (first + i) * S for i in range(30)]
            house.send(submission(batch("readings", at, tags={"device": [f"d{i % 5}" for i in range(30)]}, value=[1.0] * 30)))
        house.settle()
        found = learning(house)
        assert (found.series, found.left_out, found.passed_over) == (3, 2, 0)
        assert found.state.startswith("learning, ")
        assert house.live.memory() > 0
        slots = house.live.call("all", lambda w: w.slots_by_series()).result(30) or {}
        assert slots == {("readings", "value", frozenset({("device", f"d{n}")})): n for n in range(3)}


def test_another_config_is_in_force_at_once_and_keeps_what_was_learned(tmp_path: Path) -> None:
    mine = "[workload.mine]\nkind = 'analysis'\nstreams = ['readings']\n"
    with living(tmp_path / "box", config=FOR_TESTS + mine) as house:
        send(house, 0, 100)
        send(house, 0, 100, stream="others")
        house.settle()
        assert learning(house, "others") is None
        house.live.reload(config(tmp_path / "box", FOR_TESTS + mine.replace("'readings'", "'*'")))
        send(house, 100, 60, spike=150)
        send(house, 100, 60, stream="others", spike=150)
        house.settle()
        assert {(s.stream, s.workload) for s in house.heard.sightings if s.value == 900.0} == {("readings", "mine"), ("others", "mine")}
        house.live.reload(config(tmp_path / "box", FOR_TESTS))
        send(house, 160, 1)
        wait_for(lambda: learning(house) is not None and learning(house).workload == "watch", what="the built-in one")


def test_of_what_was_there_before_an_analysis_it_learns_and_tells_nothing(tmp_path: Path) -> None:
    none, watch = f"{FOR_TESTS}[analysis]\ndefault = false\n", FOR_TESTS
    with living(tmp_path / "box", config=none) as house:
        send(house, 0, 200, spike=150)
        assert house.live.learning() == ()
    for first in (200, 201):
        with living(tmp_path / "box", config=watch) as house:
            send(house, first, 1, spike=201)
            house.settle()
            assert {s.seq for s in house.heard.sightings} <= {first + 1} - {201}


def test_a_stream_that_can_not_be_scored_is_set_aside_and_the_others_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(data: Any, name: str) -> Any:
        if name == "odd":
            raise ValueError("a defect")
        return floats(data, name)

    floats = followed._floats
    monkeypatch.setattr(followed, "_floats", broken)
    with living(tmp_path / "box", config=FOR_TESTS) as house:
        send(house, 0, 100, odd=[1.0] * 100)
        send(house, 0, 100, stream="others", spike=60)
        house.settle()
        assert {s.stream for s in house.heard.sightings} == {"others"}
        assert "readings is not analysed by watch: its records can't be scored (ValueError: a defect)" in house.live.problems()[0].what


def test_bad_numbers_gaps_and_new_columns_are_taken(tmp_path: Path) -> None:
    nan, inf = float("nan"), float("inf")
    with living(tmp_path / "box", config=FOR_TESTS) as house:
        at = [T0 + i * S for i in range(8)]
        odd = [nan, None, inf, -inf, 1e308, -0.0, 5e-324, 7.0]
        house.send(submission(batch("a", at, odd=odd, const=[1] * 8, note=["x\u202e", "", None, "é" * 9000, "\x00", "y", "1", "2"])))
        send(house, 0, 50, stream="a")
        send(house, 700_000, 50, stream="a", more=[2.0] * 50)
        house.send(submission(batch("empty", at, nothing=[None] * 7 + [1])))
        house.settle()
        assert not house.live.problems()
        assert (learning(house, "a").series, learning(house, "a").left_out) == (4, 0)
        assert (learning(house, "a").templates > 0, learning(house, "empty").series) == (True, 1)


@pytest.mark.parametrize("crc", ["crc32", "3523407757"])
def test_what_is_stored_and_damaged_is_learned_anew(tmp_path: Path, caplog: pytest.LogCaptureFixture, crc: str) -> None:
    with living(tmp_path / "box", config=FOR_TESTS) as house:
        send(house, 0, 100)
        house.settle()
    with closing(sqlite3.connect(tmp_path / "box" / "hot.sqlite", isolation_level=None)) as db:
        assert db.execute(f"UPDATE analysis_chunk SET body = x'00', crc32 = {crc}").rowcount >= 3  # of x'00' it is 3523407757
    with living(tmp_path / "box", config=FOR_TESTS) as house:
        send(house, 100, 10)
        house.settle()
        assert learning(house).series == 1
    assert ("is damaged" if crc == "crc32" else "learns anew") in caplog.text


def test_a_model_in_use_is_there_again_after_a_restart(tmp_path: Path) -> None:
    none = np.full((1, HOURS), np.nan, np.float32)
    model = Model("7", np.array([0], np.int32), none, none + 1, np.array([2.0], np.float32))
    with living(tmp_path / "box", config=FOR_TESTS) as house:
        send(house, 0, 50)
        house.settle()
        house.live.call("watch", lambda w: w.use(model)).result(30)
    with living(tmp_path / "box", config=FOR_TESTS) as house:
        found = house.live.call("watch", lambda w: dict(w.dump())["model"]).result(30)
        assert found == packed(model)
        again = unpacked(found or b"")
        assert (again.version, again.slots.tolist(), again.median.shape, again.factor.tolist()) == ("7", [0], (1, HOURS), [2.0])


def test_an_end_waits_for_nobody_and_what_comes_then_is_refused(tmp_path: Path) -> None:
    house = LiveHouse(tmp_path / "box", config=FOR_TESTS)
    asyncio.run(house.live.stop())
    with pytest.raises(RetryLater, match="stopping"):
        house.live.call("watch", lambda w: w.name).result(30)
    house.box.close()
