"""What there is to tell of the chosen row of the jobs screen, as lines for a panel. None of these functions knows a widget."""

from __future__ import annotations

from appliance.clock import US_PER_S
from appliance.observe.jobs import JobRow, RunRow
from appliance.observe.views import ViewRow
from tui import figures
from tui.look import Line, Look
from tui.widgets.jobs import run_name, state_span, took_us, view_state, words_of
from tui.widgets.labelled import Labelled

_fact = Labelled(cells=13, lines_max=6).fact


def facts(row: RunRow | JobRow | ViewRow | None, look: Look, width: int) -> list[Line]:
    """The lines for one row of any of the tables; the weightiest first."""
    if isinstance(row, RunRow):
        return _run(row, look, width)
    if isinstance(row, JobRow):
        return _job(row, look, width)
    return [] if row is None else _view(row, look, width)


def _run(row: RunRow, look: Look, width: int) -> list[Line]:
    took = took_us(row, look.now_us)
    lines: list[Line] = [
        (state_span(row.state, look), (f" {look.safe(row.kind)} {look.safe(run_name(row))}, run {row.id}", look.paint.bold))
    ]
    lines += _fact("", words_of(row, look), look, width, look.paint.warn if row.error else None)
    lines += _fact("why", row.reason, look, width)
    lines += _fact("took", "" if took is None else figures.span(took), look, width)
    cost = f"{row.cpu_s:.2f} s of processor, {figures.size(row.read_bytes)} read, {figures.size(row.written_bytes)} written"
    lines += _fact("cost", cost if row.cpu_s or row.read_bytes else "", look, width)
    lines += _fact("rows", f"{row.rows:,}" if row.rows else "", look, width)
    lines += _fact("started", figures.moment(row.started_us, now_us=look.now_us) if row.started_us else "", look, width)
    lines += _fact("attempt", str(row.attempt) if row.attempt > 1 else "", look, width)
    lines += _fact("broken off", f"{row.interrupted} times by the end of the appliance" if row.interrupted else "", look, width)
    return lines + _fact("given", " ".join(f"{k}={v}" for k, v in row.parameters.items()), look, width, look.paint.dim)


def _job(row: JobRow, look: Look, width: int) -> list[Line]:
    lines: list[Line] = [(state_span(row.state, look), (f" {look.safe(row.kind)} {look.safe(row.name)}", look.paint.bold))]
    lines += _fact("", row.last_words, look, width, look.paint.warn if row.failures else None)
    lines += _fact("when", row.when, look, width)
    lines += _fact("next", figures.moment(row.next_us, now_us=look.now_us) if row.next_us else "", look, width)
    lines += _fact("last", figures.moment(row.last_us, now_us=look.now_us) if row.last_us else "", look, width)
    lines += _fact("failed", f"{row.failures} runs in a row" if row.failures else "", look, width, look.paint.warn)
    return lines + _fact("priority", row.priority, look, width, look.paint.dim)


def _view(row: ViewRow, look: Look, width: int) -> list[Line]:
    def moment(us: int | None) -> str:
        return "" if us is None else figures.moment(us, now_us=look.now_us)

    lines: list[Line] = [(view_state(row, look), (f"  {look.safe(row.name)}", look.paint.bold))]
    lines += _fact("of", row.source, look, width)
    lines += _fact("bucket", "" if row.bucket_s is None else figures.span(round(row.bucket_s * US_PER_S)), look, width)
    lines += _fact("fresh until", moment(row.fresh_until_us), look, width)
    lines += _fact("dirty", f"{row.dirty_buckets:,} buckets, answered from the records" if row.dirty_buckets else "", look, width)
    lines += _fact("refreshed", moment(row.refreshed_us), look, width)
    lines += _fact("holds", f"{row.rows:,} rows in {row.files} files, {figures.size(row.bytes)}", look, width)
    lines += _fact("sealed until", moment(row.sealed_us), look, width)
    return lines + _fact("", row.sql, look, width, look.paint.dim)
