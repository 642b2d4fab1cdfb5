"""``cache``: what the service keeps of answers."""

from __future__ import annotations

import json
from typing import Any

import click

from appliance.cli.common import config_option, visible
from appliance.cli.local import get_json
from appliance.clock import iso
from appliance.config import Config


@click.group()
def cache() -> None:
    """Look at the answers that are kept for whoever asks again."""


@cache.command()
@click.option("--json", "as_json", is_flag=True, help="One object.")
@config_option
def status(*, config: Config, as_json: bool) -> None:
    """Show how often answers were kept, and which are; those that save most come first.

    \b
    Example:
      appliance cache status
    """
    found: Any = get_json(config.data_dir, "/api/cache")
    if as_json:
        click.echo(json.dumps(found))
        return
    asked = found["hits"] + found["misses"]
    share = f" ({found['hits'] / asked:.0%})" if asked else ""
    click.echo(f"{found['entries']} kept, {found['bytes']:,} of {found['bytes_max']:,} bytes")
    click.echo(f"{found['hits']:,} of {asked:,} questions had a kept answer{share}, {found['partial_hits']:,} more a kept part of one")
    click.echo(
        f"{found['saved_s']:.1f} s saved; {found['invalidated']:,} were changed by records, {found['evicted']:,} gave room", nl=False
    )
    click.echo(f", {found['warmed']:,} were computed again before anybody asked")
    for row in found["rows"]:
        what = f"{row['kind']:6} {row['hits']:7,} x {row['cost_ms']:8.1f} ms {row['bytes']:10,} bytes  {iso(row['made_us'])}"
        click.echo(f"{what}  {', '.join(row['streams'])}: {visible(' '.join(row['sql'].split()))}")
