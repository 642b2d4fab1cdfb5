"""``check-config``, ``init`` and ``reload``: see what a config says before the box does what it says."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import urlencode

import click

from appliance.cli.common import config_option, data_dir_option, print_table, visible
from appliance.cli.local import post_json
from appliance.config import Config
from appliance.config_shown import shown_options
from appliance.errors import ConfigRefused, UsageRefused
from appliance.observe.author import author
from appliance.option_docs import config_schema, example_config


@click.command("check-config")
@click.option("--schema", is_flag=True, help="Print the JSON Schema of the config instead.")
@config_option
def check_config(*, config: Config, schema: bool) -> None:
    """Check the config, its rules and channels too, and show every value with its origin.

    \b
    Example:
      appliance check-config --config /etc/appliance/appliance.toml
    """
    if schema:
        click.echo(json.dumps(config_schema(), indent=2))
        return
    from appliance.alerting.alerting import check_alerts  # late: it loads Arrow
    from appliance.batching.report_definitions import check_reports

    check_alerts(config)
    check_reports(config)
    print_table(["option", "value", "from"], shown_options(config))


@click.command()
@click.option("--force", is_flag=True, help="Write over a config that is there.")
@data_dir_option
def init(*, data_dir: Path, force: bool) -> None:
    """Make the data folder and a commented config in it.

    \b
    Example:
      appliance init --data-dir ./data
    """
    file = data_dir / "appliance.toml"
    if file.exists() and not force:
        raise UsageRefused(f"{file} is there already; --force writes over it")
    data_dir.mkdir(parents=True, exist_ok=True)
    file.write_text(example_config(), encoding="utf-8")
    click.echo(f"{file} written; next: appliance check-config --data-dir {data_dir}, then: appliance run --data-dir {data_dir}", err=True)


@click.command()
@data_dir_option
def reload(*, data_dir: Path) -> None:
    """Have the running service read its config again; one that can't be used is refused whole, and the old one stays in force.

    \b
    Example:
      appliance reload
    """
    click.echo(visible(post_json(data_dir, f"/api/reload?{urlencode({'author': author()})}", {}, refused=ConfigRefused)["changed"]))
