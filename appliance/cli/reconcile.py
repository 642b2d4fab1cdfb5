"""``reconcile``: do the books, the hot store, the lake and what is derived from them agree; and what can be mended."""

from __future__ import annotations

from typing import Any

import click

from appliance.cli.common import config_option, visible
from appliance.cli.moments import as_moment
from appliance.clock import Clock, SystemClock
from appliance.config import Config
from appliance.errors import NotRunning, UsageRefused


@click.command()
@click.option("--since", metavar="TIME", help='Only records from then on: "2026-11-01", "2d" (ago).')
@click.option("--repair", is_flag=True, help="Mend what can be proven, and set aside what can't.")
@click.option("--full", is_flag=True, help="Read every record and compute everything anew, instead of comparing hashes.")
@click.option("--format", "shape", type=click.Choice(["text", "json"]), default="text", show_default=True, help="How to print it.")
@config_option
def reconcile(*, config: Config, since: str | None, repair: bool, full: bool, shape: str) -> int:
    """Compare the books with what is really there: ring, hot store, segments, and what is derived; exit status 3 while something is wrong.

    A running service does it, else the folder is looked at as it lies. Without --repair nothing of the records is changed.

    \b
    Example:
      appliance reconcile
      appliance reconcile --since 7d --full
      appliance reconcile --repair
    """
    clock = SystemClock()
    answer = _ask(config, as_moment(since, "--since", config, clock), repair=repair, full=full, clock=clock)
    if shape == "json":
        import json

        click.echo(json.dumps(answer, ensure_ascii=False))
    else:
        for row in answer["findings"]:
            click.echo(visible(_line(row)))
    click.echo(_summary(answer), err=True)
    return 3 if answer["wrong"] else 0


def _ask(config: Config, since_us: int | None, *, repair: bool, full: bool, clock: Clock) -> dict[str, Any]:
    """By the service, else on the folder."""
    from appliance.cli.local import post_json

    body = {"since_us": since_us, "repair": repair, "full": full}
    try:
        answer: dict[str, Any] = post_json(config.data_dir, "/api/reconcile", body, refused=UsageRefused)
    except NotRunning:
        import msgspec

        from appliance.hybrid.search.offline import checks_of_folder
        from appliance.reconcile.alone import reconcile_folder

        others, repairs = checks_of_folder(config)
        done = reconcile_folder(config, since_us=since_us, repair=repair, full=full, clock=clock, others=others, repairs=repairs)
        found: dict[str, Any] = msgspec.to_builtins(done)
        return found
    return answer


def _line(row: dict[str, Any]) -> str:
    """``segment missing: what; can be mended: …``"""
    said = f"{row['kind']}: {row['what']}"
    if row["state"] in ("repaired", "gone"):
        return f"{said}; {row['state']}{': ' + row['did'] if row['did'] else ''}"
    if row["did"]:
        return f"{said}; not mended: {row['did']}"
    return f"{said}; can be mended: {row['repair']}" if row["repair"] else f"{said}; nothing that is left proves what it should be"


def _summary(answer: dict[str, Any]) -> str:
    [*_, last] = answer["passes"] or [{"segments": 0, "records": 0, "took_s": 0.0}]
    wrong, rows = answer["wrong"], answer["findings"]
    mended = sum(row["state"] == "repaired" for row in rows)
    verdict = "all agree" if not wrong else "one thing is wrong" if wrong == 1 else f"{wrong} things are wrong"
    looked = f"{last['segments']} segments, {last['records']} records looked at in {last['took_s']:.1f} s: "
    return looked + verdict + (f", {mended} mended" if mended else "")
