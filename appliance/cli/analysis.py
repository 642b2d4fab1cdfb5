"""``analysis``: the group; each command stands in the file of what it works on."""

from __future__ import annotations

from typing import Final

import click

from appliance.cli.common import LazyGroup

SUBCOMMANDS: Final[dict[str, tuple[str, str]]] = {
    "list": ("appliance.cli.analysis_incidents:list_incidents", "Show incidents: open ones first, then the newest."),
    "show": ("appliance.cli.analysis_incidents:show_incident", "Show one incident with every answer that was given about it."),
    "explain": ("appliance.cli.analysis_incidents:explain", "Say why, in plain words."),
    "confirm": ("appliance.cli.analysis_words:confirm", "Say that an incident was one; kept for the next training."),
    "dismiss": ("appliance.cli.analysis_words:dismiss", "Say that an incident was none; kept for the next training."),
    "templates": ("appliance.cli.analysis_files", "Write the template of each line of a file of texts."),
    "score": ("appliance.cli.analysis_score", "Write an anomaly score for each record of files of numbers."),
}
"""Subcommand -> its module and its one line."""


@click.group(cls=LazyGroup, lazy=SUBCOMMANDS)
def analysis() -> None:
    """Look at what is unusual; try the analysis on files.

    \b
    Example:
      appliance analysis list
      appliance analysis show 12
      appliance analysis templates messages.csv -o templates.csv
      appliance analysis score measured/ -o scores/
    """
