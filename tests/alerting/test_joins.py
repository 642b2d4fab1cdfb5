"""Rules between two streams, through the service and by themselves."""

from __future__ import annotations

from pathlib import Path

from tests.alerting.hooks import told, wait_phase, write
from tests.running import wait_for

RULE = """
[workload.hot_while_closed]
kind = "alert"
stream = "boiler"
join = "valve"
within = "10s"
by = ["device"]
when = "boiler.temperature > 80 and valve.state = 'closed'"
severity = "critical"
notify = ["ops"]
"""


def test_two_records_of_one_key_near_in_time_fire_together(tmp_path: Path) -> None:
    with told(tmp_path, RULE) as (running, hook):
        write(running, "boiler,device=d1 temperature=90 0", "boiler,device=d2 temperature=90 0")
        write(running, 'valve,device=d1 state="open" 1')
        write(running, 'valve,device=d2 state="closed" 30')  # too far from the boiler's record
        write(running, 'valve,device=d1 state="closed" 2')
        found = wait_phase(running, "firing")
        assert found["values"] == {"temperature": 90.0, "valve.state": "closed"}
        write(running, "boiler,device=d1 temperature=20 3")
        wait_for(lambda: hook.items == [("firing", "d1"), ("resolved", "d1")], what="the end")
        write(running, "boiler,device=d2 temperature=95 31")
        wait_phase(running, "firing", device="d2")


def test_a_join_goes_on_after_a_restart(tmp_path: Path) -> None:
    with told(tmp_path, RULE) as (running, hook):
        write(running, "boiler,device=d1 temperature=90 0")
        write(running, 'valve,device=d1 state="open" 1')
        running.kill()
        running.start()
        write(running, 'valve,device=d1 state="closed" 2')
        wait_for(lambda: hook.items == [("firing", "d1")], what="the message")
