"""``report``: make a report and show it, issue it, or list what was issued.

The running service makes it; without one it is made here from the folder, and can only be looked at.
"""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo

import click

from appliance.cli.common import config_option, print_table, visible
from appliance.cli.local import get_json, post, post_json
from appliance.clock import US_PER_S, SystemClock
from appliance.config import Config
from appliance.errors import ApplianceError, NotRunning, UsageRefused

if TYPE_CHECKING:
    from appliance.observe.reports import IssueRow, ReportsPicture

FORMATS: Final = ("html", "md", "csv", "json")


@click.command()
@click.argument("name")
@click.option("--day", help='The day, or a day of the week or month: "2026-11-21", "yesterday" (the default), "today".')
@click.option("-p", "--parameter", "parameters", multiple=True, metavar="NAME=VALUE", help="A parameter of the report; may be repeated.")
@click.option("-f", "--format", "format_", type=click.Choice(FORMATS), help="Default: by the ending of -o, else md.")
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="Write to a file; it appears when it is whole.")
@click.option("--issue", is_flag=True, help="Issue it: kept, numbered and delivered; needs the service.")
@click.option("--json", "as_json", is_flag=True, help="With list: one object, times in microseconds.")
@config_option
def report(
    name: str,
    *,
    config: Config,
    day: str | None,
    parameters: tuple[str, ...],
    format_: str | None,
    output: Path | None,
    issue: bool,
    as_json: bool,
) -> None:
    """Make the report NAME as of now and show it; with --issue, issue it. NAME "list" lists what there is and what was issued.

    The report "daily", of the box and its streams, is there without any config.

    \b
    Example:
      appliance report daily --day yesterday
      appliance report overheating -p device=d1 -o d1.html
      appliance report daily --issue
      appliance report list
    """
    if name == "list":
        _list(config, as_json=as_json)
        return
    asked = {"name": name, "day": day, "parameters": dict(_pair(one) for one in parameters)}
    if issue:
        said = post_json(config.data_dir, "/api/reports/issue", asked, refused=UsageRefused)
        click.echo(visible(said["said"]))
        for file in said["issue"]["files"]:
            click.echo(visible(str(config.data_dir / file["path"])))
        return
    form = format_ or (output.suffix.removeprefix(".") if output is not None and output.suffix[1:] in FORMATS else "md")
    try:
        content = post(config.data_dir, "/api/reports/render", {**asked, "format": form}, refused=UsageRefused).decode("utf-8")
    except NotRunning:
        content = _of_folder(config, name, day, dict(_pair(one) for one in parameters), form)
    if output is not None:
        _write(output, content)
    else:
        click.echo(content if not sys.stdout.isatty() else "\n".join(visible(line) for line in content.split("\n")), nl=False)


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise UsageRefused(f"-p {text[:40]!r}: write NAME=VALUE")
    return name, value


def _of_folder(config: Config, name: str, day: str | None, parameters: Mapping[str, str], form: str) -> str:
    """In this process, which ends soon."""
    from appliance.batching.report_alone import report_alone

    text = report_alone(config, name, day=day, parameters=parameters, form=form, clock=SystemClock())
    click.echo("no service runs: made from what is stored", err=True)
    return text


def _write(path: Path, content: str) -> None:
    """Whole or not at all."""
    tmp = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        tmp.write_text(content, "utf-8")
        os.replace(tmp, path)  # noqa: PTH105 - as Path.replace, and says so
    except OSError as e:
        tmp.unlink(missing_ok=True)
        raise ApplianceError(f"{path} can't be written: {e.strerror}") from e


def _list(config: Config, *, as_json: bool) -> None:
    import msgspec

    found = _picture(config)
    if as_json:
        click.echo(msgspec.json.encode(found).decode())
        return
    zone = ZoneInfo(config.node.timezone)
    rows = [
        [d.name, d.covers, d.schedule or "on request", " ".join(f"{n}={v}" for n, v in d.parameters.items()), d.title]
        for d in found.definitions
    ]
    print_table(["report", "covers", "issued", "parameters", "title"], rows)
    click.echo()
    print_table(
        ["report", "of", "rev", "issued", "state", "delivered", "differs in", "file"], [_issue_cells(i, zone) for i in found.issues]
    )
    if found.truncated:
        click.echo("older ones are not shown", err=True)


def _picture(config: Config) -> ReportsPicture:
    import msgspec

    from appliance.observe.reports import ReportsPicture

    try:
        return msgspec.convert(get_json(config.data_dir, "/api/reports", refused=UsageRefused), ReportsPicture)
    except NotRunning:
        from appliance.batching.report_definitions import definitions_of
        from appliance.batching.report_desk import definition_rows
        from appliance.serving.report_folder import folder_reports

        found = folder_reports(config.data_dir, now_us=SystemClock().now_us(), definitions=definition_rows(definitions_of(config)))
        click.echo("no service runs: this is what was stored", err=True)
        return found


def _issue_cells(i: IssueRow, zone: ZoneInfo) -> list[str]:
    own = " ".join(f"{n}={v}" for n, v in i.parameters.items())
    words = [
        "removed" if i.removed_us is not None else "",
        "" if i.is_over else "not over",
        f"{i.failed} of {i.blocks} failed" if i.failed else "",
    ]
    words.append("incomplete" if i.notes else "")
    at = datetime.fromtimestamp(i.issued_us // US_PER_S, zone).strftime("%Y-%m-%d %H:%M")
    state = ", ".join(w for w in words if w) or ("ok" if i.is_newest else "revised")
    return [
        i.name,
        f"{i.day} {own}".strip(),
        f"r{i.revision}",
        at,
        state,
        ", ".join(i.delivered),
        i.difference[:60],
        i.files[0].path if i.files else "",
    ]
