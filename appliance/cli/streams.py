"""``streams``, ``tail`` and ``latest``: what there is, as it comes, and as it stands."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator
from http.client import HTTPException
from pathlib import Path
from typing import Any, Final

import click

from appliance.cli.common import data_dir_option, print_table, visible
from appliance.cli.local import get_json, get_lines
from appliance.cli.status import read_status
from appliance.clock import SystemClock, iso
from appliance.errors import NotRunning, RetryLater, UsageRefused

RECONNECT_S: Final = 0.5
"""How often ``tail`` looks whether the service is there again."""


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

    When the service restarts it goes on behind the last record that it showed.

    \b
    Example:
      appliance tail room
    """
    for line in _followed(data_dir, stream):
        sys.stdout.write(line.decode("utf-8", "replace"))
        sys.stdout.flush()


def _followed(data_dir: Path, stream: str) -> Iterator[bytes]:
    """The lines of a stream, over restarts of the service; what the first answer refuses is raised."""
    place: int | None = None
    is_known = is_lost = False
    pause = threading.Event()

    def answered() -> None:
        nonlocal is_known, is_lost
        if is_lost:
            where = "from now on" if place is None else f"behind record {place}"
            click.echo(f"the service is there again; following {stream} {where}", err=True)
        is_known, is_lost = True, False

    while True:
        parameters = {"stream": stream, **({} if place is None else {"after": str(place)})}
        try:
            for line in get_lines(data_dir, "/api/tail", parameters, answered):
                if not line.endswith(b"\n"):
                    break  # cut off with the service: the whole of it comes again
                place = json.loads(line).get("_seq", place)
                yield line
        except (NotRunning, RetryLater, OSError, HTTPException):
            if not is_known:
                raise
        if not is_lost:
            click.echo("the service has gone; waiting until it is there again", err=True)
            is_lost = True
        pause.wait(RECONNECT_S)


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
