"""``status``: the one picture of the box, for a terminal or as JSON."""

from __future__ import annotations

from pathlib import Path

import click
import msgspec

from appliance.cli.common import data_dir_option, visible
from appliance.cli.local import get_json
from appliance.clock import iso
from appliance.errors import NotRunning
from appliance.observe.health import health_of
from appliance.observe.status import BudgetStatus, LakeStatus, Status


@click.command()
@click.option("--json", "as_json", is_flag=True, help="The whole picture as one object.")
@data_dir_option
def status(*, data_dir: Path, as_json: bool) -> None:
    """Show how the box is; without a running service, what the folder holds.

    \b
    Example:
      appliance status
    """
    found = read_status(data_dir)
    if as_json:
        click.echo(msgspec.json.encode(found).decode())
        return
    for line in lines(found):
        click.echo(visible(line))


def read_status(data_dir: Path) -> Status:
    """From the service, else from the folder."""
    try:
        return msgspec.convert(get_json(data_dir, "/api/status"), Status)
    except NotRunning:
        from appliance.serving.folder import folder_status

        return folder_status(data_dir)


def lines(s: Status) -> list[str]:
    """The picture as text."""
    store, lake, ingest = s.store, s.lake, s.ingest
    latency = (
        "no records yet" if ingest.p50_ms is None else f"p50 {ingest.p50_ms:.1f} ms, p99 {ingest.p99_ms:.1f} ms, max {ingest.max_ms:.1f} ms"
    )
    running = f"process {s.pid}, since {iso(s.started_us)}" if s.state != "offline" else "no service runs"
    last = f"; {s.last_dead_letter}" if s.last_dead_letter else ""
    out = [
        f"{s.node}: {s.health}, {s.state} ({running}), version {s.version}, as of {iso(s.as_of_us)}",
        f"streams  {len(s.streams)}, {sum(t.records for t in s.streams)} records, {s.rate:.1f}/s",
        f"hot      {sum(t.hot_rows for t in s.streams)} records; ring {size(store.ring_bytes)} of {size(store.ring_bytes_max)};"
        f" hot.sqlite {size(store.sqlite_bytes)} + WAL {size(store.wal_bytes)}; durability {store.durability}",
        f"cold     {lake.rows} records in {lake.segments} segments, {size(lake.bytes)}"
        + (f" and {size(lake.index_bytes)} of search indexes;" if lake.index_bytes else ";")
        + f" disk {size(lake.disk_free_bytes)} free of {size(lake.disk_total_bytes)}",
        f"disk     {disk_ahead(lake, now_us=s.as_of_us)}",
        f"alerts   {s.alerts_firing} firing, {s.alerts_pending} pending",
        f"latency  received to acknowledged, last minute: {latency}",
        f"letters  {s.dead_letters} refused records wait, {s.dead_letters_new} of the last hour{last}",
    ]
    out += [budget_line(budget) for budget in s.budgets]
    if s.ladder.step:
        since = f"since {iso(s.ladder.since_us)}" if s.ladder.since_us else ""
        out.append(f"ladder   step {s.ladder.step}, {s.ladder.name}, {since}: {s.ladder.why}")
    out += [f"source   {source.name}: {source.state}{'; ' + source.detail if source.detail else ''}" for source in s.sources]
    reasons = health_of(s).reasons
    out += [f"{p.level:<8} {p.what} (since {iso(p.since_us)}){'; ' + p.hint if p.hint else ''}" for p in reasons]
    return out


def budget_line(budget: BudgetStatus) -> str:
    """What one path uses and may, in a line."""
    cores = f"{budget.cpu:.2f} cores" + (f" of {budget.cpu_max:g}" if budget.cpu_max is not None else "")
    memory = size(budget.memory_bytes) + (f" of {size(budget.memory_bytes_max)}" if budget.memory_bytes_max is not None else "")
    disk = f"{size(round(budget.io_bytes_per_s))}/s" + (
        f" of {size(round(budget.io_bytes_per_s_max))}/s" if budget.io_bytes_per_s_max is not None else ""
    )
    held = f"; held back: {budget.held}" if budget.held else ""
    return f"path     {budget.path}: {cores}, {memory} in {budget.processes} processes, disk {disk}{held}"


def disk_ahead(lake: LakeStatus, *, now_us: int) -> str:
    """What will become of the disk, in a line."""
    if not lake.bytes_per_day:
        return "no whole day to foretell from yet"
    grows = f"history grows by {size(lake.bytes_per_day)} a day, most of it {lake.eater}"
    for at_us, what in ((lake.full_us, "the disk is full"), (lake.trim_us, "the oldest days go ([retention] disk_max)")):
        if at_us is not None:
            day = "today" if at_us <= now_us else f"on {iso(at_us)[:10]}"
            return f"{what} {day} if it goes on like this; {grows}"
    return f"does not get full within ten years; {grows}"


def size(count: int) -> str:
    """Bytes for people."""
    value = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024 or unit == "GiB":
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    raise AssertionError("unreachable")
