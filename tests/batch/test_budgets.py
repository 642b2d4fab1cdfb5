"""Budgets kept: by the figures, as a table, and by a real job that stands still and goes on."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import pytest

from appliance.batching.steward import BUDGET, Steward
from appliance.box import Box
from appliance.config import load_config
from appliance.observe.processes import PATHS, PathName, Use
from appliance.serving.push import Hub
from tests.clock import FakeClock
from tests.observe.test_path_budgets import state_of
from tests.running import running, wait_for

LIMITS = """
[budget.hot]
io = "1MiB"
[budget.cold]
cpu = 0.5
io = "10MiB"
[budget.hybrid]
cpu = 1.0
"""


class Scripted:
    """A steward whose processes use what a test says."""

    def __init__(self, folder: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
        file = folder / "appliance.toml"
        file.write_text(f"source = []\n{text}")
        self.clock = FakeClock()
        self.box = Box(load_config(data_dir=folder / "data", file=file), clock=self.clock)
        nobody = cast(Any, None)
        self.steward = Steward(self.box, nobody, nobody, Hub(), rules_s=float, clock=self.clock)
        self.used: dict[PathName, Use] = {path: Use() for path in PATHS}
        monkeypatch.setattr(self.box.processes, "use", lambda: dict(self.used))
        self.steward.meter()

    def after(self, seconds: float, **used: Use) -> dict[str, bool]:
        """Which paths hold back after that time, in which they used that."""
        self.clock.pass_s(seconds)
        for path, use in used.items():
            self.used[cast(PathName, path)] += use
        self.steward.meter()
        return {
            "hot": bool(self.box.door.slowed),
            **{path: BUDGET in self.box.processes.reasons(path) for path in PATHS if path != "hot"},
        }


@pytest.mark.parametrize(
    ("used", "held"),
    [
        pytest.param([{}], [""], id="nothing"),
        pytest.param([{"cold": Use(cpu_s=0.04)}, {"cold": Use(cpu_s=0.08)}, {}, {}], ["", "cold", "", ""], id="CPU of batch work"),
        pytest.param([{"cold": Use(cpu_s=0.19)}, {}, {}, {}], ["cold", "cold", "cold", ""], id="a burst is paid back"),
        pytest.param([*[{}] * 12, {"cold": Use(cpu_s=0.5)}, {"cold": Use(cpu_s=0.06)}], [*[""] * 13, "cold"], id="what was saved"),
        pytest.param([{"cold": Use(io_bytes=2 << 20)}, {}], ["cold", ""], id="the disk of batch work"),
        pytest.param([{"hybrid": Use(cpu_s=0.2)}, {"cold": Use(cpu_s=0.2)}], ["hybrid", "cold"], id="each path for itself"),
        pytest.param([{"hybrid": Use(io_bytes=1 << 30)}], [""], id="no limit"),
        pytest.param([{"hot": Use(io_bytes=200 << 10)}, {}], ["hot", ""], id="the hot path takes in less"),
        pytest.param([{"hot": Use(cpu_s=9.0)}], [""], id="the hot path is not held for what has no limit"),
    ],
)
def test_who_has_used_up_his_budget_holds_back_until_more_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, used: list[Mapping[str, Use]], held: list[str]
) -> None:
    it = Scripted(tmp_path, LIMITS, monkeypatch)
    try:
        for step, (each, who) in enumerate(zip(used, held, strict=True)):
            found = it.after(0.1, **each)
            assert [path for path, is_held in found.items() if is_held] == ([who] if who else []), f"at {step}"
            assert it.box.door.is_behind == (who == "hot")
            shown = {b.path: b for b in it.steward.budgets()}
            assert {path for path, b in shown.items() if b.held} == ({who} if who else set())
        shown = {b.path: b for b in it.steward.budgets()}
        assert (shown["cold"].cpu_max, shown["hot"].io_bytes_per_s_max, shown["hybrid"].cpu_max) == (0.5, 1 << 20, 1.0)
    finally:
        it.box.close()


def test_a_job_that_wants_more_than_its_path_may_have_stands_still_and_goes_on(tmp_path: Path) -> None:
    job = '[workload.spin]\nkind = "job"\ncommand = ["sh", "-c", "echo $$ > spin.pid; while :; do :; done"]\n'
    with running(tmp_path / "data", config=f"[budget.cold]\ncpu = 0.1\n{job}", sources="source = []\n") as service:
        assert service.request("POST", "/api/jobs/run", body=b'{"name": "spin"}')[0] == 200
        pid = int(wait_for(lambda: (service.folder / "spin.pid").is_file() and (service.folder / "spin.pid").read_text(), what="the job"))
        group = Path(f"/proc/{pid}/autogroup")
        assert not group.exists() or group.read_text().strip().endswith("nice 19"), "its session has the weight of the service's"
        wait_for(lambda: state_of(pid) == "T", what="the job to stand still")
        wait_for(lambda: state_of(pid) == "R", what="the job to go on")
        wait_for(lambda: service.status()["budgets"][1]["held"], what="it to be said")
        cold = service.status()["budgets"][1]
        assert (cold["path"], cold["cpu_max"]) == ("cold", 0.1)
        assert service.command("status").stdout.count("path     cold: ") == 1
        metrics = service.request("GET", "/metrics")[1].decode()
        assert 'appliance_path_cpu_max{path="cold"} 0.1\n' in metrics
