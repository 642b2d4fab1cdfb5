"""``analysis confirm|dismiss``: a person's word about an incident, by the service or into the folder."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from appliance.cli.common import config_option, visible
from appliance.cli.local import post_json
from appliance.config import Config
from appliance.errors import NotRunning, UsageRefused
from appliance.observe.author import author as who

_Command = Callable[..., None]


def _of_an_incident(command: _Command) -> _Command:
    """What both commands are given: the incident, a comment, who says it, and the config."""
    comment = click.option("--comment", default="", help="Why; kept with it.")
    author = click.option("--author", default=who, show_default="user@host", help="Who says it.")
    return click.argument("incident", type=click.IntRange(1))(comment(author(config_option(command))))


@click.command("confirm")
@_of_an_incident
def confirm(**said: Any) -> None:
    """Say that an incident was one. It counts from now on, and the next training learns from it.

    \b
    Example:
      appliance analysis confirm 12 --comment "the pump was dry"
    """
    _say("confirm", **said)


@click.command("dismiss")
@_of_an_incident
def dismiss(**said: Any) -> None:
    """Say that an incident was none: its alert ends, and the next training learns from it.

    \b
    Example:
      appliance analysis dismiss 12 --comment "we moved the sensor"
    """
    _say("dismiss", **said)


def _say(verdict: str, *, config: Config, incident: int, comment: str, author: str) -> None:
    body = {"author": author, "comment": comment}
    try:
        row: Any = post_json(config.data_dir, f"/api/analysis/{incident}/{verdict}", body, refused=UsageRefused)
    except NotRunning:
        import msgspec

        from appliance.hybrid.analysis.keeping.folder import say_in_folder

        row = msgspec.to_builtins(say_in_folder(config, incident, verdict, author=author, comment=comment))
    how = row["state"] if row["state"] == row["verdict"] else f"{row['state']}, {row['verdict']}"
    click.echo(visible(f"incident {row['id']} is {how}: {row['summary']}"))
