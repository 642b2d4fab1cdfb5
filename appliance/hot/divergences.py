"""What reconciliation has found and what came of it, durable: the table ``divergence``; and when each segment was last looked at.

Statements inside the writer's transactions, and looks. A disagreement is one row from when it is first seen; while it lasts there is no
other row of its name (kind, place, key). A file of an older version has no such tables: then nothing was found.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from appliance.clock import US_PER_DAY
from appliance.hot.alerts.reads import Reads
from appliance.observe.consistency import DayRow, FindingRow, PassRow

COLUMNS: Final = (
    ("id", "BIGINT"),
    ("kind", "VARCHAR"),
    ("state", "VARCHAR"),
    ("stream", "VARCHAR"),
    ("where", "VARCHAR"),
    ("key", "VARCHAR"),
    ("first", "BIGINT"),
    ("last", "BIGINT"),
    ("since", "TIMESTAMP"),
    ("until", "TIMESTAMP"),
    ("what", "VARCHAR"),
    ("repair", "VARCHAR"),
    ("found", "TIMESTAMP"),
    ("changed", "TIMESTAMP"),
    ("did", "VARCHAR"),
)
"""Columns of ``_divergence`` in SQL, with their types."""
KEPT_ROWS_MAX: Final = 10_000
"""Of those that are over, so many are kept, the newest."""
LOOK_ROWS_MAX: Final = 100_000
_ROW: Final = "id, kind, place, key, stream, first, last, since_us, until_us, what, repair, state, found_us, changed_us, did"
_IS_WRONG: Final = "state IN ('open', 'unmendable')"
WRONG: Final = frozenset({"open", "unmendable"})


@dataclass(frozen=True, slots=True)
class Stored:
    """One disagreement as it is stored, with what its repair needs to know."""

    row: FindingRow
    facts: Mapping[str, int | str]


def has_tables(reads: Reads) -> bool:
    """Whether the file has them."""
    return bool(list(reads.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'divergence'")))


def wrong_now(reads: Reads) -> list[Stored]:
    """What is open or unmendable, the oldest first."""
    if not has_tables(reads):
        return []
    found = reads.execute(f"SELECT {_ROW}, facts FROM divergence WHERE {_IS_WRONG} ORDER BY id")
    return [Stored(FindingRow(**_named(row[:-1])), json.loads(row[-1])) for row in found]


def add(connection: sqlite3.Connection, row: FindingRow, facts: Mapping[str, int | str]) -> int:
    """Its id; ``row.id`` is ignored. Raises ``sqlite3.IntegrityError`` where it is known and not over."""
    values = (
        row.kind, row.where, row.key, row.stream, row.first, row.last, row.since_us, row.until_us, row.what, row.repair,
        row.state, row.found_us, row.changed_us, row.did, json.dumps(dict(facts), ensure_ascii=False, separators=(",", ":")),
    )  # fmt: skip
    names = f"{_ROW.removeprefix('id, ')}, facts"
    cursor = connection.execute(f"INSERT INTO divergence ({names}) VALUES ({', '.join('?' * len(values))})", values)
    assert cursor.lastrowid is not None
    return cursor.lastrowid


def change(connection: sqlite3.Connection, finding_id: int, *, state: str, did: str, now_us: int) -> None:
    """It has got into another state; of those that are over only the newest stay."""
    connection.execute("UPDATE divergence SET state = ?, did = ?, changed_us = ? WHERE id = ?", (state, did, now_us, finding_id))
    if state not in WRONG:
        connection.execute(
            f"DELETE FROM divergence WHERE NOT {_IS_WRONG} AND id <= (SELECT id FROM divergence WHERE NOT {_IS_WRONG}"
            " ORDER BY id DESC LIMIT 1 OFFSET ?)",
            (KEPT_ROWS_MAX,),
        )


def look(reads: Reads) -> Sequence[Sequence[Any]]:
    """The rows of ``_divergence``, the newest first, at most ``LOOK_ROWS_MAX``."""
    if not has_tables(reads):
        return []
    names = "id, kind, state, stream, place, key, first, last, since_us, until_us, what, repair, found_us, changed_us, did"
    return list(reads.execute(f"SELECT {names} FROM divergence ORDER BY id DESC LIMIT ?", (LOOK_ROWS_MAX,)))


def over(reads: Reads, *, limit: int) -> list[FindingRow]:
    """The newest of those that were repaired or are gone."""
    if not has_tables(reads):
        return []
    found = reads.execute(f"SELECT {_ROW} FROM divergence WHERE NOT {_IS_WRONG} ORDER BY changed_us DESC, id DESC LIMIT ?", (limit,))
    return [FindingRow(**_named(row)) for row in found]


def days(reads: Reads, *, since_us: int) -> list[DayRow]:
    """What was found on each UTC day from then on, the newest first; days without findings are not there."""
    if not has_tables(reads):
        return []
    found = reads.execute(
        "SELECT date(found_us / 1000000, 'unixepoch'), count(*), sum(state = 'repaired'), sum(state = 'unmendable'), sum(state = 'gone')"
        f" FROM divergence WHERE found_us >= ? GROUP BY found_us / {US_PER_DAY} ORDER BY 1 DESC",
        (since_us,),
    )
    return [DayRow(day=row[0], found=row[1], repaired=row[2], unmendable=row[3], gone=row[4]) for row in found]


def looked(reads: Reads) -> dict[int, tuple[str, int]]:
    """Segment id -> the hash that its file had, and when, at the last look that read it to its end and found it right."""
    if not has_tables(reads):
        return {}
    return {row[0]: (row[1], row[2]) for row in reads.execute("SELECT segment_id, sha256, at_us FROM segment_look")}


def note_looked(connection: sqlite3.Connection, rows: Iterable[tuple[int, str]], *, at_us: int) -> None:
    """These segments (id, hash) are right; entries of segments that are no longer in the manifest go."""
    connection.executemany(
        "INSERT INTO segment_look (segment_id, sha256, at_us) VALUES (?, ?, ?)"
        " ON CONFLICT (segment_id) DO UPDATE SET sha256 = excluded.sha256, at_us = excluded.at_us",
        [(segment_id, sha256, at_us) for segment_id, sha256 in rows],
    )
    connection.execute("DELETE FROM segment_look WHERE segment_id NOT IN (SELECT id FROM segment WHERE state = 'live')")


def note_pass(connection: sqlite3.Connection, row: PassRow) -> None:
    """The newest pass of its kind is over."""
    body = {f: getattr(row, f) for f in row.__struct_fields__}
    connection.execute(
        "INSERT INTO look_pass (kind, body) VALUES (?, ?) ON CONFLICT (kind) DO UPDATE SET body = excluded.body",
        (row.kind, json.dumps(body)),
    )


def passes(reads: Reads) -> dict[str, PassRow]:
    """Kind -> its newest pass that was written down."""
    if not has_tables(reads):
        return {}
    return {row[0]: PassRow(**json.loads(row[1])) for row in reads.execute("SELECT kind, body FROM look_pass")}


def set_batch_aside(connection: sqlite3.Connection, batch_id: int, *, reason: str, now_us: int) -> None:
    """Takes a hot batch that can't be trusted out of the hot rows and keeps it as it is, in the table ``batch_aside``."""
    connection.execute(
        "INSERT INTO batch_aside (stream_id, first, last, ts_min, ts_max, schema_version, encoding, crc32, body, aside_us, reason)"
        " SELECT stream_id, first, last, ts_min, ts_max, schema_version, encoding, crc32, body, ?, ? FROM batch WHERE id = ?",
        (now_us, reason, batch_id),
    )
    connection.execute("DELETE FROM batch WHERE id = ?", (batch_id,))


def asides(reads: Reads) -> list[tuple[int, int, int, int, str]]:
    """(id, stream id, first, last, reason) of each hot batch that was set aside."""
    if not has_tables(reads):
        return []
    return list(reads.execute("SELECT id, stream_id, first, last, reason FROM batch_aside ORDER BY id"))


def _named(row: Sequence[Any]) -> dict[str, Any]:
    names = [{"place": "where"}.get(name, name) for name in _ROW.split(", ")]
    return dict(zip(names, row, strict=True))
