"""Evidence and models of a real service, by the command line: written, checked, changed by hand; swapped while a rule runs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from appliance.batching.models import ModelStore
from appliance.box import Box, no_step
from appliance.cli.main import run
from appliance.clock import US_PER_S, SystemClock
from appliance.cold.batch.training.judging import Judged
from appliance.config import load_config
from appliance.hot.stream.baselines import Baselines
from tests.alerting.hooks import T0, firing, told, write
from tests.running import Running, wait_for

CONFIG = """
[roll]
every = "200ms"

[alerts]
grace = "100ms"

[workload.above]
kind = "alert"
stream = "power"
when = "watts > 1.5 * baseline(watts)"
notify = ["ops"]
"""
NAME = "baseline(power.watts)"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder: Path = tmp_path_factory.mktemp("live")
    with told(folder, CONFIG) as (running, _):
        now_s = SystemClock().now_us() // US_PER_S
        hour_s = now_s // 3600 * 3600
        write(running, *(f"power,device=saw watts=100 {hour_s - w * 604_800 + m * 60 - T0}" for w in (2, 1) for m in range(0, 180, 10)))
        wait_for(lambda: running.query("SELECT * FROM _models WHERE active"), what="the model that the rule asks for")
        yield running


def command(running: Running, *words: str) -> int:
    return run([*words, "--data-dir", str(running.folder)])


def test_a_model_is_swapped_while_its_rule_runs_and_rolled_back_with_one_command(service: Running) -> None:
    service.stop()
    box = Box(load_config(data_dir=service.folder, file=service.config_file))
    box.start()
    store = ModelStore(box, Baselines(), clock=SystemClock(), step=no_step)
    model = store.active(NAME)
    assert model is not None
    tenfold = [[None if v is None else 10 * v for v in row] for row in model.body["hours"]]
    store.add(replace(model, made_us=SystemClock().now_us(), body={"hours": tenfold}), Judged(True, "for the test"), keep=10)
    box.close()
    service.start()
    now_s = SystemClock().now_us() // US_PER_S
    write(service, f"power,device=saw watts=500 {now_s - T0}", f"power,device=saw watts=501 {now_s - T0 + 1}")
    wait_for(lambda: service.query("SELECT count(*) AS c FROM power WHERE watts > 400") == [{"c": 2}], what="the records")
    assert firing(service, "above") == []
    assert command(service, "models", "rollback", NAME) == 0
    write(service, f"power,device=saw watts=502 {now_s - T0 + 2}")
    wait_for(lambda: firing(service, "above"), what="the rule, by the version before")
    service.kill()
    service.start()
    assert service.query("SELECT version, active FROM _models ORDER BY version") == [
        {"version": 1, "active": True},
        {"version": 2, "active": False},
    ]


def test_models_are_listed_and_shown(service: Running, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(service, "models") == 0
    assert NAME in capsys.readouterr().out
    assert command(service, "models", "show", NAME) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["name"], shown["trained_on"]["stream"]) == (NAME, "power")
    assert command(service, "models", "rollback", "no-such") == 2


def test_a_bundle_of_the_last_two_days_is_whole_until_somebody_changes_something(
    service: Running, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = tmp_path / "bundle"
    assert command(service, "alerts", "silence", "device=saw", "--for", "1h", "--comment", "new blade") == 0
    wait_for(lambda: service.query("SELECT count(*) AS c FROM power_hot") == [{"c": 0}], what="the roll")
    assert command(service, "audit", "--since", "30d", "-o", str(bundle)) == 0
    assert command(service, "audit", "verify", str(bundle)) == 0
    people = [json.loads(line) for line in (bundle / "people.jsonl").read_text().splitlines()]
    assert [(p["kind"], p["why"]) for p in people] == [("silence", "new blade")]
    kinds = [json.loads(line)["kind"] for line in (bundle / "config.jsonl").read_text().splitlines()]
    assert {"begin", "start", "config", "model", "stop"} <= set(kinds)
    service.stop()
    path = (bundle / "segments.sha256").read_text().split()[1]
    body = bytearray((service.folder / path).read_bytes())
    body[40] ^= 1
    (service.folder / path).write_bytes(body)
    capsys.readouterr()
    assert command(service, "audit", "verify", str(bundle)) == 3
    assert f"{path}: has the SHA-256" in capsys.readouterr().out
    assert command(service, "audit", "verify", str(bundle), "--alone") == 0
    assert command(service, "audit", "-o", str(bundle)) == 2
