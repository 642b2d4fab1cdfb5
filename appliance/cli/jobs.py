"""``jobs``: batch work: what there is, what has been, and asking for it: ``list``, ``history``, ``show``, ``run``, ``cancel``, ``result``.

The service answers; without one, what it has stored is read from the folder, and nothing can be asked for.
"""

from __future__ import annotations

import select
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from appliance.cli.alerts import print_json
from appliance.cli.common import LazyGroup, data_dir_option, print_table, visible
from appliance.cli.fetching import fetch
from appliance.cli.local import get_json, post_json
from appliance.cli.streams import age
from appliance.clock import US_PER_S, SystemClock, iso
from appliance.errors import FoundWrong, JobFailed, NotRunning, UsageRefused
from appliance.units import show_size

if TYPE_CHECKING:
    from appliance.observe.jobs import JobRow, JobsPicture, RunRow

SUBCOMMANDS: Final[dict[str, tuple[str, str]]] = {
    "list": ("appliance.cli.jobs:list_jobs", "Show what there is, when it is due, and what waits."),
    "history": ("appliance.cli.jobs", "Show runs, the newest first, with what they have cost."),
    "show": ("appliance.cli.jobs", "Show one run, and how far it is."),
    "run": ("appliance.cli.jobs", "Queue a run now."),
    "cancel": ("appliance.cli.jobs", "End a run, or take it out of the queue."),
    "result": ("appliance.cli.jobs", "Fetch the result of a background query."),
}
"""Subcommand -> its module and its one line."""
LOOK_EVERY_S: Final = 0.5


