"""The desk over a real box: what it decides is stored, found again, shown; a measured volume moves a workload when it may."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path as File

import msgspec
import pytest

from appliance.batch_options import JobOptions
from appliance.box import Box
from appliance.config import Config, WatchOptions
from appliance.need_options import NeedsOptions, PathsOptions
from appliance.observe.costs import Costs, Spent
from appliance.observe.latencies import Latencies
from appliance.observe.paths import PathRow
from appliance.paths import defaults
from appliance.paths.needs import PATHS, Path
from appliance.paths.placing import SETTLE_S
from appliance.paths.rules import PathCost
from appliance.serving import path_desk
from appliance.serving.path_desk import PathDesk
from appliance.serving.path_figures import Meters, Trials
from appliance.serving.path_folder import folder_paths
from appliance.serving.source import pinned_reader
from tests.clock import FakeClock
from tests.serving.queries_of import until

SQL = "SELECT device, avg(value) AS mean FROM readings GROUP BY device"


@pytest.fixture(autouse=True)
def _jobs_run_anywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that one kind stands for all that can be moved."""
    monkeypatch.setitem(defaults.RUNS_ON, "job", PATHS)


def job(**needs: object) -> NeedsOptions:
    return msgspec.structs.replace(JobOptions(sql=SQL, table="t"), **needs)


class House:
    """A box with a desk, which may be opened again."""

    def __init__(self, folder: File) -> None:
        self.folder = folder
        self.clock = FakeClock()
        self.costs, self.latencies = Costs(), Latencies()
        self.trials: Trials = {}
        self.moved: list[tuple[str, Path]] = []

    def config(self, moves: str = "propose", **workloads: NeedsOptions) -> Config:
        alone = WatchOptions(default=False)
        return Config(data_dir=self.folder, workloads=workloads, paths=PathsOptions(moves=moves), analysis=alone)  # type: ignore[arg-type]  # as a file has it

    @contextmanager
    def desk(self) -> Iterator[PathDesk]:
        box = Box(Config(data_dir=self.folder), clock=self.clock)
        box.start()
        meters = Meters(self.costs, self.latencies, trials=lambda: self.trials)
        try:
            desk = PathDesk(call=box.writer.call, reader=lambda: pinned_reader(self.folder), meters=meters, clock=self.clock)
            desk.on_move = lambda name, path: self.moved.append((name, path))
            yield desk
        finally:
            box.close()

    def ran(self, name: str, path: Path, *, rows: int, cpu_s: float = 0.1) -> None:
        self.costs.note(name, path, Spent(cpu_s=cpu_s, rows=rows, runs=1), at_us=self.clock.now_us())
        self.latencies.note(name, "ready", 40.0, at_us=self.clock.now_us())


@pytest.fixture
def house(tmp_path: File) -> House:
    return House(tmp_path / "data")


def only(desk: PathDesk) -> PathRow:
    (row,) = desk.picture().rows
    return row


def test_a_change_of_one_need_moves_a_workload_and_the_reason_is_kept(house: House) -> None:
    with house.desk() as desk:
        assert desk.reload(house.config(trend=job(freshness_s=600.0))) == []
        assert desk.path_of("trend") == "cold"
        house.clock.pass_s(60)
        said = desk.reload(house.config(trend=job(freshness_s=2.0)))
        assert said == ["job trend moves from cold to hot: needs answers of 2s, below 5s"]
        assert desk.path_of("trend") == "hot"
        row = only(desk)
        assert (row.path, row.moved_from, row.since_us, row.budget_ms) == ("hot", "cold", house.clock.now_us(), 2_000)
        (move,) = row.moves
        assert (move.moved_from, move.path, move.cause, move.reason) == ("cold", "hot", "config", "needs answers of 2s, below 5s")
        shown = msgspec.structs.replace(row, count=0)
    after = folder_paths(house.folder, now_us=0)
    assert after.rows == (shown,)
    with house.desk() as desk:
        assert desk.reload(house.config(trend=job(freshness_s=2.0))) == []
        assert only(desk) == shown
        desk.configure(house.config())
        assert desk.picture().rows == ()
    assert folder_paths(house.folder, now_us=0).rows == ()


def test_a_measured_volume_is_proposed_and_told_with_the_expected_cost(house: House) -> None:
    config = house.config(trend=job(freshness_s=2.0))
    with house.desk() as desk:
        desk.configure(config)
        house.clock.pass_s(1_200)
        house.ran("trend", "hot", rows=3_000_000, cpu_s=12.0)
        house.trials = {("trend", "hybrid"): PathCost(100.0)}
        assert not desk.look()
        row = only(desk)
        assert row.path == "hot"
        assert row.proposal is not None
        assert (row.proposal.path, row.proposal.rule, row.proposal.made_us) == ("hybrid", "both", None)
        assert row.proposal.expected == "now 864 CPU seconds a day, 100 on hybrid"
        assert [(n.value, n.origin) for n in row.needs if n.need == "records"] == [("3,000,000", "measured")]
        assert (row.count, row.p50_ms is not None, row.cpu_s) == (1, True, 12.0)
        assert [(c.path, c.is_trial) for c in row.costs] == [("hot", False), ("hybrid", True)]
        house.clock.pass_s(10 * SETTLE_S)
        assert not desk.look()
        assert house.moved == []


def test_a_move_by_itself_is_told_once_and_survives_a_restart(house: House) -> None:
    config = house.config("make", trend=job(freshness_s=2.0), other=job(freshness_s=2.0))
    with house.desk() as desk:
        desk.configure(config)
        for _ in range(3):
            house.clock.pass_s(SETTLE_S / 2 + 1)
            house.ran("trend", "hot", rows=3_000_000)
            house.ran("other", "hot", rows=30)
            desk.look()
        assert house.moved == [("trend", "hybrid")]
        assert [desk.path_of(n) for n in ("trend", "other")] == ["hybrid", "hot"]
    with house.desk() as desk:
        assert desk.reload(config) == []
        assert desk.path_of("trend") == "hybrid"
        (move,) = desk.picture().rows[0].moves
        assert (move.cause, move.moved_from, move.path) == ("measured", "hot", "hybrid")


def test_what_is_measured_alone_is_not_written_each_minute(house: House) -> None:
    with house.desk() as desk:
        desk.configure(house.config(trend=job(freshness_s=2.0)))
        written = []
        for rows in (3_000_000, 3_100_000, 3_200_000):
            house.clock.pass_s(60)
            house.ran("trend", "hot", rows=rows)
            desk.look()
            with pinned_reader(house.folder) as reader:
                written.append(str(reader.execute("SELECT wanted_reason FROM placement")))
        assert "3,000,000" in written[0]
        assert written[1:] == written[:2]


async def test_a_defect_in_a_look_is_said_and_neither_ends_the_looks_nor_the_stop(
    house: House, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(path_desk, "LOOK_EVERY_S", 0.001)
    looks = []

    def look() -> None:
        looks.append(1)
        raise KeyError("nobody thought of it")

    with house.desk() as desk:
        monkeypatch.setattr(desk, "look", look)
        desk.start()
        await until(lambda: len(looks) > 1, "the second look")
        await desk.stop()
    assert "the paths of workloads could not be looked at, by a defect" in caplog.text
