"""Refused records are taken when they are sent again after the cause was mended, and stay where they are until then."""

from __future__ import annotations

import json
from pathlib import Path

from tests.running import Running, running, wait_for


def letters(service: Running) -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads(service.command("deadletter", "list", "--json").stdout)
    return found


def test_a_letter_is_refused_again_until_its_cause_is_gone_and_then_taken_once(tmp_path: Path) -> None:
    limited = "[limits]\nseries_max = 1\n"
    with running(tmp_path / "data", config=limited) as service:
        assert service.write("room,sensor=a t=1 1760000000000000") == 204
        assert service.write("room,sensor=b t=2 1760000000000000") == 400
        assert [x["reason"] for x in letters(service)]
        again = service.command("deadletter", "replay", "--all")
        assert again.returncode == 1
        assert "refused again" in again.stdout
    with running(tmp_path / "data") as service:
        assert service.command("deadletter", "replay", "--stream", "room").returncode == 0
        assert letters(service) == []
        assert service.query("SELECT sensor, t FROM room ORDER BY sensor") == [{"sensor": "a", "t": 1.0}, {"sensor": "b", "t": 2.0}]


def test_a_refused_row_of_a_file_is_replayed_without_a_service(tmp_path: Path) -> None:
    service = Running(tmp_path / "data").start()
    assert service.write("plant,cell=x n=1i 1760000000000000") == 204
    inbox = tmp_path / "data" / "inbox"
    (inbox / "plant.csv").write_text("ts,cell,n\n2026-01-01T00:00:00Z,y,2\n2026-01-01T00:00:01Z,z,many\n")
    wait_for(lambda: letters(service), what="the refusal")
    wait_for(lambda: (inbox / "done" / "plant.csv").exists(), what="the file to be done")
    assert service.stop() == 0
    refused = service.command("deadletter", "replay", "--all", "--config", str(service.config_file))
    assert refused.returncode == 1
    assert "many" in refused.stdout
    assert len(letters(service)) == 1
