"""Audits as batch work of a real service: written whole or not at all, their seals in the chain and in a message, verified, removed."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from appliance.cli.main import run
from appliance.config import load_config
from appliance.errors import ConfigRefused
from tests.running import Running, wait_for

CONFIG = """
[roll]
every = "200ms"

[notify.ops]
url = "file:told.jsonl"

[workload.evidence]
kind = "audit"
since = "3000d"
keep = "400d"
folder = "proof"
notify = ["ops"]
"""


def newest(service: Running) -> dict[str, Any]:
    [row, *_] = json.loads(service.request("GET", "/api/jobs/history?name=evidence")[1])
    found: dict[str, Any] = row
    return found


def ask(service: Running) -> None:
    assert service.request("POST", "/api/jobs/run", body=b'{"name": "evidence"}')[0] == 200


def over(service: Running) -> dict[str, Any]:
    def row() -> dict[str, Any] | None:
        found = newest(service)
        return found if found["state"] not in ("waiting", "running") else None

    found: dict[str, Any] = wait_for(row, what="the audit")
    return found


def told(service: Running, count: int) -> list[dict[str, Any]]:
    file = service.folder / "told.jsonl"
    wait_for(lambda: file.exists() and file.read_text().count("\n") >= count, what=f"{count} messages")
    return [json.loads(line) for line in file.read_text().splitlines()]


def verify(service: Running, bundle: str, *words: str) -> int:
    return run(["audit", "verify", str(service.folder / bundle), "--data-dir", str(service.folder), *words])


def test_an_audit_that_is_killed_is_written_once_verified_told_and_removed_when_its_time_is_over(tmp_path: Path) -> None:
    service = Running(tmp_path / "data", config=CONFIG, sources="source = []\n", module=("tests.faults.program",))
    old = service.folder / "audits" / "proof" / "2019-03-01.7"
    try:
        service.start("--kill-at", "audit.renamed")
        service.write("\n".join(f"readings,device=d{n % 3} value={n} {1_760_000_000_000_000 + n}" for n in range(90)))
        wait_for(lambda: service.query("SELECT * FROM _segments"), what="a roll")
        old.mkdir(parents=True)
        (old / "manifest.json").write_text("{}")
        ask(service)
        wait_for(service.has_died, what="the kill")
        assert len(list((service.folder / "audits" / "proof").iterdir())) == 2
        service.start()
        row = over(service)
        assert (row["state"], row["interrupted"], row["kind"]) == ("done", 1, "audit"), row
        [folder] = (service.folder / "audits" / "proof").iterdir()
        assert row["words"].startswith(f"audits/proof/{folder.name}: ")
        assert "all as it should be" in row["words"]
        assert row["words"].endswith("; 1 removed")
        [message] = told(service, 1)
        seal = row["words"].partition("seal ")[2].partition(";")[0]
        assert seal in json.dumps(message)
        assert verify(service, f"audits/proof/{folder.name}", "--seal", seal) == 0
        chain = (json.loads(line) for (line,) in _chain(service))
        assert [(e["bundle"], e["seal"]) for e in chain if e["kind"] == "audit"] == [(f"audits/proof/{folder.name}", seal)]
        assert service.query("SELECT kind, state FROM _jobs WHERE name = 'evidence'") == [{"kind": "audit", "state": "done"}]

        [segment] = (service.folder / "lake" / "readings").rglob("*.parquet")
        body = bytearray(segment.read_bytes())
        body[len(body) // 2] ^= 1
        segment.write_bytes(body)
        ask(service)
        wait_for(lambda: newest(service)["id"] != row["id"], what="the second")
        assert "1 thing is not as it should be: " + str(segment.relative_to(service.folder)) in over(service)["words"]
        assert "audit evidence: something is not as it should be" in json.dumps(told(service, 2)[1])
        assert verify(service, f"audits/proof/{folder.name}") == 3
    finally:
        if service.is_up:
            service.kill()


def _chain(service: Running) -> list[tuple[str]]:
    with sqlite3.connect(f"file:{service.folder}/hot.sqlite?mode=ro", uri=True) as db:
        return db.execute("SELECT entry FROM chain ORDER BY id").fetchall()


def test_two_audits_do_not_share_a_folder(tmp_path: Path) -> None:
    file = tmp_path / "appliance.toml"
    file.write_text('[workload.a]\nkind = "audit"\n[workload.b]\nkind = "audit"\nfolder = "A"\n')
    with pytest.raises(ConfigRefused, match='is made by "b" already'):
        load_config(data_dir=tmp_path, file=file)
