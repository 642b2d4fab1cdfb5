"""``sessions``: the open ones and the newest that are over, asked in SQL like any other question."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click

from appliance.cli.query import query

_SQL: Final = """SELECT workload, key, start, "end", duration_s, records, is_open FROM _sessions{where}
ORDER BY is_open DESC, start DESC LIMIT {limit}"""


@click.command()
@click.argument("workload", required=False)
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 1_000_000), help="At most N of them.")
@click.option("--json", "as_json", is_flag=True, help="One array of objects.")
@click.option(
    "--data-dir", type=click.Path(path_type=Path, file_okay=False), help="The data folder. Default: $STATE_DIRECTORY, else ./data."
)
@click.option("--config", "config_file", type=click.Path(path_type=Path, dir_okay=False), help="The config. Default: DIR/appliance.toml.")
@click.pass_context
def sessions(
    context: click.Context, workload: str | None, *, limit: int, as_json: bool, data_dir: Path | None, config_file: Path | None
) -> None:
    """Show open sessions, of all workloads or of one, and the newest that are over.

    \b
    Example:
      appliance sessions visits
    """
    where = "" if workload is None else " WHERE lower(workload) = lower({})".format("'" + workload.replace("'", "''") + "'")
    sql = _SQL.format(where=where, limit=limit)
    context.invoke(query, sql=sql, format_="json" if as_json else "table", data_dir=data_dir, config_file=config_file)
