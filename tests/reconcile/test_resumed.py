"""The slow pass comes by itself, and one that was killed goes on where it was: nothing is looked at twice, nothing is left out."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from tests.reconcile.world import World, flip_a_value
from tests.running import Running, wait_for


def looked(folder: Path) -> dict[int, int]:
    """Segment -> when it was found right."""
    with closing(sqlite3.connect(f"file:{folder}/hot.sqlite?mode=ro", uri=True)) as db:
        db.execute("PRAGMA busy_timeout=5000")
        return dict(db.execute("SELECT segment_id, at_us FROM segment_look").fetchall())


def first_over(service: Running) -> dict[str, Any] | None:
    """The first pass that is over; None: there is none."""
    rows = service.query("SELECT state, interrupted, words FROM _job_history WHERE name = '_reconcile' ORDER BY id LIMIT 1")
    return rows[0] if rows and rows[0]["state"] not in ("waiting", "running") else None


def test_a_pass_that_was_killed_goes_on_where_it_was_and_comes_to_the_same(tmp_path: Path) -> None:
    world = World(tmp_path / "data")
    world.close()
    (_, early), (second, _), (third, _), (_, late) = world.segments()
    for path in (early, late):
        flip_a_value(world.folder / path)
    service = Running(world.folder, sources="source = []\n", module=("tests.reconcile.program", "run")).start()
    wait_for(lambda: looked(world.folder), what="a part of the pass")
    service.kill()
    before = looked(world.folder)
    assert set(before) == {second}, "it was in the middle"
    service.start()
    try:
        done = wait_for(lambda: first_over(service), what="the rest of the pass")
        assert (done["state"], done["interrupted"]) == ("done", 1)
        assert done["words"].startswith("1 segments ("), "those that are damaged were set aside by the start"
        assert looked(world.folder).keys() == {second, third}
        assert looked(world.folder)[second] == before[second]
        found = service.query('SELECT kind, "where", state FROM _divergence ORDER BY id')
        assert sorted((f["kind"], f["where"], f["state"]) for f in found) == sorted(("segment damaged", p, "open") for p in (early, late))
    finally:
        assert service.stop() == 0
