"""What a bundle takes from ``hot.sqlite``: the chain, refused records, what was removed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from typing import Any, Final

from appliance.chain import Link, read_line
from appliance.clock import iso
from appliance.hot.chain import entries
from appliance.hot.reader import HotReader

RAW_SHOWN: Final = 500
"""Characters of a refused record; its hash is of all."""
PEOPLE: Final = frozenset({"silence", "unsilence", "ack", "unack", "deletion", "deletion done"})
CLOCK: Final = frozenset({"clock"})
CONFIG: Final = frozenset({"begin", "config", "start", "stop", "model"})


def chain_lines(reader: HotReader, *, since: int = 1) -> Iterator[str]:
    """The chain of the box from an entry on."""
    yield from entries(_Reads(reader), since=since)


def links(lines: Iterable[str]) -> list[Link]:
    """The entries that can be read."""
    return [link for line in lines if (link := read_line(line)) is not None]


def refused(reader: HotReader, *, since_us: int | None, until_us: int) -> Iterator[dict[str, Any]]:
    """Dead letters that came within a time, the oldest first."""
    found = reader.cursor(
        "SELECT id, at_us, source, stream, format, line, reason, raw, replayed_us FROM dead_letter"
        " WHERE at_us >= ? AND at_us < ? ORDER BY id",
        (_low(since_us), until_us),
    )
    for number, at_us, source, stream, form, line, reason, raw, replayed_us in found:
        body = bytes(raw)
        yield {
            "id": number,
            "at": moment(at_us),
            "source": source,
            "stream": stream,
            "format": form,
            "line": line,
            "reason": reason,
            "raw_sha256": hashlib.sha256(body).hexdigest(),
            "raw_bytes": len(body),
            "raw": body[:RAW_SHOWN].decode("utf-8", "replace"),
            "replayed": None if replayed_us is None else moment(replayed_us),
        }


def removed(reader: HotReader, *, since_us: int | None, until_us: int) -> Iterator[dict[str, Any]]:
    """Deletions that people asked for and what retention removed, within a time."""
    tables = {str(row[0]) for row in reader.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    for table in ("deletion", "removal"):
        if table not in tables:
            continue
        cursor = reader.cursor(
            f"SELECT t.*, s.name AS stream FROM {table} t JOIN stream s ON s.id = t.stream_id"
            " WHERE t.at_us >= ? AND t.at_us < ? ORDER BY t.id",
            (_low(since_us), until_us),
        )
        names = [str(column[0]) for column in cursor.description]
        for row in cursor:
            fields = dict(zip(names, row, strict=True))
            yield {"what": table, "stream": fields.pop("stream"), "at": moment(fields.pop("at_us")), **fields}


def moment(at_us: int) -> str:
    """ISO 8601, or the bare number where no calendar has the year."""
    try:
        return iso(at_us)
    except (ValueError, OverflowError, OSError):
        return f"{at_us} us"


class _Reads:
    def __init__(self, reader: HotReader) -> None:
        self._reader = reader

    def execute(self, sql: str, parameters: tuple[object, ...] = (), /) -> Iterable[Any]:
        return self._reader.cursor(sql, parameters)


def _low(since_us: int | None) -> int:
    return -(2**63) if since_us is None else since_us
