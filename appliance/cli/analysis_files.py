"""``analysis templates``: the analysis over files, through the code that runs live. Needs no data folder and no service."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("templates")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path, dir_okay=False), help="The file that is written.")
def templates(*, file: Path, output: Path) -> None:
    """Write the template of each line of FILE as CSV: LineId, template, with <*> for what varies.

    FILE is CSV with the columns LineId and Content, or a text of plain lines, which are counted from 1.

    \b
    Example:
      appliance analysis templates messages.csv -o templates.csv
      appliance analysis templates /var/log/syslog -o templates.csv
    """
    from appliance.hybrid.analysis.texts.files import write_templates

    write_templates(file, output)
