"""From a record over the threshold to the message, through the whole service."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.alerting.hooks import RULE, alerts, told, wait_phase, write
from tests.running import QUIET, ROOT, wait_for


def test_a_record_over_the_threshold_is_told_once_and_so_is_its_end(tmp_path: Path) -> None:
    with told(tmp_path) as (running, hook):
        write(running, "readings,device=d1 temperature=20 0", "readings,device=d2 temperature=20 0")
        write(running, "readings,device=d1 temperature=200 1")
        wait_for(lambda: hook.items == [("firing", "d1")], what="the message")
        found = wait_phase(running, "firing")
        assert found["values"] == {"avg(temperature)": 110.0}
        write(running, "readings,device=d2 temperature=20 60")  # time goes on without d1
        assert wait_phase(running, "nodata")["was"] == "firing"
        write(running, "readings,device=d1 temperature=20 100")
        wait_for(lambda: hook.items == [("firing", "d1"), ("resolved", "d1")], what="the end")
        assert [a for a in alerts(running) if a["phase"] == "firing"] == []


def test_a_restart_repeats_nothing_and_forgets_nothing(tmp_path: Path) -> None:
    with told(tmp_path, RULE.replace("severity =", 'for = "10s"\nseverity =')) as (running, hook):
        write(running, "readings,device=d1 temperature=90 0", "readings,device=d2 temperature=90 0")
        write(running, "readings,device=d1 temperature=90 20")
        wait_for(lambda: hook.items == [("firing", "d1"), ("firing", "d2")] or len(hook.items) == 2, what="both")
        write(running, "readings,device=d3 temperature=95 25")
        wait_phase(running, "pending", device="d3")
        running.kill()
        running.start()
        assert wait_phase(running, "firing")["fired_us"] is not None
        wait_phase(running, "pending", device="d3")
        write(running, "readings,device=d3 temperature=95 36")
        wait_for(lambda: ("firing", "d3") in hook.items, what="the third")
        assert sorted(hook.items) == [("firing", "d1"), ("firing", "d2"), ("firing", "d3")]
        assert len(set(hook.keys)) == len(hook.keys)


def test_the_record_that_makes_a_stream_is_evaluated_like_any_other(tmp_path: Path) -> None:
    rule = RULE.replace("over = ", "# over = ").replace("avg(temperature)", "temperature")
    with told(tmp_path, rule) as (running, hook):
        write(running, "readings,device=d1 temperature=90 0", "readings,device=d1 temperature=20 1", "readings,device=d1 temperature=95 2")
        wait_for(lambda: hook.items, what="the message")
        status, said = running.request("GET", "/api/alerts/history?limit=10")
        assert status == 200
        steps = [(t["new"], t["seq"]) for t in reversed(json.loads(said))]
        assert steps == [("firing", 1), ("ok", 2), ("firing", 3)]


def test_what_was_committed_and_not_evaluated_before_a_kill_is_evaluated_after_it(tmp_path: Path) -> None:
    rule = RULE.replace("over = ", "# over = ").replace("avg(temperature)", "temperature")
    with told(tmp_path, rule) as (running, hook):
        write(running, "readings,device=d1 temperature=20 0")
        wait_for(lambda: running.request("GET", "/api/alerts")[0] == 200, what="alerts")
        running.stop()
        held = running.config_file.read_text()
        running.config_file.write_text(held.split("[workload.overheating]")[0] + QUIET)
        running.start()
        write(running, "readings,device=d1 temperature=90 100", "readings,device=d1 temperature=20 101")
        running.stop()
        running.config_file.write_text(held)
        running.start()
        write(running, "readings,device=d1 temperature=91 102")
        wait_for(lambda: ("firing", "d1") in hook.items, what="the message")


def test_a_config_that_comes_after_the_start_is_found_by_a_reload(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    environment = {"APPLIANCE__HTTP__LISTEN": "", "PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT)}
    command = [str(Path(sys.executable).with_name("appliance"))]
    service = subprocess.Popen([*command, "run", "--data-dir", str(folder)], cwd=ROOT, env=environment, stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: _ran(command, "status", folder, environment)[0] == 0, what="the service")
        (folder / "appliance.toml").write_text(RULE.replace('notify = ["ops"]', ""))
        assert _ran(command, "reload", folder, environment) == (0, "the config is right; rules, batch work and channels are in force\n")
        (folder / "appliance.toml").write_text(RULE)
        assert _ran(command, "reload", folder, environment)[0] == 2
    finally:
        service.terminate()
        service.wait(30)


def _ran(command: list[str], what: str, folder: Path, environment: dict[str, str]) -> tuple[int, str]:
    done = subprocess.run(
        [*command, what, "--data-dir", str(folder)], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout
