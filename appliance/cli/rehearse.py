"""``alerts rehearse``: what a rule would have done with the records that are stored."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from appliance.cli.common import config_option, print_table
from appliance.clock import US_PER_S, SystemClock, iso
from appliance.config import AlertOptions, Config
from appliance.errors import UsageRefused
from appliance.units import parse_duration, show_duration

if TYPE_CHECKING:
    from appliance.alerting.rehearsal import Rehearsal

LINES_MAX: Final = 20
"""Keys in the timeline."""


@click.command()
@click.argument("rule")
@click.option("--since", help="How far back, such as 30d. Default: everything there is.")
@click.option("--json", "as_json", is_flag=True, help="Every transition as one array of objects; times in microseconds.")
@click.option("--all", "everything", is_flag=True, help="Every fire, not only the first twenty.")
@config_option
def rehearse(*, config: Config, rule: str, since: str | None, as_json: bool, everything: bool) -> None:
    """Run a rule over the records that are stored, hot and cold, through the code that runs live; nothing is told or changed.

    The rule comes from the config, so one that is not in force yet is rehearsed with --config FILE.

    \b
    Example:
      appliance alerts rehearse overheating --since 30d
      appliance alerts rehearse overheating --config new.toml
    """
    options = config.workloads.get(rule)
    if not isinstance(options, AlertOptions):
        names = ", ".join(n for n, w in config.workloads.items() if isinstance(w, AlertOptions)) or "none"
        raise UsageRefused(f"there is no rule {rule!r} in {config.file or 'the config'}; it has {names}")
    from appliance.alerting.offline import rehearse_folder  # late: it loads Arrow

    start = time.perf_counter()
    found = rehearse_folder(config, rule, since_us=_since_us(since), clock=SystemClock(), on_progress=_tell)
    if sys.stderr.isatty():
        click.echo("\r\x1b[K", nl=False, err=True)
    if as_json:
        from appliance.alerting.offline import transitions_json

        click.echo(transitions_json(found))
        return
    _print(found, config.data_dir, everything=everything)
    spent = time.perf_counter() - start
    click.echo(f"{found.records:,} records in {spent:.2f} s ({found.records / max(spent, 1e-9):,.0f} records/s)", err=True)


def _since_us(text: str | None) -> int | None:
    if text is None:
        return None
    try:
        return SystemClock().now_us() - round(parse_duration(text) * US_PER_S)
    except ValueError as e:
        raise UsageRefused(f"--since {text!r}: {e}; write 30d or 12h") from None


def _print(found: Rehearsal, folder: Path, *, everything: bool) -> None:
    from appliance.alerting.rehearsal import timeline

    if found.first_us is None or found.last_us is None:
        click.echo(f"no records of the rule's stream in {folder}", err=True)
        return
    episodes = found.episodes
    click.echo(f"{found.rule}: {iso(found.first_us)} to {iso(found.last_us)}, {found.records:,} records of {found.keys:,} keys")
    if not episodes:
        click.echo("it would not have fired")
        return
    lasted = sum((e.ended_us if e.ended_us is not None else found.last_us) - e.fired_us for e in episodes)
    click.echo(
        f"it would have fired {len(episodes)} times for {len({e.key for e in episodes})} keys, first at {iso(episodes[0].fired_us)},"
        f" {show_duration(lasted / US_PER_S)} in all; {found.firing} fire at the end; {found.flaps} flaps, {found.late} learned late"
    )
    lines = timeline(found)
    for line in lines[:LINES_MAX]:
        click.echo(line)
    if len(lines) > LINES_MAX:
        click.echo(f"… and {len(lines) - LINES_MAX} more keys")
    shown = episodes if everything else episodes[:LINES_MAX]
    rows = [
        [
            iso(e.fired_us),
            "still fires" if e.ended_us is None else show_duration((e.ended_us - e.fired_us) / US_PER_S),
            ", ".join(f"{c}={v}" for c, v in zip(found.by, e.key, strict=False)),
            ", ".join(f"{k} = {v:.6g}" if isinstance(v, float) else f"{k} = {v}" for k, v in e.first.values.items()),
            "" if e.first.seq is None else str(e.first.seq),
        ]
        for e in shown
    ]
    print_table(["fired", "for", "key", "values", "record"], rows, right=frozenset({4}))
    if len(shown) < len(episodes):
        click.echo(f"{len(episodes) - len(shown)} more with --all", err=True)


def _tell(records: int) -> None:
    """Tells a person how far it is."""
    if sys.stderr.isatty():
        click.echo(f"\r{records:,} records", nl=False, err=True)
