"""Live and rehearsal over the recorded sample data: the same rules, the same records, the same transitions."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.alerting.hooks import told
from tests.running import ROOT, Running, wait_for

SAMPLES = ROOT / "data" / "samples"
RULES = """
[alerts]
grace = "100ms"

[workload.busy]
kind = "alert"
stream = "machine_cpu"
by = ["cpu"]
over = "30s"
when = "avg(busy) > 90"
clear = "avg(busy) < 85"

[workload.busy_for]
kind = "alert"
stream = "machine_cpu"
when = "busy > 95"
for = "6s"
keep = "4s"
nodata = "20s"

[workload.tumbling]
kind = "alert"
stream = "machine_cpu"
by = ["cpu"]
over = "20s"
window = "tumbling"
when = "quantile(busy, 0.9) > 99 and stddev(busy) > 1"

[workload.sudden]
kind = "alert"
stream = "machine_load"
when = "delta(load1) > 0.5 or rate(load1) < -0.1"
flap_max = 3

[workload.load]
kind = "alert"
stream = "machine_load"
over = "1min"
when = "max(load1) - min(load1) > 1 and count(*) > 10"
nodata = "10s"

[workload.memory]
kind = "alert"
stream = "machine_memory"
when = "used_percent > 7 and used / total > 0.05"
for = "10s"
"""
NAMES = ("busy", "busy_for", "tumbling", "sudden", "load", "memory")


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder: Path = tmp_path_factory.mktemp("live")
    with told(folder, RULES) as (running, _hook):
        load = (SAMPLES / "machine_load.lp").read_bytes().splitlines(keepends=True)
        for first in range(0, len(load), 37):
            status, said = running.request("POST", "/write?db=x&precision=ns", body=b"".join(load[first : first + 37]))
            assert status == 204, said
        for name, head in (("machine_cpu.csv", 1), ("machine_memory.jsonl", 0)):
            lines = (SAMPLES / name).read_bytes().splitlines(keepends=True)
            for part, first in enumerate(range(head, len(lines), 200)):
                piece = running.folder.parent / f"{part}-{name}"
                piece.write_bytes(b"".join([*lines[:head], *lines[first : first + 200]]))
                done = running.command("ingest", str(piece), "--stream", name.split(".")[0])
                assert done.returncode == 0, done.stderr
        yield running


def live(running: Running, rule: str) -> list[dict[str, Any]]:
    """What has happened, as SQL shows it."""
    rows = running.query(
        'SELECT key, kind, "old", "new", epoch_us("at") AS at_us, record_seq AS seq, "values" FROM _alert_history'
        f" WHERE rule = '{rule}' ORDER BY id"
    )
    return [{**r, "rule": rule, "key": json.loads(r["key"]), "values": json.loads(r["values"])} for r in rows]


def by_key(rows: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """The transitions of each alert in their order; what the clock alone has done after the last record is left out."""
    found: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        found.setdefault(json.dumps(row["key"]), []).append(row)
    return found


@pytest.mark.parametrize("rule", NAMES)
def test_a_rehearsal_over_the_samples_gives_the_transitions_of_the_live_run(service: Running, rule: str) -> None:
    done = service.command("alerts", "rehearse", rule, "--json", "--config", str(service.config_file))
    assert done.returncode == 0, done.stderr
    rehearsed = by_key(json.loads(done.stdout))

    def same() -> bool:
        found = by_key(live(service, rule))
        last_us = max((t["at_us"] for of in rehearsed.values() for t in of), default=0)
        told = {key: [t for t in of if t["at_us"] <= last_us or t["seq"] is not None] for key, of in found.items()}
        return {k: v for k, v in told.items() if v} == rehearsed

    wait_for(same, what=f"the same transitions of {rule}", deadline_s=20.0)
    assert any(t["new"] == "firing" for of in rehearsed.values() for t in of)


def test_the_timeline_shows_when_it_would_have_fired(service: Running) -> None:
    done = service.command("alerts", "rehearse", "busy", "--config", str(service.config_file))
    assert "█" in done.stdout
    assert "it would have fired" in done.stdout
    new = service.folder.parent / "new.toml"
    new.write_text('[workload.new]\nkind = "alert"\nstream = "machine_load"\nwhen = "load1 > 8.5"\n')
    found = service.command("alerts", "rehearse", "new", "--config", str(new))
    assert "it would have fired" in found.stdout
    nothing = service.command("alerts", "rehearse", "nope", "--config", str(new))
    assert (nothing.returncode, "no rule 'nope'" in nothing.stderr) == (2, True)
