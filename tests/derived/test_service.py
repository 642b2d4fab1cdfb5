"""A changed bucket of a view, beside a running service: named, mended, and gone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tests.clock import NOON_US
from tests.reconcile.test_running import reconcile
from tests.running import Running, wait_for
from tests.views.house import HOURLY

CONFIG = f"""
[workload.hourly]
kind = "view"
bucket = "1h"
settle = "0s"
sql = "{HOURLY}"
"""


def named(found: tuple[int, list[dict[str, Any]]]) -> tuple[int, list[str]]:
    return found[0], sorted({row["kind"] for row in found[1] if row["state"] in ("open", "unmendable")})


def test_a_changed_bucket_of_a_view_is_named_and_mended(tmp_path: Path) -> None:
    running = Running(tmp_path / "data", config=CONFIG, sources="source = []\n").start()
    try:
        lines = "".join(f"readings,device=d{n % 2} value={n}i {NOON_US - 30 * 86_400_000_000 + n * 600_000_000}\n" for n in range(60))
        assert running.write(lines) == 204
        ask = "SELECT * FROM hourly ORDER BY ALL"
        wait_for(lambda: list((running.folder / "views").rglob("*.parquet")), what="the view to be made")
        before = running.query(ask)
        (path,) = (running.folder / "views").rglob("*.parquet")
        table = pq.read_table(path)
        high = table.column("high").to_pylist()
        values = pa.array([high[0] + 1, *high[1:]], table.schema.field("high").type)
        pq.write_table(table.set_column(table.column_names.index("high"), "high", values), path)
        status, kinds = named(reconcile(running, "--full"))
        assert (status, kinds[-1]) == (3, "view file changed"), json.dumps(kinds)
        assert named(reconcile(running, "--full", "--repair")) == (0, [])
        assert running.query(ask) == before
    finally:
        running.stop()
