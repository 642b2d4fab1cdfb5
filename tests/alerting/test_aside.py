"""A stream whose evaluation fails: its rules say so, the others go on, and a reload tries again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from appliance.hot.stream.plan import StreamPlan
from appliance.hot.stream.values import Rows, Signal
from tests.alerting.hooks import T0, Hook, reload, rule_row, wait_phase, write
from tests.alerting.hooks_clock import with_clock
from tests.clock import FakeClock
from tests.running import wait_for

RULES = """
[alerts]
grace = "0s"

[workload.good]
kind = "alert"
stream = "readings"
by = ["device"]
when = "x > 1"

[workload.bad]
kind = "alert"
stream = "broken"
by = ["device"]
when = "x > 1"
"""


def test_a_stream_that_cannot_be_evaluated_holds_no_other_back_and_goes_on_after_a_reload(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hook, take = Hook(), StreamPlan.take

    def failing(plan: StreamPlan, rows: Rows, **times: Any) -> list[Signal]:
        if plan.schema.stream == "broken" and is_broken:
            raise ArithmeticError("no such number")
        return take(plan, rows, **times)

    is_broken = False
    monkeypatch.setattr(StreamPlan, "take", failing)
    with with_clock(tmp_path, RULES, FakeClock(T0 * 1_000_000), hook) as running:
        write(running, "broken,device=d1 x=5 0")
        assert wait_phase(running, "firing", rule="bad")
        is_broken = True
        write(running, "broken,device=d1 x=0 1", "broken,device=d2 x=5 1", "readings,device=d1 x=5 1")
        assert wait_phase(running, "firing", rule="good")
        assert "no such number" in wait_phase(running, "error", rule="bad")["reason"]
        assert (rule_row(running, "bad")["state"], rule_row(running, "good")["state"]) == ("error", "ok")
        said = [p["what"] for p in running.status()["problems"] if p["level"] == "CRIT"]
        assert len(said) == 1
        assert "broken" in said[0]
        is_broken = False
        reload(running)
        wait_phase(running, "firing", rule="bad", device="d2")
        wait_for(lambda: rule_row(running, "bad")["firing"] == 1, what="the end of d1")
        assert rule_row(running, "bad")["state"] == "ok"
    hook.close()
