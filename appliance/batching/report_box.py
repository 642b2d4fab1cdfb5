"""What the box says of itself, as tables of a report. Pure functions of a status and of what lies in the lake."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from appliance.clock import US_PER_DAY, US_PER_S, day_of
from appliance.cold.batch.reports.tables import plain_table
from appliance.cold.batch.reports.values import CellKind, Table
from appliance.hot.state import State
from appliance.observe.status import Status

GROWTH_DAYS: Final = 7
"""Whole days that the forecast looks back."""
_Head = tuple[tuple[str, CellKind], ...]
_PAIRS: Final[_Head] = (("what", "text"), ("value", "text"))
_SOURCES: Final[_Head] = (
    ("source", "text"),
    ("state", "text"),
    ("records", "number"),
    ("refused", "number"),
    ("dropped", "number"),
    ("detail", "text"),
)


def box_table(section: str, status: Status, state: State) -> Table:
    """One of ``document.BOX_SECTIONS``."""
    match section:
        case "disk":
            return _pairs(_disk(status, state))
        case "latency":
            return _pairs(_latency(status))
        case "sources":
            return plain_table(_SOURCES, [(s.name, s.state, s.records, s.rejected, s.dropped, s.detail) for s in status.sources])
        case "problems":
            rows = [(p.level, p.what, p.since_us, p.hint) for p in status.problems]
            return plain_table((("level", "text"), ("what", "text"), ("since", "time"), ("what to do", "text")), rows)
        case _:
            return _pairs(_health(status))


def growth_bytes(state: State, *, now_us: int) -> float | None:
    """What the lake has grown by a day, mean of the newest whole days of event time that it holds; None where it holds none of them."""
    today = day_of(now_us)
    days = range(today - GROWTH_DAYS, today)
    found: dict[int, int] = {}
    for stream in state.streams.values():
        for segment in stream.segments:
            if segment.day in days:
                found[segment.day] = found.get(segment.day, 0) + segment.bytes
    return sum(found.values()) / (today - min(found)) if found else None


def full_in_days(status: Status, growth: float | None) -> float | None:
    """Days until the disk is full if the lake goes on growing so; None: not known, or not in sight (more than a hundred years)."""
    if not growth or growth <= 0:
        return None
    days = status.lake.disk_free_bytes / growth
    return days if days < 36_500 else None


def _pairs(rows: Sequence[tuple[str, str]]) -> Table:
    return plain_table(_PAIRS, rows)


def _health(status: Status) -> list[tuple[str, str]]:
    running = "no service runs" if status.state == "offline" else f"{_span(status.as_of_us - status.started_us)} since the start"
    return [
        ("the box", f"{status.health} ({status.state}, {running})"),
        ("version", status.version),
        ("streams", str(len(status.streams))),
        ("records in all", f"{sum(s.records for s in status.streams):,}".replace(",", " ")),
        ("refused records that wait", str(status.dead_letters)),
        ("alerts firing now", str(status.alerts_firing)),
        ("memory of the service", _size(status.memory_bytes) if status.memory_bytes else "–"),
        ("processor of the service", f"{status.cpu_share * 100:.1f} % of a core" if status.pid else "–"),
    ]


def _disk(status: Status, state: State) -> list[tuple[str, str]]:
    lake, growth = status.lake, growth_bytes(state, now_us=status.as_of_us)
    days = full_in_days(status, growth)
    full = "not in sight" if days is None else _date(status.as_of_us + round(days * US_PER_DAY))
    return [
        ("free", f"{_size(lake.disk_free_bytes)} of {_size(lake.disk_total_bytes)}"),
        ("lake", f"{_size(lake.bytes)} in {lake.segments} files"),
        ("hot store", _size(status.store.sqlite_bytes + status.store.wal_bytes)),
        ("the lake grows a day by", "–" if growth is None else _size(round(growth))),
        ("full, if that goes on", full),
        ("lost files", str(lake.lost_segments)),
    ]


def _latency(status: Status) -> list[tuple[str, str]]:
    ingest = status.ingest
    if not ingest.count:
        return [("received to acknowledged", "nothing was sent in the last minute")]
    return [
        ("received to acknowledged, half of all", _ms(ingest.p50_ms)),
        ("99 of 100", _ms(ingest.p99_ms)),
        ("the slowest", _ms(ingest.max_ms)),
        ("commit, 99 of 100", _ms(status.store.commit_ms_p99)),
    ]


def _ms(value: float | None) -> str:
    return "–" if value is None else f"{value:.3g} ms"


def _size(count: int) -> str:
    for power, unit in ((4, "TiB"), (3, "GiB"), (2, "MiB"), (1, "KiB")):
        if count >= 1024**power:
            return f"{count / 1024**power:.1f} {unit}"
    return f"{count} B"


def _span(us: int) -> str:
    seconds = max(0, us // US_PER_S)
    return (
        f"{seconds // 86_400} d {seconds % 86_400 // 3_600} h" if seconds >= 86_400 else f"{seconds // 3_600} h {seconds % 3_600 // 60} min"
    )


def _date(at_us: int) -> str:
    return datetime.fromtimestamp(at_us // US_PER_S, UTC).strftime("%Y-%m-%d")
