"""No record that a person had deleted is to be seen, whether the deletion is under way or said to be done."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from appliance.hot.deletions import after
from appliance.manifest import Deletion
from appliance.reconcile.derived.sql import quoted, text, within
from appliance.reconcile.derived.twice import seen_twice
from appliance.reconcile.finding import Finding
from appliance.reconcile.look import Look
from appliance.records import fold
from appliance.spans import FIRST, LAST

SHOWS: Final = "deleted records show"
NEWEST: Final = 8
"""Deletions that are looked after where not all is computed anew."""


def check_hidden(look: Look) -> Iterator[Finding]:
    """By the records that are answered."""
    if look.reader.has_deletions:
        yield from seen_twice(look, _showing)


def _showing(look: Look) -> Iterator[Finding]:
    assert look.query is not None
    found = after(look.reader.cursor, 0)
    for deletion in found if look.scope == "full" else found[-NEWEST:]:
        sql = showing_sql(look, deletion)
        if sql is None or (deletion.until_us is not None and not look.concerns(deletion.until_us - 1)):
            continue
        count, first, last = (column[0].as_py() for column in look.query(sql).columns)
        if count:
            yield Finding(
                kind=SHOWS,
                where="hot.sqlite deletion",
                key=str(deletion.id),
                stream=deletion.stream,
                first=first,
                last=last,
                since_us=deletion.since_us,
                until_us=deletion.until_us,
                what=f"{count} records that {deletion.author or 'somebody'} had deleted are to be seen (deletion {deletion.id})",
                repair="the deletion is in force again until no file holds them",
                facts={"deletion": deletion.id},
            )


def showing_sql(look: Look, deletion: Deletion) -> str | None:
    """How many records of a deletion are answered; None where none can be, because the stream has no such column."""
    stream = look.state.streams.get(fold(deletion.stream))
    if stream is None:
        return None
    parts = [f"_seq <= {deletion.up_to_seq}"]
    parts.append(
        within("ts", FIRST if deletion.since_us is None else deletion.since_us, LAST if deletion.until_us is None else deletion.until_us)
    )
    for name, value in deletion.matching.items():
        column = stream.schema.by_fold.get(fold(name))
        if column is None:
            if value is not None:
                return None
            continue
        parts.append(f"{quoted(column.name)} IS NULL" if value is None else f"{quoted(column.name)} = {text(value)}")
    return f"SELECT count(*) AS n, min(_seq) AS low, max(_seq) AS high FROM {quoted(stream.name)} WHERE {' AND '.join(parts)}"
