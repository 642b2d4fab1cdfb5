"""``views``: how fresh each view is, and why it can't be used when it can't; ``views refresh NAME`` makes it fresh."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import click

from appliance.cli.common import data_dir_option, print_table, visible
from appliance.cli.local import get_json, post_json
from appliance.cli.streams import age
from appliance.clock import SystemClock, iso
from appliance.errors import NotRunning, UsageRefused

if TYPE_CHECKING:
    from appliance.observe.views import ViewRow

STATUS = ("state", "fresh until", "dirty", "version", "refreshed", "took", "rows", "size")


@click.group(invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True, help="One array of objects.")
@data_dir_option
@click.pass_context
def views(ctx: click.Context, *, data_dir: Path, as_json: bool) -> None:
    """Show the views: up to when they are stored, how many buckets are dirty, what the last refresh took.

    A query of a view is exact in any case: what is dirty or not yet stored is computed from the records.

    \b
    Example:
      appliance views
      appliance views refresh hourly
    """
    if ctx.invoked_subcommand is not None:
        ctx.obj = data_dir
        return
    rows = _read(data_dir)
    if as_json:
        import msgspec

        click.echo(msgspec.json.encode(rows).decode())
        return
    now_us = SystemClock().now_us()
    print_table(["view", "of", "bucket", *STATUS], [_cells(row, now_us) for row in rows], right=frozenset((5, 6, 8, 9, 10)))
    for row in rows:
        for line in _said(row):
            click.echo(visible(f"{row.name}: {line}"))


@views.command()
@click.argument("name")
@data_dir_option
@click.pass_context
def refresh(ctx: click.Context, name: str, *, data_dir: Path) -> None:
    """Make anew what of view NAME is over or dirty, now, and wait for it.

    \b
    Example:
      appliance views refresh hourly
    """
    given = ctx.get_parameter_source("data_dir")
    folder = data_dir if given is not None and given.name != "DEFAULT" else ctx.obj
    answer = post_json(folder, f"/api/views/{quote(name, safe='')}/refresh", {}, refused=UsageRefused)
    click.echo(visible(f"{answer['view']}: {answer['done']}"))


def _read(data_dir: Path) -> list[ViewRow]:
    import msgspec

    from appliance.observe.views import ViewRow

    try:
        found: Any = get_json(data_dir, "/api/views")
    except NotRunning:
        from appliance.serving.folder import open_folder
        from appliance.serving.view_rows import view_rows

        with open_folder(data_dir) as (_, state):
            return view_rows(state)
    return msgspec.convert(found, list[ViewRow])


def _cells(row: ViewRow, now_us: int) -> list[str]:
    from appliance.units import show_duration, show_size

    return [
        row.name,
        row.source,
        "" if row.bucket_s is None else show_duration(row.bucket_s),
        row.state,
        "" if row.fresh_until_us is None else iso(row.fresh_until_us),
        f"{row.dirty_buckets}",
        "" if row.version is None else f"{row.version}",
        "" if row.refreshed_us is None else age(now_us - row.refreshed_us),
        "" if row.cost_s is None else f"{row.cost_s:.2f}s",
        f"{row.rows}",
        show_size(row.bytes) if row.bytes < 1024 else show_size(row.bytes // 1024 * 1024),
    ]


def _said(row: ViewRow) -> list[str]:
    """What a person should know beyond the table."""
    said = []
    if row.reason is not None:
        said.append(row.reason)
    if row.building is not None:
        said.append(f"its SQL has changed: version {row.building} is being made, version {row.version} answers")
    if row.begin_us is not None:
        said.append(f"begins at {iso(row.begin_us)}: the records before were gone when it was defined")
    if row.sealed_us is not None:
        late = f"; {row.late_sealed} records that came since for them are not in it" if row.late_sealed else ""
        said.append(f"buckets before {iso(row.sealed_us)} are sealed: their records are gone, they stay as they are{late}")
    return said
