"""The chain of evidence holds together, and what it says was deleted is deleted."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

from appliance.chain import FIRST, breaks
from appliance.hot.chain import has_chain
from appliance.hot.reader import HotReader
from appliance.reconcile.audit import reading
from appliance.reconcile.finding import Finding
from appliance.reconcile.look import Look

BROKEN: Final = "chain broken"
DELETION_MISSING: Final = "deletion missing"
DELETION_CHANGED: Final = "deletion changed"
NEWEST: Final = 1_000
"""Entries that are looked at where not all are."""
BREAKS_MAX: Final = 100
_SAME: Final = {
    "author": "who",
    "reason": "why",
    "since_us": "since_us",
    "until_us": "until_us",
    "up_to_seq": "up_to_seq",
    "records": "records",
}
"""Column of a deletion -> its name in the chain."""


def check_chain(look: Look) -> Iterator[Finding]:
    """Each entry names the hash of the one before; the first one begins with none."""
    if not has_chain(look.reader):
        return
    newest = int(str(look.reader.execute("SELECT coalesce(max(id), 0) FROM chain")[0][0]))
    first = 1 if look.is_whole else max(1, newest - NEWEST + 1)
    lines = reading.chain_lines(look.reader, since=first)
    for number, said in enumerate(breaks(lines, first=first, before=FIRST if first == 1 else None)):
        if number >= BREAKS_MAX:
            return
        yield Finding(kind=BROKEN, where="hot.sqlite chain", key=said, what=said)


def check_deletions(look: Look) -> Iterator[Finding]:
    """Every deletion of the chain is in its table as it was asked for; and it ended only where the chain says so."""
    said, done = deletions_of(look.reader)
    kept = rows_of(look.reader)
    for number, entry in said.items():
        row = kept.get(number)
        if row is None:
            what = "is not there any more: what it hides shows again"
            yield _finding(DELETION_MISSING, number, entry, what)
        elif other := differs(row, entry, is_done=number in done):
            yield _finding(DELETION_CHANGED, number, entry, f"is another one than was asked for ({other})")


def deletions_of(reader: HotReader) -> tuple[dict[int, dict[str, Any]], dict[int, int]]:
    """Deletions as the chain has them, by id, with the time of each as ``at_us``; and when those ended that are physically done."""
    said: dict[int, dict[str, Any]] = {}
    done: dict[int, int] = {}
    if has_chain(reader):
        kinds = "('deletion', 'deletion done')"
        near = "instr(entry, '\"deletion') AND json_valid(entry)"  # which is cheaper than to read each entry
        sql = f"SELECT entry, at_us FROM chain WHERE {near} AND json_extract(entry, '$.kind') IN {kinds} ORDER BY id"
        for line, at_us in reader.execute(sql):
            entry = json.loads(str(line))
            if entry["kind"] == "deletion":
                said[int(entry["deletion"])] = {**entry, "at_us": at_us}
            else:
                done |= dict.fromkeys(map(int, entry["deletions"]), int(str(at_us)))
    return said, done


def rows_of(reader: HotReader) -> dict[int, dict[str, Any]]:
    """The table of deletions by id."""
    if not reader.has_deletions:
        return {}
    cursor = reader.cursor("SELECT d.*, s.name AS stream FROM deletion d JOIN stream s ON s.id = d.stream_id")
    names = [str(column[0]) for column in cursor.description]
    return {row["id"]: row for row in (dict(zip(names, values, strict=True)) for values in cursor)}


def differs(row: dict[str, Any], entry: dict[str, Any], *, is_done: bool) -> str:
    """Columns that are not what the chain says; "" for none."""
    other = [column for column, name in _SAME.items() if row[column] != entry[name]]
    if json.loads(row["matching"]) != entry["matching"]:
        other.append("matching")
    if row["ended_us"] is not None and not is_done:
        other.append("ended")
    return ", ".join(other)


def _finding(kind: str, number: int, entry: dict[str, Any], what: str) -> Finding:
    return Finding(
        kind=kind,
        where="hot.sqlite deletion",
        key=str(number),
        stream=entry["stream"],
        last=entry["up_to_seq"],
        since_us=entry["since_us"],
        until_us=entry["until_us"],
        what=f"the deletion {number} {what}",
        repair="it is put back as the evidence has it",
        facts={"deletion": number},
    )
