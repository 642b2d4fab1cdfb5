"""``analysis confirm|dismiss``: a person's word about an incident, by the service or into the folder."""

from __future__ import annotations

from typing import Any

import click

from appliance.cli.common import config_option, visible
from appliance.cli.local import post_json
from appliance.config import Config
from appliance.errors import NotRunning, UsageRefused
from appliance.observe.author import author as who

author_option = click.option("--author", default=who, show_default="user@host", help="Who says it.")
comment_option = click.option("--comment", default="", help="Why; kept with it.")


@click.command("confirm")
@click.argument("incident", type=click.IntRange(1))
@comment_option
@author_option
@config_option
def confirm(*, config: Config, incident: int, comment: str, author: str) -> None:
    """Say that an incident was one. It counts from now on, and the next training learns from it.

    \b
    Example:
      appliance analysis confirm 12 --comment "the pump was dry"
    """
    _say(config, incident, "confirm", comment, author)


@click.command("dismiss")
@click.argument("incident", type=click.IntRange(1))
@comment_option
@author_option
@config_option
def dismiss(*, config: Config, incident: int, comment: str, author: str) -> None:
    """Say that an incident was none: its alert ends, and the next training learns from it.

    \b
    Example:
      appliance analysis dismiss 12 --comment "we moved the sensor"
    """
    _say(config, incident, "dismiss", comment, author)


def _say(config: Config, incident: int, verdict: str, comment: str, author: str) -> None:
    body = {"author": author, "comment": comment}
    try:
        row: Any = post_json(config.data_dir, f"/api/analysis/{incident}/{verdict}", body, refused=UsageRefused)
    except NotRunning:
        import msgspec

        from appliance.hybrid.analysis.keeping.folder import say_in_folder

        row = msgspec.to_builtins(say_in_folder(config, incident, verdict, author=author, comment=comment))
    click.echo(visible(f"incident {row['id']} is {row['state']}, {row['verdict']}: {row['summary']}"))
