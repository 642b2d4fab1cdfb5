"""Reports made by hand, for what renders and compares them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

from appliance.cold.batch.reports.document import Box, Chart, Query, Text
from appliance.cold.batch.reports.period import period_of
from appliance.cold.batch.reports.tables import plain_table
from appliance.cold.batch.reports.values import CellKind, Part, Report, Table, Used

BERLIN = ZoneInfo("Europe/Berlin")
PERIOD = period_of(date(2026, 11, 21), covers="day", zone=BERLIN)
HOUR = 3_600_000_000
HOSTILE = '<script>document.title="owned"</script>'
HEAD: Sequence[tuple[str, CellKind]] = (("hour", "time"), ("device", "text"), ("mean", "number"))


def course(devices: Sequence[str] = ("d1", HOSTILE), *, hours: int = 24, gap: range = range(8, 12)) -> Table:
    """A value an hour for each device, with a gap."""
    rows = [
        (PERIOD.since_us + h * HOUR, d, 20.0 + 5 * n + (h % 7) / 3) for h in range(hours) if h not in gap for n, d in enumerate(devices)
    ]
    return plain_table(HEAD, rows)


def report(parts: Sequence[Part] | None = None, **more: Any) -> Report:
    """One with a text, a table, a chart, something of the box, and a part that failed."""
    table = plain_table((("device", "text"), ("n", "number"), ("newest", "time")), [("d1", 4711, PERIOD.until_us - 1), (HOSTILE, 3, None)])
    usual = (
        Part(Text("## Of *yesterday*\n\nsee [here](https://example.com) ![x](http://example.com/x.png)")),
        Part(Query("SELECT 1", title="By device", key=("device",)), table),
        Part(Chart("SELECT 2", title="Course", unit="°C"), course()),
        Part(Box("disk", "Disk"), plain_table((("what", "text"), ("value", "text")), [("free", "1 GiB")])),
        Part(Query("SELECT nothing", title="Broken"), error='Binder Error: no column "nothing"'),
    )
    given: dict[str, Any] = {
        "name": "daily",
        "title": "The day of <b>d1</b>",
        "node": "press-line-3",
        "period": PERIOD,
        "zone": "Europe/Berlin",
        "parameters": {"device": "d1"},
        "made_us": PERIOD.until_us + HOUR,
        "is_over": True,
        "used": (Used("readings", 4711, 4714, PERIOD.until_us - 1, ("2026-11-21",)),),
        "notes": ("stream readings: 5 records are not in this answer",),
    }
    return Report(parts=tuple(usual if parts is None else parts), **{**given, **more})
