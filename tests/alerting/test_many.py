"""Ten thousand alerts at once: grouped, limited, the first told at once, and nothing lost of what is stored."""

from __future__ import annotations

from pathlib import Path

from appliance.clock import SystemClock
from tests.alerting.hooks import T0, picture, reload, rule_row, told, write
from tests.running import UNWATCHED, Running, wait_for

MANY = 10_000
RULES = f"""{UNWATCHED}
[alerts]
grace = "100ms"

[workload.each]
kind = "alert"
stream = "readings"
by = ["device"]
when = "x > 1"
severity = "critical"
nodata = "1d"
notify = ["ops"]

[workload.lines]
kind = "alert"
stream = "few"
by = ["line", "device"]
when = "x > 1"
group_by = ["rule", "line"]
nodata = "1d"
notify = ["ops"]
"""


def test_ten_thousand_alerts_at_once_are_few_messages_and_each_is_stored(tmp_path: Path) -> None:
    clock = SystemClock()
    with told(tmp_path, RULES) as (running, hook):
        write(running, "readings,line=l0,device=d0 x=0 0")
        body = "\n".join(f"readings,line=l{i % 3},device=d{i} x=5 {T0 * 1000 + 1000}" for i in range(MANY))
        assert running.write(body, precision="ms") == 204
        acknowledged_ns = clock.monotonic_ns()
        wait_for(lambda: hook.messages, what="the first message")
        first_ms = (clock.monotonic_ns() - acknowledged_ns) / 1e6
        wait_for(lambda: rule_row(running, "each")["firing"] == MANY, what="all to fire")
        stages = {s["stage"]: s["max_ms"] for s in picture(running)["stages"]}
        print(f"ten thousand at once: the first told {first_ms:.0f} ms after the acknowledgement; {stages}")
        wait_sent(running)
        assert sum(len(m["items"]) + m["others"] for m in hook.messages) == MANY
        assert len(hook.messages) <= 20
        assert max(len(m["items"]) for m in hook.messages) <= 100
        assert len(set(hook.keys)) == len(hook.keys)
        assert running.query("SELECT count(*) AS n, count(DISTINCT key) AS keys FROM _alert_history") == [{"n": MANY, "keys": MANY}]
        shown = picture(running)
        assert (len(shown["alerts"]), shown["truncated"]) == (1_000, MANY - 1_000)
        assert "9000 more are not shown" in running.command("alerts", "list").stderr
        before = len(hook.messages)
        running.kill()
        running.start()
        write(running, "readings,line=l0,device=d0 x=0 2")
        wait_for(lambda: rule_row(running, "each")["firing"] == MANY - 1, what="one to end after the start")
        wait_for(lambda: len(hook.messages) > before, what="its end")
        assert [(i["state"], i["key"]) for m in hook.messages[before:] for i in m["items"]] == [("resolved", ["d0"])]
        running.config_file.write_text(running.config_file.read_text().replace('when = "x > 1"\nseverity', 'when = "x > 9"\nseverity'))
        reload(running)
        wait_for(lambda: rule_row(running, "each")["firing"] == 0, what="the end of all")


def test_alerts_that_are_alike_in_the_labels_of_their_group_go_together(tmp_path: Path) -> None:
    with told(tmp_path, RULES) as (running, hook):
        write(running, *(f"few,line=l{i % 3},device=d{i} x=5 0" for i in range(30)))
        wait_for(lambda: rule_row(running, "lines")["firing"] == 30, what="all to fire")
        wait_sent(running)
        lines = [{i["labels"]["line"] for i in m["items"]} for m in hook.messages]
        assert sorted(line for of in lines for line in of) == ["l0", "l1", "l2"]
        assert [len(m["items"]) for m in hook.messages] == [10, 10, 10]


def wait_sent(running: Running) -> None:
    wait_for(lambda: not [m for m in picture(running)["outbox"] if m["state"] == "waiting"], what="all messages to be sent")
