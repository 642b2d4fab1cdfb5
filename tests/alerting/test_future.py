"""Records from the future: they are not looked at, and stop no rule from looking at the others, before and after a start."""

from __future__ import annotations

from pathlib import Path

from appliance.clock import US_PER_S, SystemClock
from tests.alerting.hooks import T0, firing, reload, rule_row, told, wait_phase, write
from tests.running import Running, wait_for

RULES = """
[alerts]
grace = "100ms"

[workload.record]
kind = "alert"
stream = "readings"
by = ["device"]
when = "temperature > 80"
notify = ["ops"]

[workload.window]
kind = "alert"
stream = "readings"
by = ["device"]
over = "30s"
when = "avg(temperature) > 80"
"""
MORE = """
[workload.more]
kind = "alert"
stream = "readings"
by = ["device"]
when = "temperature > 500"
"""


def fires(running: Running, device: str, second: float) -> None:
    """Good ones, then bad ones."""
    write(running, f"readings,device={device} temperature=20 {second}")
    write(running, f"readings,device={device} temperature=90 {second + 100}")
    wait_phase(running, "firing", device=device, rule="record")
    wait_phase(running, "firing", device=device, rule="window")
    write(running, f"readings,device={device} temperature=20 {second + 200}")
    wait_for(lambda: not firing(running, "record") and not firing(running, "window"), what="the end")


def test_a_record_from_the_future_is_passed_over_and_said_also_over_a_start_and_a_reload(tmp_path: Path) -> None:
    with told(tmp_path, RULES) as (running, _hook):
        ahead = SystemClock().now_us() // US_PER_S - T0 + 2 * 86_400
        write(running, "readings,device=d1 temperature=20 0")
        write(running, f"readings,device=d1 temperature=999 {ahead}", f"readings,device=d9 temperature=999 {ahead}")
        wait_for(lambda: "2 records" in rule_row(running, "record")["reason"], what="the count")
        fires(running, "d1", 1)
        running.kill()
        running.start()
        fires(running, "d1", 1001)
        running.config_file.write_text(running.config_file.read_text() + MORE)
        reload(running)
        fires(running, "d1", 2001)
        assert firing(running, "more") == [], "what is from the future says nothing of how things stand"
