"""A real service: what goes wrong is seen by itself, named by the command, mended where that can be proven, and said everywhere."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.clock import NOON_US
from tests.http.sse import EventReader
from tests.reconcile.world import flip_a_value
from tests.running import Running, run_command, wait_for

CONFIG = '[roll]\nevery = "1h"\nrows_max = 40\n[compact]\nenabled = false\n[limits]\ndisk_free_min = "1MiB"\n'


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Running]:
    """Three segments, and two hot batches."""
    running = Running(tmp_path / "data", config=CONFIG).start()
    for day in range(3):
        assert running.write(lines(day * 100, day=day - 3, rows=40)) == 204
        wait_for(lambda: rolled(running) == 40 * (day + 1), what="the roll", deadline_s=20)  # noqa: B023 - waited for at once
    for part in range(2):
        assert running.write(lines(1000 + part * 10, day=0, rows=10)) == 204
    yield running
    running.stop()


def lines(first: int, *, day: int, rows: int) -> str:
    return "\n".join(
        f"readings,device=d{i % 3} value={first + i}.0 {NOON_US + day * 86_400_000_000 + (first + i) * 1_000_000}" for i in range(rows)
    )


def rolled(running: Running) -> int:
    return sum(s["cold_rows"] for s in running.status()["streams"] if s["name"] == "readings")


def reconcile(running: Running, *more: str) -> tuple[int, list[dict[str, Any]]]:
    """The exit status and what was found."""
    done = run_command("reconcile", "--format", "json", "--data-dir", str(running.folder), "--config", str(running.config_file), *more)
    assert done.returncode in (0, 3), done.stderr
    return done.returncode, json.loads(done.stdout)["findings"]


def segments(running: Running) -> list[Path]:
    return sorted((running.folder / "lake" / "readings").rglob("*.parquet"))


def break_three_things(running: Running) -> tuple[Path, Path]:
    """One segment removed, one bit of another flipped, one hot batch deleted."""
    gone, flipped, *_ = segments(running)
    gone.unlink()
    flip_a_value(flipped)
    with closing(sqlite3.connect(running.folder / "hot.sqlite", isolation_level=None)) as db:
        db.execute("PRAGMA busy_timeout=5000")
        db.execute("DELETE FROM batch WHERE id = (SELECT min(id) FROM batch)")
    return gone, flipped


def test_what_is_broken_is_named_mended_where_proven_and_the_rest_is_said(service: Running) -> None:
    assert reconcile(service) == (0, [])
    gone, flipped = break_three_things(service)
    status, found = reconcile(service)
    assert status == 3
    assert sorted((f["kind"], f["where"]) for f in found) == sorted(
        [
            ("rows missing", "hot.sqlite batch"),
            ("segment damaged", str(flipped.relative_to(service.folder))),
            ("segment missing", str(gone.relative_to(service.folder))),
        ]
    )
    status, found = reconcile(service, "--repair")
    assert status == 3
    assert {f["kind"]: f["state"] for f in found} == {
        "rows missing": "repaired",
        "segment damaged": "unmendable",
        "segment missing": "unmendable",
    }
    status, found = reconcile(service)
    assert status == 3
    assert sorted(f["kind"] for f in found) == ["segment damaged", "segment missing"], "exactly the rest that can't be mended"
    assert service.query("SELECT count(*) AS n FROM readings") == [{"n": 60}]
    rows = service.query("SELECT kind, state FROM _divergence ORDER BY kind")
    assert rows == [
        {"kind": "rows missing", "state": "repaired"},
        {"kind": "segment damaged", "state": "unmendable"},
        {"kind": "segment missing", "state": "unmendable"},
    ]
    assert [p for p in service.status()["problems"] if p["what"].startswith("segment damaged: ")]


def test_a_file_that_is_put_back_is_in_service_again(service: Running) -> None:
    place = segments(service)[0]
    kept = place.read_bytes()
    place.unlink()
    assert reconcile(service, "--repair")[0] == 3
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(kept)
    status, [found] = reconcile(service, "--repair")
    assert (status, found["state"]) == (0, "repaired")
    assert reconcile(service, "--full") == (0, [])
    assert service.query("SELECT count(*) AS n FROM readings") == [{"n": 140}]


def test_without_a_service_the_folder_is_looked_at_and_mended(service: Running) -> None:
    service.stop()
    assert reconcile(service) == (0, [])
    _, flipped = break_three_things(service)
    before = (service.folder / "hot.sqlite").read_bytes()
    status, found = reconcile(service, "--full")
    assert (status, len(found)) == (3, 3)
    assert (service.folder / "hot.sqlite").read_bytes() == before, "without --repair nothing is written"
    status, found = reconcile(service, "--repair")
    assert status == 3
    assert {f["state"] for f in found} == {"unmendable"}, "no memory has the rows of the hot store any more"
    assert not flipped.exists()
    service.start()
    assert service.query("SELECT count(*) AS n FROM readings") == [{"n": 50}]
    assert reconcile(service)[0] == 3


def test_the_service_sees_by_itself_what_happens_to_the_hot_store_and_tells_those_who_follow(service: Running) -> None:
    followed = EventReader(service, "?topics=divergence")
    with closing(sqlite3.connect(service.folder / "hot.sqlite", isolation_level=None)) as db:
        db.execute("PRAGMA busy_timeout=5000")
        db.execute(
            "UPDATE batch SET body = CAST(substr(body, 1, 40) || x'00' || substr(body, 42) AS BLOB) WHERE id = (SELECT max(id) FROM batch)"
        )

    def seen() -> Any:
        status, body = service.request("GET", "/api/consistency")
        assert status == 200, body
        picture = json.loads(body)
        return picture if picture["open"] else None

    picture = wait_for(seen, what="the damaged batch to be seen")
    assert [f["kind"] for f in picture["open"]] == ["batch damaged"]
    assert not picture["is_consistent"]
    assert {p["kind"] for p in picture["passes"]} >= {"hot", "newest"}
    [stream] = [s for s in picture["streams"] if s["name"] == "readings"]
    assert (stream["hot_ok"], stream["cold_ok"], stream["books"]) == (False, True, "agree")
    told = followed.next()
    assert (told.event, told.data) == ("divergence", picture["open"][0])
    assert reconcile(service, "--repair")[0] == 0
    told = followed.next()
    assert (told.event, told.data["id"], told.data["state"]) == ("divergence", picture["open"][0]["id"], "repaired")
    followed.close()
    assert service.query("SELECT count(*) AS n FROM readings") == [{"n": 140}]
