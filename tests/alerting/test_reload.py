"""The config is read again while alerts fire: what is in force changes whole or not at all, and nothing is told twice."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.alerting.hooks import Hook, alerts, firing, reload, rule_row, steps, told, wait_phase, write
from tests.running import Running, wait_for

RULES = """
[alerts]
grace = "100ms"

[workload.hot]
kind = "alert"
stream = "readings"
by = ["device"]
when = "temperature > 80"
severity = "critical"
repeat = "1h"
nodata = "1h"
notify = ["ops"]

[workload.pending]
kind = "alert"
stream = "readings"
by = ["device"]
when = "temperature > 80"
for = "1000s"
nodata = "1h"
severity = "critical"
notify = ["ops"]
"""
ADDED = """
[workload.added]
kind = "alert"
stream = "readings"
by = ["device"]
when = "temperature > 85"
severity = "critical"
notify = ["ops"]
"""


@pytest.fixture
def firing_service(tmp_path: Path) -> Iterator[tuple[Running, Hook]]:
    with told(tmp_path, RULES) as (running, hook):
        write(running, "readings,device=d1 temperature=90 0", "readings,device=d2 temperature=20 0")
        wait_phase(running, "firing", rule="hot")
        wait_for(lambda: hook.items == [("firing", "d1")], what="the message")
        yield running, hook


def change(running: Running, old: str, new: str) -> str:
    """The config with something else in it; the text as it was."""
    text = running.config_file.read_text()
    assert old in text
    running.config_file.write_text(text.replace(old, new))
    return text


def test_a_config_that_can_not_be_used_is_refused_whole_over_http_and_command_and_signal(firing_service: tuple[Running, Hook]) -> None:
    running, hook = firing_service
    good = change(running, 'when = "temperature > 80"\nfor', 'when = "temperature >"\nfor')
    running.config_file.write_text(running.config_file.read_text() + ADDED)
    assert "workload.pending.when column 14" in reload(running, status=400)
    said = running.command("reload")
    assert (said.returncode, said.stdout) == (2, "")
    assert "workload.pending.when column 14" in said.stderr
    assert running.process is not None
    running.process.send_signal(signal.SIGHUP)
    wait_for(lambda: "the config was not reloaded" in running.said(), what="the refusal in the log")
    assert "column 14" in running.said()
    write(running, "readings,device=d2 temperature=95 1", "readings,device=d1 temperature=20 1")
    wait_for(lambda: len(hook.items) == 3, what="what the old rules say")
    assert sorted(hook.items) == [("firing", "d1"), ("firing", "d2"), ("resolved", "d1")]
    assert [r for r in ("added",) if r in {a["rule"] for a in alerts(running)}] == []
    running.config_file.write_text(good)
    assert "unchanged" in running.command("reload").stdout


def test_a_new_rule_fires_for_what_is_true_already_and_the_others_stay_as_they_are(firing_service: tuple[Running, Hook]) -> None:
    running, hook = firing_service
    since = wait_phase(running, "pending", rule="pending")["since_us"]
    running.config_file.write_text(running.config_file.read_text() + ADDED)
    assert running.process is not None
    running.process.send_signal(signal.SIGHUP)
    wait_phase(running, "firing", rule="added")
    wait_for(lambda: len(hook.items) == 2, what="the message of the new rule")
    assert wait_phase(running, "pending", rule="pending")["since_us"] == since
    write(running, "readings,device=d1 temperature=91 1001")
    wait_phase(running, "firing", rule="pending")
    wait_for(lambda: len(hook.items) == 3, what="the message of the one that was pending")
    assert [s["new"] for s in steps(running, "hot", "d1")] == ["firing"]
    assert len(set(hook.keys)) == len(hook.keys)


def test_a_rule_that_is_taken_out_ends_its_alerts_and_its_end_is_told(firing_service: tuple[Running, Hook]) -> None:
    running, hook = firing_service
    good = change(running, RULES[RULES.index("[workload.hot]") : RULES.index("[workload.pending]")], "")
    reload(running)
    wait_for(lambda: hook.items == [("firing", "d1"), ("resolved", "d1")], what="the end")
    last = steps(running, "hot", "d1")[-1]
    assert (last["old"], last["new"], last["reason"]) == ("firing", "ok", "the rule was removed")
    running.config_file.write_text(good)
    reload(running)
    wait_phase(running, "firing", rule="hot")
    wait_for(lambda: hook.items[-1] == ("firing", "d1") and len(hook.items) == 3, what="the next fire")
    assert len(set(hook.keys)) == 3


def test_a_rule_with_another_threshold_is_judged_anew(firing_service: tuple[Running, Hook]) -> None:
    running, hook = firing_service
    change(running, 'when = "temperature > 80"\nseverity', 'when = "temperature > 95"\nseverity')
    reload(running)
    wait_for(lambda: hook.items == [("firing", "d1"), ("resolved", "d1")], what="the end of what does not hold any more")
    assert firing(running, "hot") == []
    change(running, 'when = "temperature > 95"', 'when = "temperature > 10"')
    reload(running)
    wait_for(lambda: len(firing(running, "hot")) == 2, what="both")
    assert rule_row(running, "hot")["condition"] == "temperature > 10"


def test_a_rule_with_other_keys_ends_the_old_alerts(firing_service: tuple[Running, Hook]) -> None:
    running, hook = firing_service
    change(running, 'by = ["device"]\nwhen = "temperature > 80"\nseverity', 'by = []\nwhen = "temperature > 80"\nseverity')
    reload(running)
    wait_for(lambda: ("resolved", "d1") in hook.items, what="the end")
    assert steps(running, "hot", "d1")[-1]["reason"] == "the rule has other columns for its keys now"
    write(running, "readings,device=d2 temperature=99 5")
    wait_for(lambda: [a["key"] for a in firing(running, "hot")] == [{}], what="one alert for the stream")


def test_without_its_channel_an_alert_is_stored_and_shown_only(firing_service: tuple[Running, Hook]) -> None:
    running, hook = firing_service
    text = running.config_file.read_text()
    running.config_file.write_text(text[: text.index("[notify.ops]")].replace('notify = ["ops"]\n', "") + '[[source]]\nkind = "drop"\n')
    reload(running)
    write(running, "readings,device=d2 temperature=99 5", "readings,device=d1 temperature=20 5")
    wait_phase(running, "firing", device="d2", rule="hot")
    wait_for(lambda: [s["new"] for s in steps(running, "hot", "d1")] == ["firing", "ok"], what="the end")
    assert hook.items == [("firing", "d1")]
    refused = text.replace("[notify.ops]", "[notify.other]")
    running.config_file.write_text(refused)
    assert "ops" in reload(running, status=400)
