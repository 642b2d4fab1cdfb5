"""A message that is too old dies alone: what joined it lately goes on waiting, and is handed over."""

from __future__ import annotations

from pathlib import Path

from tests.alerting.hooks import T0, Hook, picture, wait_phase, write
from tests.alerting.hooks_clock import with_clock
from tests.clock import FakeClock
from tests.running import wait_for

RULES = """
[alerts]
grace = "0s"

[workload.hot]
kind = "alert"
stream = "readings"
by = ["device"]
when = "t > 80"
nodata = "1d"
group_wait = "50min"
notify = ["ops"]
"""


def test_an_alert_that_joined_a_message_lately_is_told_although_the_message_was_too_old(tmp_path: Path) -> None:
    hook, clock = Hook(), FakeClock(T0 * 1_000_000)
    hook.close()  # the port answers nobody
    with with_clock(tmp_path, RULES, clock, hook, 'age_max = "1h"\n') as running:
        write(running, "readings,device=d1 t=90 0")
        wait_phase(running, "firing")
        clock.pass_s(2_700)
        write(running, "readings,device=d2 t=90 2700")
        wait_phase(running, "firing", device="d2")
        clock.pass_s(301)
        wait_for(lambda: [m["attempts"] for m in picture(running)["outbox"]] == [1], what="the first try of both")
    clock.pass_s(601)
    with with_clock(tmp_path, RULES, clock, hook, 'age_max = "1h"\n') as running:
        wait_for(lambda: sorted(m["state"] for m in picture(running)["outbox"]) == ["dead", "waiting"], what="the first to die alone")
