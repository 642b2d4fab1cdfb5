"""Reports of a day with ten million records, through the query processes of a service with one thread each, files written and synced."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from appliance.clock import US_PER_DAY
from tests.bench.query_lake import cpu_rows, register, write_segment
from tests.bench.report import Row, note
from tests.reports.living import living

HOSTS, PARTS, STEPS = 100, 10, 10_000
STEP_US = US_PER_DAY // (PARTS * STEPS)
FIRST_US = 20_454 * US_PER_DAY
LIMIT_S = 5.0
OWN = '''
[workload.load]
kind = "report"
formats = ["html", "md", "csv", "json"]
text = """
```sql title="By host" key=hostname
SELECT hostname, count(*) AS n, avg(usage_user) AS mean, max(usage_user) AS peak, quantile_cont(usage_user, 0.95) AS p95
FROM cpu WHERE ts >= {since} AND ts < {until} GROUP BY ALL ORDER BY ALL
```
```chart line title="Mean of each region" by=region
SELECT time_bucket(INTERVAL '10 minutes', ts) AS slot, region, avg(usage_user) AS mean
FROM cpu WHERE ts >= {since} AND ts < {until} GROUP BY ALL
```
```chart bar title="Above 95"
SELECT time_bucket(INTERVAL '1 hour', ts) AS hour, count(*) AS n
FROM cpu WHERE ts >= {since} AND ts < {until} AND usage_user > 95 GROUP BY ALL
```
"""
'''


def rows() -> Iterator[Row]:
    """Issued twice: as the first revision, and again, which finds that nothing differs."""
    with tempfile.TemporaryDirectory(prefix="bench") as name:
        folder = Path(name)
        segments = [
            write_segment(
                folder / "data",
                cpu_rows(
                    hosts=HOSTS, first_us=FIRST_US + p * STEPS * STEP_US, steps=STEPS, step_us=STEP_US, first_seq=1 + p * STEPS * HOSTS
                ),
                number=p + 1,
            )
            for p in range(PARTS)
        ]
        register(folder / "data", segments)
        total = sum(s.rows for s in segments)
        note(f"{total:,} records of 10 tags and 10 fields of one day in {PARTS} segments")
        yield from asyncio.run(_measured(folder, total))


async def _measured(folder: Path, total: int) -> list[Row]:
    found = []
    async with living(folder, OWN, head='[node]\nname = "bench"\n', now_us=FIRST_US + 2 * US_PER_DAY) as box:
        await box.sql("SELECT 1 AS warm")
        for report in ("daily", "load"):
            for which in ("issued", "made again, nothing differs"):
                at = time.perf_counter()
                done = await box.run(report, day=_DAY)
                took = time.perf_counter() - at
                assert "revision 1" in done.words, done.words
                found.append(
                    Row(
                        f"report {report} of a day of {total / 1e6:.0f} M records, {which}",
                        f"{took:.2f} s",
                        f"<= {LIMIT_S:g} s",
                        took <= LIMIT_S,
                    )
                )
    return found


_DAY = "2026-01-01"
"""The day that begins at ``FIRST_US``."""
