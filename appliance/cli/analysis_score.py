"""``analysis score``: a pass over files of numbers, through the code that runs live. Needs no data folder and no service."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("score")
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path, file_okay=False), help="The folder that is written.")
@click.option(
    "--pass",
    "which",
    type=click.Choice(["first", "deep"]),
    default="first",
    show_default=True,
    help="deep: with what comes after a row as well, as batch looks at it again.",
)
def score(*, folder: Path, output: Path, which: str) -> None:
    """Write an anomaly score for each row of each CSV file below FOLDER.

    Files have the columns timestamp (ISO 8601; without a zone: UTC) and value, and are a series each. Their scores go to files of the same
    names below the output folder: timestamp, anomaly_score (0 to 1), each computed from that row and earlier ones alone, or by --pass deep
    from all rows of its file.

    \b
    Example:
      appliance analysis score measured/ -o scores/
      appliance analysis score measured/ -o deep/ --pass deep
    """
    from appliance.hybrid.analysis.deep.files import write_deep_scores
    from appliance.hybrid.analysis.numeric.files import write_scores

    count = (write_deep_scores if which == "deep" else write_scores)(folder, output)
    click.echo(f"{count} file{'s' if count != 1 else ''} scored", err=True)
