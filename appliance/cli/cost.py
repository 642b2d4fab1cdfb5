"""``cost``: what the paths and their workloads cost, side by side, and what the card bears; ``--trial``: what one would cost elsewhere."""

from __future__ import annotations

import resource
from typing import TYPE_CHECKING, Final

import click

from appliance.cli.alerts import print_json
from appliance.cli.common import config_option, print_table
from appliance.cli.local import get_json, post_json
from appliance.cli.moments import as_moment
from appliance.cli.status import size
from appliance.clock import US_PER_S, SystemClock, iso
from appliance.config import AlertOptions, Config
from appliance.errors import NotRunning, UsageRefused

if TYPE_CHECKING:
    from appliance.observe.meters import CostPicture, CostRow, Trial, Wear

HEADERS: Final = ["CPU s", "CPU s/day", "records", "read", "written", "memory", "disk", "messages", "runs"]
REHEARSED_S: Final = 3600.0
"""How much of the recent past a rule is rehearsed over for a trial."""
CENTURY: Final = 100.0


@click.command()
@click.option("--since", default="1d", show_default=True, help='From then on: "7d" (ago), "2026-11-22 10:00" (in the node\'s zone).')
@click.option("--trial", metavar="NAME", help="Run this workload's query on recent data, on each path, and say what it would cost there.")
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
@config_option
def cost(*, config: Config, since: str, trial: str | None, form: str) -> None:
    """Show what hot, cold and hybrid cost, and each workload on them; without a running service, as it was stored.

    CPU seconds, bytes read (cached or not) and written towards the disk, the most memory held at once, bytes on the disk, messages.

    \b
    Example:
      appliance cost --since 7d
      appliance cost --trial dashboard
    """
    if trial is not None:
        found = _try(config, trial)
        print_json(found) if form == "json" else _print_trial(found)
        return
    picture = _read(config, since)
    if form == "json":
        print_json(picture)
        return
    click.echo(f"since {iso(picture.since_us)}, {_span(picture.measured_s)} of it measured")
    right = frozenset(range(1, len(HEADERS) + 1))
    print_table(["path", *HEADERS], [[row.path, *_cells(row)] for row in picture.paths], right=right)
    click.echo()
    right = frozenset(range(2, len(HEADERS) + 2))
    print_table(["workload", "path", *HEADERS], [[row.workload, row.path, *_cells(row)] for row in picture.rows], right=right)
    click.echo()
    click.echo(_worn(picture.wear))


def _read(config: Config, since: str) -> CostPicture:
    import msgspec

    from appliance.observe.meters import CostPicture

    clock = SystemClock()
    since_us = as_moment(since, "--since", config, clock)
    try:
        return msgspec.convert(get_json(config.data_dir, "/api/cost", {"since": str(since_us)}, refused=UsageRefused), CostPicture)
    except NotRunning:
        from appliance.serving.meter_folder import folder_cost

        endurance = config.node.endurance_bytes
        return folder_cost(config.data_dir, since_us=since_us, now_us=clock.now_us(), endurance_bytes=endurance)


def _try(config: Config, name: str) -> Trial:
    import msgspec

    from appliance.observe.meters import Trial

    options = config.workloads.get(name)
    if isinstance(options, AlertOptions) and options.sql is None:
        return _rehearsed(config, name)
    return msgspec.convert(post_json(config.data_dir, f"/api/cost/trial?name={name}", {}, refused=UsageRefused), Trial)


def _rehearsed(config: Config, name: str) -> Trial:
    """A rule over the stored records of the last hour, in this process: what batch would spend on it, against what the hot path has."""
    from appliance.alerting.offline import rehearse_folder
    from appliance.observe.meters import Trial, TrialSide

    clock = SystemClock()
    since_us = clock.now_us() - round(REHEARSED_S * US_PER_S)
    rehearse_folder(config, name, since_us=clock.now_us(), clock=clock)  # loads what it needs, which is no cost of the rule
    before, began_ns = resource.getrusage(resource.RUSAGE_SELF), clock.monotonic_ns()
    found = rehearse_folder(config, name, since_us=since_us, clock=clock)
    ms = (clock.monotonic_ns() - began_ns) / 1e6
    after = resource.getrusage(resource.RUSAGE_SELF)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    now = _read(config, "1h")
    hot = next((r for r in now.rows if r.workload == name and r.path == "hot"), None)
    sides = [
        TrialSide(
            path="cold",
            is_current=False,
            ms=ms,
            cpu_s=cpu_s,
            rows=found.records,
            read_bytes=0,
            runs_day=24.0,
            cpu_s_day=cpu_s * 24,
            how="rehearsed over the last hour's records, every hour: it would tell an hour late",
        )
    ]
    if hot is not None:
        side = TrialSide(
            path="hot",
            is_current=True,
            ms=0.0,
            cpu_s=0.0,
            rows=hot.rows,
            read_bytes=0,
            runs_day=0.0,
            cpu_s_day=hot.cpu_s_day,
            how="as measured over the last hour, at each record",
        )
        sides.insert(0, side)
    return Trial(workload=name, at_us=clock.now_us(), path="hot", sides=tuple(sides))


def _print_trial(trial: Trial) -> None:
    click.echo(f"{trial.workload} runs on the {trial.path} path; tried at {iso(trial.at_us)}")
    rows = [
        [
            f"{s.path} *" if s.is_current else s.path,
            f"{s.ms:,.1f}" if s.ms else "",
            f"{s.cpu_s * 1e3:,.1f}" if s.cpu_s else "",
            f"{s.rows:,}",
            size(s.read_bytes),
            f"{s.runs_day:,.0f}" if s.runs_day else "",
            f"{s.cpu_s_day:,.1f}",
            s.how,
        ]
        for s in trial.sides
    ]
    headers = ["path", "ms a run", "CPU ms a run", "records", "read", "runs/day", "CPU s/day", "how"]
    print_table(headers, rows, right=frozenset(range(1, 7)))
    for note in trial.notes:
        click.echo(f"note: {note}")


def _cells(row: CostRow) -> list[str]:
    return [
        f"{row.cpu_s:,.2f}",
        f"{row.cpu_s_day:,.0f}",
        f"{row.rows:,}",
        size(row.read_bytes),
        size(row.written_bytes),
        size(row.memory_bytes) if row.memory_bytes else "",
        size(row.disk_bytes) if row.disk_bytes else "",
        f"{row.notifications:,}" if row.notifications else "",
        f"{row.runs:,}" if row.runs else "",
    ]


def _worn(wear: Wear) -> str:
    """What the card has to bear, in a line."""
    said = f"card: {size(wear.bytes_per_day)} a day are written towards it, measured over {_span(wear.measured_s)}"
    if wear.endurance_bytes is None:
        return f"{said}; say what it endures ([node] endurance) to see how long it lasts"
    stated = f"{wear.endurance_bytes / 1e12:g} TB"
    if wear.years_left is None:
        return f"{said}; nothing wears it ({stated})"
    years = "more than 100" if wear.years_left > CENTURY else f"{wear.years_left:.1f}"
    return f"{said}: {years} years of its {stated}"


def _span(seconds: float) -> str:
    """A duration for people, in its largest unit."""
    for unit, of_s in (("d", 86_400.0), ("h", 3600.0), ("min", 60.0)):
        if seconds >= of_s:
            return f"{seconds / of_s:.1f} {unit}"
    return f"{seconds:.0f} s"
