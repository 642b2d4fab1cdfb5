"""``analysis list|show|explain``: incidents, by the service or as they lie in the folder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

import click

from appliance.cli.common import config_option, print_table, visible
from appliance.cli.local import get_json
from appliance.config import Config
from appliance.errors import NotRunning, UsageRefused

if TYPE_CHECKING:
    from appliance.observe.analysis import AnalysisPicture, AnswerRow, IncidentPicture

SUMMARY_CHARS: Final = 100
format_option = click.option(
    "--format", "shape", type=click.Choice(["text", "json"]), default="text", show_default=True, help="How to print it."
)


@click.command("list")
@click.option("--state", type=click.Choice(["open", "closed", "dismissed"]), help="Only incidents in this state.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True, help="At most so many.")
@format_option
@config_option
def list_incidents(*, config: Config, state: str | None, limit: int, shape: str) -> None:
    """Show incidents with the answer that counts: open ones first, then the newest.

    \b
    Example:
      appliance analysis list --state open
    """
    from appliance.hybrid.analysis.incidents.wording import quality_line
    from appliance.hybrid.analysis.phrases import moment

    picture = _picture(config, state, limit)
    if shape == "json":
        _print_json(picture)
        return
    zone = ZoneInfo(config.node.timezone)
    rows = [
        [
            *(str(r.id), r.state, moment(r.since_us, zone), f"{r.severity:.2f}", r.verdict, f"{r.confidence:.0%}"),
            *(r.feedback or "", r.workload, _cut(r.summary)),
        ]
        for r in picture.incidents
    ]
    print_table(["id", "state", "since", "severity", "verdict", "sure", "said", "workload", "summary"], rows, right=frozenset({0, 3, 5}))
    for row in picture.learning:
        click.echo(visible(f"{row.workload}: {row.stream}: {row.series} series, {row.state}"), err=True)
    for quality in picture.quality:
        click.echo(visible(f"{quality.workload}: {quality_line(quality)}"), err=True)


@click.command("show")
@click.argument("incident", type=click.IntRange(1))
@format_option
@config_option
def show_incident(*, config: Config, incident: int, shape: str) -> None:
    """Show one incident: what was unusual, every answer in its order with what it superseded, and what stands behind them.

    \b
    Example:
      appliance analysis show 12
    """
    from appliance.hybrid.analysis.incidents.wording import evidence_line
    from appliance.hybrid.analysis.phrases import moment

    picture = _incident(config, incident)
    if shape == "json":
        _print_json(picture)
        return
    zone = ZoneInfo(config.node.timezone)
    row = picture.incident
    over = "" if row.closed_us is None else f", over since {moment(row.closed_us, zone)}"
    click.echo(visible(f"incident {row.id} of {row.workload}: {row.state}{over}, severity {row.severity:.2f}, deep pass {row.deep}"))
    click.echo(visible(row.summary))
    for answer in picture.answers:
        click.echo("")
        for line in _answer_lines(answer, zone):
            click.echo(visible(line))
    click.echo("")
    members = [
        [m.stream, m.column, ", ".join(f"{k}={v}" for k, v in m.key.items()), moment(m.since_us, zone), f"{m.score:.3f}", m.reason]
        for m in picture.members
    ]
    print_table(["stream", "field", "of", "since", "score", "why"], members, right=frozenset({4}))
    for e in picture.evidence:
        click.echo(visible(evidence_line(e, zone)))
    for f in picture.feedback:
        click.echo(visible(f"{f.author} said {f.verdict} on {moment(f.at_us, zone)}{': ' + f.comment if f.comment else ''}"))
    for said in picture.lines:
        click.echo(visible(f"{said.get('ts', '')} {said.get('stream', '')}: {said.get('text', '')}"))


@click.command("explain")
@click.argument("incident", type=click.IntRange(1))
@click.option("--why", metavar="QUESTION", default="", help="A question, for the language model of the config if there is one.")
@config_option
def explain(*, config: Config, incident: int, why: str) -> None:
    """Say why, in plain words, out of the incident's own figures.

    \b
    Example:
      appliance analysis explain 12
    """
    query = f"?{urlencode({'why': why})}" if why else ""
    try:
        path = f"/api/analysis/{incident}/explain{query}"
        text = str(get_json(config.data_dir, path, refused=UsageRefused, timeout_s=None)["text"])
    except NotRunning:
        from appliance.hybrid.analysis.incidents.wording import explained

        text = explained(_stored(config, incident), zone=ZoneInfo(config.node.timezone))
    for line in text.splitlines():
        click.echo(visible(line))


def _picture(config: Config, state: str | None, limit: int) -> AnalysisPicture:
    """By the service, else out of the folder."""
    import msgspec

    from appliance.observe.analysis import AnalysisPicture

    asked = urlencode({"limit": limit, **({} if state is None else {"state": state})})
    try:
        return msgspec.convert(get_json(config.data_dir, f"/api/analysis?{asked}", refused=UsageRefused), AnalysisPicture)
    except NotRunning:
        from appliance.hybrid.analysis.keeping.folder import folder_picture

        return folder_picture(config.data_dir, limit=limit, state=state)


def _incident(config: Config, incident: int) -> IncidentPicture:
    """By the service, else out of the folder. Raises ``UsageRefused`` where there is none."""
    import msgspec

    from appliance.observe.analysis import IncidentPicture

    try:
        return msgspec.convert(get_json(config.data_dir, f"/api/analysis/{incident}", refused=UsageRefused), IncidentPicture)
    except NotRunning:
        return _stored(config, incident)


def _stored(config: Config, incident: int) -> IncidentPicture:
    from appliance.hybrid.analysis.keeping.folder import folder_incident

    found = folder_incident(config.data_dir, incident)
    if found is None:
        raise UsageRefused(f"there is no incident {incident}; see: appliance analysis list")
    return found


def _answer_lines(a: AnswerRow, zone: ZoneInfo) -> list[str]:
    """``2. deep answer, …: dismissed …``; of one that holds no longer, since when."""
    from appliance.hybrid.analysis.incidents.wording import answer_lines

    return answer_lines(a, zone)


def _cut(text: str) -> str:
    return text if len(text) <= SUMMARY_CHARS else f"{text[: SUMMARY_CHARS - 1]}…"


def _print_json(value: Any) -> None:
    import msgspec

    click.echo(msgspec.json.encode(value).decode())
