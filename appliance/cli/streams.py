"""``streams``, ``tail`` and ``latest``: what there is, as it comes, and as it stands."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click

from appliance.cli.common import data_dir_option, print_table, visible
from appliance.cli.local import get_json, get_lines
from appliance.cli.status import read_status
from appliance.clock import SystemClock, iso
from appliance.errors import NotRunning, UsageRefused


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One array of objects.")
@data_dir_option
def streams(*, data_dir: Path, as_json: bool) -> None:
    """List the streams with their counts on both sides.

    \b
    Example:
      appliance streams
    """
    found = read_status(data_dir).streams
    if as_json:
        import msgspec

        click.echo(msgspec.json.encode(found).decode())
        return
    now_us = SystemClock().now_us()
    rows = [
        [
            s.name,
            f"{s.records}",
            f"{s.hot_rows}",
            f"{s.cold_rows}",
            f"{s.segments}",
            f"{s.series}",
            f"{s.columns}",
            f"{s.dirty_days}",
            "" if s.last_ts_us is None else iso(s.last_ts_us),
            "" if s.last_arrival_us is None else age(now_us - s.last_arrival_us),
        ]
        for s in found
    ]
    headers = ["stream", "records", "hot", "cold", "segments", "series", "columns", "dirty days", "last record", "arrived"]
    print_table(headers, rows, right=frozenset(range(1, 8)))


@click.command()
@click.argument("stream")
@data_dir_option
def tail(stream: str, *, data_dir: Path) -> None:
    """Follow the records of STREAM as they come, one JSON object a line; ctrl+c ends it.

    \b
    Example:
      appliance tail room
    """
    for line in get_lines(data_dir, "/api/tail", {"stream": stream}):
        sys.stdout.write(line.decode("utf-8", "replace"))
        sys.stdout.flush()


@click.command()
@click.argument("stream")
@click.option("--json", "as_json", is_flag=True, help="One array of objects.")
@data_dir_option
def latest(stream: str, *, data_dir: Path, as_json: bool) -> None:
    """Show the last record of each series of STREAM.

    \b
    Example:
      appliance latest room
    """
    rows = _latest(data_dir, stream)
    if as_json:
        click.echo(json.dumps(rows, ensure_ascii=False))
        return
    headers = list(rows[0]) if rows else []
    print_table(headers, [["" if row[h] is None else visible(str(row[h])) for h in headers] for row in rows])


def _latest(data_dir: Path, stream: str) -> list[dict[str, Any]]:
    try:
        found = get_json(data_dir, "/api/latest", {"stream": stream})
    except NotRunning:
        from appliance.serving.folder import latest_rows

        found = latest_rows(data_dir, stream)
    if not isinstance(found, list):
        raise UsageRefused(f"the service gave no rows for stream {stream!r}")
    return found


def age(us: int) -> str:
    """A span for people: the two largest units at most."""
    seconds = max(0, us // 1_000_000)
    for size, unit, smaller, small_unit in ((86_400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if seconds >= size:
            rest = seconds % size // smaller
            return f"{seconds // size}{unit}" + (f" {rest}{small_unit}" if rest else "") + " ago"
    return f"{seconds}s ago"
