"""A real service, killed again and again while it takes files: afterwards every record is there once, and every file is in done/."""

from __future__ import annotations

import gzip
import os
import random
from pathlib import Path

import pytest

from tests.running import Running, pause, wait_for

KILLS = 10
SEED = int(os.environ.get("APPLIANCE_TEST_SEED", "20261122"))
ROWS = 200_000
CONFIG = '[limits]\ndisk_free_min = 1\n[roll]\nevery = "1s"\n'


@pytest.mark.timeout(300)
def test_files_are_taken_exactly_once_through_any_number_of_kills(tmp_path: Path) -> None:
    """CSV, JSON lines, line protocol and gzip, several pieces each; more copies of the first one come in between."""
    rng = random.Random(SEED)
    print(f"seed {SEED}: set APPLIANCE_TEST_SEED to repeat")
    files = {
        "a.csv": b"ts,device,n\n" + b"".join(b"%d,d%d,%d\n" % (1_700_000_000 + n, n % 7, n) for n in range(ROWS)),
        "b/part.jsonl": b"".join(b'{"ts":%d,"n":%d}\n' % (1_700_000_000 + n, n) for n in range(ROWS // 2)),
        "c.lp": b"".join(b"c,t=x n=%di %d000000000\n" % (n, 1_700_000_000 + n) for n in range(ROWS // 2)),
        "d.csv.gz": gzip.compress(b"n\n" + b"".join(b"%d\n" % n for n in range(ROWS)), 1),
    }
    service = Running(tmp_path / "box", config=CONFIG)
    service.start()
    inbox = service.folder / "inbox"
    for name, data in files.items():
        _put(inbox, name, data)
    for kill in range(KILLS):
        pause(rng.uniform(0.02, 0.6))
        service.kill()
        if kill == KILLS // 2:
            _put(inbox, "a.csv", files["a.csv"])
        service.start()
    done = inbox / "done"
    wait_for(lambda: all((done / name).exists() for name in (*files, "a.1.csv")), what=f"all files in done/: {service.said()}")
    for stream, count in {"a": ROWS, "b": ROWS // 2, "c": ROWS // 2, "d": ROWS}.items():
        found = service.query(f"SELECT count(*) AS n, count(DISTINCT n) AS different, min(n) AS low, max(n) AS high FROM {stream}")
        assert found == [{"n": count, "different": count, "low": 0, "high": count - 1}], stream
    assert not list((inbox / "failed").iterdir())
    assert service.stop() == 0


def _put(inbox: Path, name: str, data: bytes) -> None:
    path = inbox / name
    path.parent.mkdir(exist_ok=True)
    part = path.with_name(".part")
    part.write_bytes(data)
    part.rename(path)
