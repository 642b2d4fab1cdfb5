"""What the box says of itself, as tables of a report. Pure functions of a status."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from appliance.clock import US_PER_S
from appliance.cold.batch.reports.tables import plain_table
from appliance.cold.batch.reports.values import CellKind, Table
from appliance.observe.status import LakeStatus, Status

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


def box_table(section: str, status: Status) -> Table:
    """One of ``document.BOX_SECTIONS``."""
    match section:
        case "disk":
            return _pairs(_disk(status))
        case "latency":
            return _pairs(_latency(status))
        case "sources":
            return plain_table(_SOURCES, [(s.name, s.state, s.records, s.rejected, s.dropped, s.detail) for s in status.sources])
        case "problems":
            rows = [(p.level, p.what, p.since_us, p.hint) for p in status.problems]
            return plain_table((("level", "text"), ("what", "text"), ("since", "time"), ("what to do", "text")), rows)
        case _:
            return _pairs(_health(status))


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


def _disk(status: Status) -> list[tuple[str, str]]:
    lake = status.lake
    rows = [
        ("free", f"{_size(lake.disk_free_bytes)} of {_size(lake.disk_total_bytes)}"),
        ("lake", f"{_size(lake.bytes)} in {lake.segments} files"),
        ("hot store", _size(status.store.sqlite_bytes + status.store.wal_bytes)),
        ("the lake grows a day by", f"{_size(lake.bytes_per_day)}, most of it {lake.eater}" if lake.bytes_per_day else "–"),
        ("full, if that goes on", _full(lake, now_us=status.as_of_us)),
    ]
    if lake.trim_us is not None:
        rows.append(("the oldest days go ([retention] disk_max)", _ahead(lake.trim_us, now_us=status.as_of_us)))
    return [*rows, ("lost files", str(lake.lost_segments))]


def _full(lake: LakeStatus, *, now_us: int) -> str:
    if not lake.bytes_per_day:
        return "not known yet: there is no whole day to foretell from"
    return "not within ten years" if lake.full_us is None else _ahead(lake.full_us, now_us=now_us)


def _ahead(at_us: int, *, now_us: int) -> str:
    return "today" if at_us <= now_us else _date(at_us)


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