class JobsGroup(LazyGroup):
    """Without a subcommand it lists."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args or (args[0].startswith("-") and args[0] not in ctx.help_option_names):
            args = ["list", *args]
        return super().parse_args(ctx, args)


@click.group(cls=JobsGroup, lazy=SUBCOMMANDS)
def jobs() -> None:
    """Show batch work, run and cancel it, look back. Without a subcommand: list.

    \b
    Example:
      appliance jobs
      appliance jobs run export --wait
      appliance jobs history --name export
    """


@click.command("list")
@click.option("--json", "as_json", is_flag=True, help="One object; times in microseconds.")
@data_dir_option
def list_jobs(*, data_dir: Path, as_json: bool) -> None:
    """Show what there is, when it is due, how its last run went, and what waits or is under way.

    \b
    Example:
      appliance jobs list
    """
    picture = read_picture(data_dir)
    if as_json:
        print_json(picture)
        return
    headers = ["name", "kind", "when", "next", "state", "last", "what came of it"]
    print_table(headers, [_job_cells(j, picture.at_us) for j in picture.jobs])
    if picture.queue:
        click.echo()
        print_table(RUN_HEADERS, [_run_cells(r, picture.at_us) for r in picture.queue], right=RUN_RIGHT)
    waiting = sum(r.state == "waiting" for r in picture.queue)
    click.echo(f"{len(picture.queue) - waiting} under way, {waiting} waiting", err=True)


@click.command()
@click.option("--name", help="Only of this work.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 10_000), help="The newest N.")
@click.option("--json", "as_json", is_flag=True, help="One array of objects; times in microseconds.")
@data_dir_option
def history(*, data_dir: Path, name: str | None, limit: int, as_json: bool) -> None:
    """Show runs, the newest first, with their cost and what came of them.

    \b
    Example:
      appliance jobs history --name export --limit 10
    """
    rows = _read_history(data_dir, name, limit)
    if as_json:
        print_json(rows)
        return
    now_us = SystemClock().now_us()
    print_table(RUN_HEADERS, [_run_cells(r, now_us) for r in rows], right=RUN_RIGHT)


@click.command()
@click.argument("run_id", type=int)
@click.option("--json", "as_json", is_flag=True, help="One object; times in microseconds.")
@data_dir_option
def show(run_id: int, *, data_dir: Path, as_json: bool) -> None:
    """Show one run: when, why, how far it is, what it has cost and what came of it.

    \b
    Example:
      appliance jobs show 17
    """
    row = _read_run(data_dir, run_id)
    if as_json:
        print_json(row)
        return
    for label, text in _facts(row):
        if text:
            click.echo(f"{label:<11} {visible(text)}")


@click.command()
@click.argument("name")
@click.option("-p", "--parameter", "given", multiple=True, metavar="NAME=VALUE", help="For example day=2026-11-21.")
@click.option("--wait", is_flag=True, help="Until it is over; exit status 1 when it fails.")
@data_dir_option
def run(name: str, *, data_dir: Path, given: tuple[str, ...], wait: bool) -> None:
    """Queue a run of a job, a view, a report or a training now; it goes before what is due by itself.

    \b
    Example:
      appliance jobs run export -p day=2026-11-21 --wait
    """
    pairs = [text.partition("=") for text in given]
    if any(not key or not sep for key, sep, _ in pairs):
        raise UsageRefused("-p: write NAME=VALUE, for example -p day=2026-11-21")
    body = {"name": name, "parameters": {key: value for key, _, value in pairs}}
    row = _run_of(post_json(data_dir, "/api/jobs/run", body, refused=UsageRefused))
    click.echo(f"run {row.id} is queued", err=True)
    if wait:
        finish(follow(data_dir, row.id))


@click.command()
@click.argument("run_id", type=int)
@data_dir_option
def cancel(run_id: int, *, data_dir: Path) -> None:
    """End a run that is under way, or take it out of the queue.

    \b
    Example:
      appliance jobs cancel 17
    """
    row = _run_of(post_json(data_dir, "/api/jobs/cancel", {"id": run_id}, refused=UsageRefused))
    said = "is cancelled" if row.state == "cancelled" else "is being ended"
    click.echo(f"run {row.id} of {row.name.lstrip('_')} {said}", err=True)


@click.command()
@click.argument("run_id", type=int)
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="Default: standard output.")
@data_dir_option
def result(run_id: int, *, data_dir: Path, output: Path | None) -> None:
    """Fetch what a background query has found.

    \b
    Example:
      appliance jobs result 17 -o room.parquet
    """
    try:
        fetch(data_dir, run_id, output)
    except NotRunning:
        row = _read_run(data_dir, run_id)
        file = data_dir / "queries" / f"{run_id}.{row.parameters.get('format', 'parquet')}"
        if row.kind != "query" or not file.is_file():
            raise UsageRefused(f"run {run_id} has no result in {data_dir}") from None
        click.echo(str(file))


def follow(data_dir: Path, run_id: int) -> RunRow:
    """Shows how far a run is until it is over."""
    shows = sys.stderr.isatty()
    while True:
        row = _read_run(data_dir, run_id)
        if shows:
            sys.stderr.write(f"\r\x1b[K{visible(_progress(row))}")
            sys.stderr.flush()
        if row.state not in ("waiting", "running"):
            if shows:
                sys.stderr.write("\r\x1b[K")
            return row
        select.select([], [], [], LOOK_EVERY_S)


def finish(row: RunRow) -> None:
    """Says what came of a run. Raises ``JobFailed`` where it has failed, ``FoundWrong`` where it was cancelled."""
    if row.state == "failed":
        raise JobFailed(f"run {row.id} has failed: {row.error}")
    if row.state == "cancelled":
        raise FoundWrong(f"run {row.id} was cancelled: {row.words}")
    click.echo(visible(f"run {row.id}: {row.words}"), err=True)


def read_picture(data_dir: Path) -> JobsPicture:
    """What there is: of the service, else as it was stored."""
    import msgspec

    from appliance.observe.jobs import JobsPicture

    try:
        return msgspec.convert(get_json(data_dir, "/api/jobs", refused=UsageRefused), JobsPicture)
    except NotRunning:
        from appliance.serving.job_folder import folder_jobs

        click.echo("no service runs: this is what was stored", err=True)
        return folder_jobs(data_dir)


def _read_history(data_dir: Path, name: str | None, limit: int) -> list[RunRow]:
    import msgspec

    from appliance.observe.jobs import RunRow

    asked = {"limit": str(limit), **({"name": name} if name else {})}
    try:
        return msgspec.convert(get_json(data_dir, "/api/jobs/history", asked, refused=UsageRefused), list[RunRow])
    except NotRunning:
        from appliance.serving.job_folder import folder_runs

        click.echo("no service runs: this is what was stored", err=True)
        return folder_runs(data_dir, limit=limit, name=name)


def _read_run(data_dir: Path, run_id: int) -> RunRow:
    try:
        return _run_of(get_json(data_dir, f"/api/jobs/runs/{run_id}", refused=UsageRefused))
    except NotRunning:
        from appliance.serving.job_folder import folder_runs

        found = folder_runs(data_dir, limit=1, run_id=run_id)
        if not found:
            raise UsageRefused(f"there is no run {run_id} in {data_dir}") from None
        return found[0]


def _run_of(found: Any) -> RunRow:
    import msgspec

    from appliance.observe.jobs import RunRow

    return msgspec.convert(found, RunRow)


RUN_HEADERS: Final = ["id", "name", "why", "state", "started", "took", "cpu s", "read", "written", "rows", "what came of it"]
RUN_RIGHT: Final = frozenset({0, 5, 6, 7, 8, 9})


def _run_cells(r: RunRow, now_us: int) -> list[str]:
    state = r.state if r.attempt == 1 else f"{r.state} ({r.attempt}.)"
    words = _progress(r) if r.state in ("waiting", "running") else r.error or r.words
    return [
        str(r.id) if r.id else "",
        r.name.lstrip("_"),
        r.reason,
        state,
        "" if r.started_us is None else iso(r.started_us // US_PER_S * US_PER_S),
        took(r, now_us),
        f"{r.cpu_s:.1f}" if r.cpu_s else "",
        show_size(r.read_bytes) if r.read_bytes else "",
        show_size(r.written_bytes) if r.written_bytes else "",
        f"{r.rows:,}" if r.rows else "",
        words.splitlines()[0] if words else "",
    ]


def _job_cells(j: JobRow, now_us: int) -> list[str]:
    next_ = "" if j.next_us is None else "now" if j.next_us <= now_us else f"in {age(j.next_us - now_us).removesuffix(' ago')}"
    last = "" if j.last_us is None else age(now_us - j.last_us)
    state = j.state if j.failures < 2 else f"{j.state} ({j.failures} in a row)"
    return [j.name, j.kind, j.when, next_, state or "never ran", last, j.last_words.splitlines()[0] if j.last_words else ""]


def _facts(r: RunRow) -> list[tuple[str, str]]:
    return [
        ("run", f"{r.id} of {r.kind} {r.name.lstrip('_')}"),
        ("state", _progress(r)),
        ("why", r.reason),
        ("due", iso(r.due_us)),
        ("started", "" if r.started_us is None else iso(r.started_us)),
        ("ended", "" if r.ended_us is None else iso(r.ended_us)),
        ("came of it", r.words),
        ("failed with", r.error),
        ("rows", f"{r.rows:,}" if r.rows else ""),
        ("cost", f"{r.cpu_s:.2f} s of processor, {show_size(r.read_bytes)} read, {show_size(r.written_bytes)} written"),
        ("attempt", str(r.attempt) if r.attempt > 1 else ""),
        ("interrupted", f"{r.interrupted} times by the end of the appliance" if r.interrupted else ""),
        ("parameters", _pairs(r.parameters)),
    ]


def _progress(r: RunRow) -> str:
    """``running, 42 %, 1,200 rows``."""
    if r.state == "waiting":
        later = f"not before {iso(r.not_before_us // US_PER_S * US_PER_S)}" if r.not_before_us else "for its turn"
        return f"waiting {later}{': ' + r.error if r.error else ''}"
    return ", ".join(part for part in (r.state, "" if r.share is None else f"{r.share:.0%}", r.doing) if part)


def took(r: RunRow, now_us: int) -> str:
    """How long its last attempt took, or takes so far."""
    if r.started_us is None or (r.ended_us is None and r.state != "running"):
        return ""
    seconds = max(0.0, ((now_us if r.ended_us is None else r.ended_us) - r.started_us) / US_PER_S)
    return f"{seconds:.1f} s" if seconds < 60 else f"{seconds / 60:.0f} min" if seconds < 7_200 else f"{seconds / 3600:.1f} h"


def _pairs(parameters: Mapping[str, str]) -> str:
    return " ".join(f"{key}={value}" for key, value in parameters.items())
