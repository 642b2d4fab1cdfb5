"""``analysis``: the group; each command stands in the file of what it works on."""

from __future__ import annotations

from typing import Final

import click

from appliance.cli.common import LazyGroup

SUBCOMMANDS: Final[dict[str, tuple[str, str]]] = {
    "templates": ("appliance.cli.analysis_files", "Write the template of each line of a file of texts."),
    "score": ("appliance.cli.analysis_score", "Write an anomaly score for each record of files of numbers."),
}
"""Subcommand -> its module and its one line."""


@click.group(cls=LazyGroup, lazy=SUBCOMMANDS)
def analysis() -> None:
    """Look at what is unusual; try the analysis on files.

    \b
    Example:
      appliance analysis templates messages.csv -o templates.csv
      appliance analysis score measured/ -o scores/
    """
