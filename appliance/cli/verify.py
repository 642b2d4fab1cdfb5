"""``verify``: are the files what was written."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from appliance.cli.common import data_dir_option, visible
from appliance.cli.status import size


@click.command()
@click.option("--json", "as_json", is_flag=True, help="The findings as an array of objects.")
@data_dir_option
def verify(*, data_dir: Path, as_json: bool) -> int:
    """Check every segment and every hot batch against the manifest; exit status 3 when something is wrong.

    \b
    Example:
      appliance verify
    """
    from appliance.reconcile.verify import verify as check

    talk = sys.stderr.isatty()

    def progress(done: int, total: int) -> None:
        if talk and total:
            click.echo(f"\r{done * 100 // total} % of {size(total)}", err=True, nl=False)

    checked = check(data_dir, progress=progress)
    if talk:
        click.echo("\r\033[K", err=True, nl=False)
    if as_json:
        import msgspec

        click.echo(msgspec.json.encode(checked.findings).decode())
    else:
        for finding in checked.findings:
            click.echo(visible(f"{finding.path}: {finding.what}"))
    summary = f"{checked.segments} segments ({size(checked.bytes)}) and {checked.hot_rows} hot records checked: "
    click.echo(summary + _verdict(len(checked.findings)), err=True)
    return 3 if checked.findings else 0


def _verdict(wrong: int) -> str:
    if wrong == 0:
        return "all as written"
    return "one thing is wrong" if wrong == 1 else f"{wrong} things are wrong"
