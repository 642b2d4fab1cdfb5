"""``paths``: which path each workload runs on, the rule that decided, its latency against its budget, its cost; ``explain NAME``: why.

The service answers; without one, what it has stored is read from the folder, without figures.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from appliance.cli.alerts import print_json
from appliance.cli.common import LazyGroup, data_dir_option, print_table, visible
from appliance.cli.local import get_json
from appliance.cli.streams import age
from appliance.clock import US_PER_S, SystemClock, iso
from appliance.errors import NotRunning, UsageRefused
from appliance.units import show_duration, show_size

if TYPE_CHECKING:
    from appliance.observe.paths import PathFigures, PathRow, PathsPicture

SUBCOMMANDS: Final[dict[str, tuple[str, str]]] = {
    "list": ("appliance.cli.paths:list_paths", "Show each workload: path, rule, latency against budget, cost."),
    "explain": ("appliance.cli.paths", "Show what one workload needs, and why it runs where it does."),
}
"""Subcommand -> its module and its one line."""
FORMAT: Final = click.option(
    "--format", "format_", default="table", show_default=True, type=click.Choice(["table", "json"]), help="json: one object."
)


class PathsGroup(LazyGroup):
    """Without a subcommand it lists."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args or (args[0].startswith("-") and args[0] not in ctx.help_option_names):
            args = ["list", *args]
        return super().parse_args(ctx, args)


@click.group(cls=PathsGroup, lazy=SUBCOMMANDS)
def paths() -> None:
    """Show which path each workload runs on, and why. Without a subcommand: list.

    Hot is what is waited for, triggers an alert, belongs to a session or must be fresher than 5s; cold is what nobody waits for,
    is large, may be old and is complex; hybrid is what needs both. To move a workload, change what it needs in the config and
    run: appliance reload

    \b
    Example:
      appliance paths
      appliance paths explain room_now
    """


@click.command("list")
@FORMAT
@data_dir_option
def list_paths(*, data_dir: Path, format_: str) -> None:
    """Show each workload: its path, the rule that decided, its latency of the last hour against its budget, its cost.

    \b
    Example:
      appliance paths list
    """
    picture = read_paths(data_dir)
    if format_ == "json":
        print_json(picture)
        return
    headers = ["workload", "kind", "path", "rule", "budget", "p50", "p99", "cpu last hour", "why"]
    print_table(headers, [_cells(row) for row in picture.rows], right=frozenset({4, 5, 6, 7}))
    for row in picture.rows:
        for line in _said(row, picture.at_us):
            click.echo(visible(f"{row.name}: {line}"))
    click.echo(", ".join(f"{count} {path}" for path, count in picture.counts.items()), err=True)


@click.command()
@click.argument("name")
@FORMAT
@data_dir_option
def explain(name: str, *, data_dir: Path, format_: str) -> None:
    """Show what workload NAME needs, which rule decided, what it costs on each path where that was measured, and when it moved.

    \b
    Example:
      appliance paths explain room_now
    """
    picture = read_paths(data_dir)
    row = next((r for r in picture.rows if r.name == name), None)
    if row is None:
        known = ", ".join(r.name for r in picture.rows)
        raise UsageRefused(f"there is no workload {name!r}; " + (f"there are: {known}" if known else "the config has none"))
    if format_ == "json":
        print_json(row)
        return
    for label, text in _facts(row, picture):
        click.echo(f"{label:<10} {visible(text)}")


def read_paths(data_dir: Path) -> PathsPicture:
    """Which workload runs where: of the service, else as it was stored."""
    import msgspec

    from appliance.observe.paths import PathsPicture

    try:
        return msgspec.convert(get_json(data_dir, "/api/paths", refused=UsageRefused), PathsPicture)
    except NotRunning:
        from appliance.serving.path_folder import folder_paths

        click.echo("no service runs: this is what was stored", err=True)
        return folder_paths(data_dir, now_us=SystemClock().now_us())


def _cells(row: PathRow) -> list[str]:
    return [
        row.name,
        row.kind,
        row.path,
        row.rule,
        _ms(row.budget_ms),
        _ms(row.p50_ms),
        _ms(row.p99_ms) + ("!" if _is_over(row) else ""),
        "" if row.cpu_s is None else f"{row.cpu_s:.1f} s",
        row.reason,
    ]


def _said(row: PathRow, now_us: int) -> Iterator[str]:
    """What a person should know beyond the table."""
    if _is_over(row):
        yield f"its p99 of the last hour ({_ms(row.p99_ms)}) is over its budget ({_ms(row.budget_ms)})"
    if row.warning and row.rule == "kind":
        yield 'make it a workload of kind = "panel", which can run on each path'
    if row.proposal is not None:
        yield f"should move to {row.proposal.path}: {row.proposal.reason} ({row.proposal.expected}; {_when(row, now_us)})"


def _when(row: PathRow, now_us: int) -> str:
    assert row.proposal is not None
    since = age(now_us - row.proposal.since_us)
    if row.proposal.made_us is None:
        return f'proposed {since}; change what it needs, or set moves = "make" in [paths]'
    left_s = max(0, row.proposal.made_us - now_us) // US_PER_S
    return f"asked for since {since}; is made in {show_duration(left_s)}" if left_s else "is made at the next look"


def _facts(row: PathRow, picture: PathsPicture) -> Iterator[tuple[str, str]]:
    yield "workload", f"{row.name} ({row.kind}; its kind runs on {' or '.join(row.runs_on)})"
    yield "path", row.path + ("" if row.since_us is None else f", since {iso(row.since_us)}")
    yield "rule", row.rule
    yield "why", row.reason
    for need in row.needs:
        yield ("needs" if need is row.needs[0] else ""), f"{need.need:<14} {need.value:<12} {_ORIGINS.get(need.origin, need.origin)}"
    measured = f"p50 {_ms(row.p50_ms)}, p99 {_ms(row.p99_ms)} of {row.count:,} in the last hour" if row.count else "not measured yet"
    yield "latency", f"{measured}; budget {_ms(row.budget_ms)}" + (", which is missed" if _is_over(row) else "")
    for figures in row.costs:
        yield ("cost" if figures is row.costs[0] else ""), _cost(figures)
    for line in _said(row, picture.at_us):
        yield "note", line
    for move in row.moves:
        yield ("moved" if move is row.moves[0] else ""), f"{iso(move.at_us)} {move.moved_from} → {move.path} ({move.cause}): {move.reason}"


_ORIGINS: Final = {"config": "by the config", "sql": "by its SQL", "kind": "by default", "measured": "measured"}


def _cost(figures: PathFigures) -> str:
    parts = [
        "" if figures.cpu_s_day is None else f"{figures.cpu_s_day:.3g} CPU seconds a day",
        "" if figures.read_day is None else f"{show_size(int(figures.read_day))} read",
        "" if figures.written_day is None else f"{show_size(int(figures.written_day))} written",
        "" if figures.p99_ms is None else f"p99 {_ms(figures.p99_ms)}",
        "by a trial run" if figures.is_trial else "",
    ]
    return f"{figures.path:<7} " + ", ".join(part for part in parts if part)


def _is_over(row: PathRow) -> bool:
    return row.p99_ms is not None and row.budget_ms is not None and row.p99_ms > row.budget_ms


def _ms(ms: float | None) -> str:
    """Milliseconds as people read them; empty where they are not known."""
    if ms is None:
        return ""
    if ms < 1_000:
        return f"{ms:.3g}ms"
    return show_duration(ms / 1e3) if ms % 1_000 == 0 else f"{ms / 1e3:.3g}s"
