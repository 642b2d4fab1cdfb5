"""What the writer commits when something derived was found to be false: functions over the ``Committer``, in the writer's thread.

Each is one transaction with its named steps, and memory follows it. What is put right is given by whoever has proven it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import pyarrow as pa

from appliance.door.commit import Committer
from appliance.hot import latest_table
from appliance.hot.series import U64, LastValues, Rows
from appliance.hot.visible import shown
from appliance.manifest import Deletion, Dirty
from appliance.records import fold
from appliance.spans import FIRST, LAST


def commit_marks(committer: Committer, ledger_id: int) -> bool:
    """What is stale of an entry of the ledger is stored as memory has it; False where the entry is gone."""
    if ledger_id not in committer.ledger.entries:
        return False
    committer.ledger.forget()
    with committer.durably("marks"):
        committer.ledger.write_again(committer.store.connection, ledger_id)
    committer.note_derived()
    return True


def commit_twins(committer: Committer, key: str, spans: Iterable[Dirty]) -> None:
    """Records of these spans may lie there more than once: from the next picture on each counts once, what was made of them is stale."""
    book, marked = committer.books[key], list(spans)
    committer.ledger.forget()
    with committer.durably("twins"):
        committer.store.mark_dirty(book.id, marked)
        for span in marked:
            committer.ledger.touch_span(committer.store.connection, key, span.ts_min, span.ts_max + 1)
    for span in marked:
        have = book.dirty.get(span.day)
        book.dirty[span.day] = span if have is None else have.merge(span)
    committer.note_change(key)
    committer.note_derived()


def replace_latest(committer: Committer, key: str, asked: U64, found: Rows, *, up_to_seq: int) -> None:
    """The last records of the series ``asked`` are what was found, or came after ``up_to_seq``: in memory and in their table.

    Those of which nothing was found have none any more.
    """
    book = committer.books[key]
    hashes, seqs, data = book.last.rows()
    kept = ~np.isin(hashes, asked) | ((seqs > up_to_seq) & (seqs <= book.last_seq))
    last = LastValues(book.schema, merge_fields=book.identity is not None)
    last.restore(book.schema, hashes[kept], seqs[kept], data.filter(pa.array(kept)))
    last.put(book.schema, *shown(found, book.deletions))
    hashes, seqs, data = last.rows()
    mine = np.isin(hashes, asked)
    with committer.durably("latest"):
        db = committer.store.connection
        if mine.any():
            reach = book.series.reached(hashes[mine])
            latest_table.save(db, book.schema, book.folder, hashes[mine], seqs[mine], data.filter(pa.array(mine)), reach=reach)
        latest_table.forget(db, book.schema, book.folder, np.setdiff1d(asked, hashes[mine]), up_to_seq=LAST)
    book.last = last
    book.settle_empty(asked)
    committer.note_change(key)


def save_latest(committer: Committer, key: str, asked: U64) -> int:
    """The last records of these series are stored as memory has them; of how many there are any."""
    book = committer.books[key]
    hashes, seqs, data = book.last.rows()
    mine = np.isin(hashes, asked)
    with committer.durably("latest"):
        if mine.any():
            rows, reach = data.filter(pa.array(mine)), book.series.reached(hashes[mine])
            latest_table.save(committer.store.connection, book.schema, book.folder, hashes[mine], seqs[mine], rows, reach=reach)
    committer.note_change(key)
    return int(np.count_nonzero(mine))


def revive_deletion(committer: Committer, deletion: Deletion, *, records: int | None, ended_us: int | None, why: str) -> None:
    """A deletion is written down again as it was asked for; unless it had ended, nobody sees its records from the next picture on."""
    key = fold(deletion.stream)
    book = committer.books[key]
    since_us = FIRST if deletion.since_us is None else deletion.since_us
    until_us = LAST if deletion.until_us is None else deletion.until_us
    matching = json.dumps(dict(deletion.matching), ensure_ascii=False)
    committer.ledger.forget()
    with committer.durably("delete"):
        db = committer.store.connection
        db.execute(
            "INSERT OR REPLACE INTO deletion (id, stream_id, since_us, until_us, matching, up_to_seq, at_us, author, reason, records,"
            " latest_us, ended_us) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                *(deletion.id, book.id, deletion.since_us, deletion.until_us, matching, deletion.up_to_seq, deletion.at_us),
                *(deletion.author, deletion.reason, records, ended_us, ended_us),
            ),
        )
        if ended_us is None:
            db.execute("UPDATE segment SET purged = ? WHERE stream_id = ? AND purged >= ?", (deletion.id - 1, book.id, deletion.id))
            committer.ledger.touch_span(db, key, since_us, until_us)
        committer.store.chain.add("deletion again", {"stream": book.schema.stream, "deletion": deletion.id, "why": why})
    if ended_us is None:
        book.deletions = (*(d for d in book.deletions if d.id != deletion.id), deletion)
        book.deletions = tuple(sorted(book.deletions, key=lambda d: d.id))
        book.segments = tuple(replace(s, purged=min(s.purged, deletion.id - 1)) for s in book.segments)
        book.last.restore(book.schema, *shown(book.last.rows(), [deletion]))
        book.settle_empty()
    committer.note_change(key)
    committer.note_derived()
