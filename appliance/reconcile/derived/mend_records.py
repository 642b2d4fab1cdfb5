"""Last values, twins and deletions are mended out of the records, the other side, or the chain of evidence."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import numpy as np

from appliance.door.derived import commit_twins, replace_latest, revive_deletion, save_latest
from appliance.hot.deletions import after
from appliance.hot.reader import HotReader
from appliance.hot.series import U64
from appliance.manifest import Deletion, Dirty, Segment
from appliance.reconcile.derived.chain import deletions_of, differs, rows_of
from appliance.reconcile.finding import Finding
from appliance.reconcile.look import Hands, Unmendable
from appliance.records import fold
from appliance.roll.deleting import last_records
from appliance.serving.history import History


def mend_latest(finding: Finding, hands: Hands) -> str:
    """The last record of the series is looked for, backwards in time, and takes the place of what was there."""
    assert finding.stream is not None
    key, asked = fold(finding.stream), _series(finding)
    state, damaged = hands.box.state, []

    def note(segment: Segment, reason: str) -> None:
        damaged.append(f"{segment.path} {reason}")

    past = History(root=hands.box.folder, state=lambda: hands.box.state, reader=partial(reading, hands), damaged=note)
    found = last_records(state.streams[key], past, asked, cancelled=lambda: False)
    if damaged:
        raise Unmendable(f"the records can't be read: {damaged[0]}")
    up_to = state.streams[key].last_seq
    hands.box.writer.call(partial(replace_latest, key=key, asked=asked, found=found, up_to_seq=up_to)).result()
    return "the last value is what the records give" if len(found[0]) else "no record of the series is left, nor is a last value"


def mend_stored(finding: Finding, hands: Hands) -> str:
    """Memory's last value is stored; where memory began with what was stored, the records decide."""
    assert finding.stream is not None
    if not hands.memory:
        return mend_latest(finding, hands)
    asked = _series(finding)
    if hands.box.writer.call(partial(save_latest, key=fold(finding.stream), asked=asked)).result():
        return "the last value is stored as it is in memory"
    return mend_latest(finding, hands)


def mend_twins(finding: Finding, hands: Hands) -> str:
    """The span is marked: each record counts once in it, until a compaction has made them one."""
    assert finding.stream is not None
    facts = {name: int(finding.facts[name]) for name in ("day", "low", "high", "seq")}
    span = Dirty(facts["day"], facts["low"], facts["high"], facts["seq"])
    hands.box.writer.call(partial(commit_twins, key=fold(finding.stream), spans=[span])).result()
    return "the span is marked"


def mend_deletion(finding: Finding, hands: Hands) -> str:
    """As the chain of evidence has it."""
    number = int(finding.facts["deletion"])
    with reading(hands) as reader:
        said, done = deletions_of(reader)
        row = rows_of(reader).get(number)
    entry = said.get(number)
    if entry is None:
        raise Unmendable("the chain of evidence doesn't know it")
    if row is not None and not differs(row, entry, is_done=number in done):
        return "it is as it was asked for"
    deletion = Deletion(
        id=number,
        stream=entry["stream"],
        since_us=entry["since_us"],
        until_us=entry["until_us"],
        matching=entry["matching"],
        up_to_seq=entry["up_to_seq"],
        at_us=entry["at_us"] if row is None else row["at_us"],
        author=entry["who"],
        reason=entry["why"],
    )
    revive = partial(revive_deletion, deletion=deletion, records=entry["records"], ended_us=done.get(number), why=finding.kind)
    hands.box.writer.call(revive).result()
    return "it is as the evidence has it"


def mend_hidden(finding: Finding, hands: Hands) -> str:
    """The deletion is in force again, and every file is looked through again for its records."""
    number = int(finding.facts["deletion"])
    with reading(hands) as reader:
        deletion = next((d for d in after(reader.cursor, number - 1) if d.id == number), None)
        row = rows_of(reader).get(number)
    if deletion is None or row is None:
        raise Unmendable("the deletion is not there any more")
    revive = partial(revive_deletion, deletion=deletion, records=row["records"], ended_us=None, why=finding.kind)
    hands.box.writer.call(revive).result()
    return "the deletion is in force again"


@contextmanager
def reading(hands: Hands) -> Iterator[HotReader]:
    """A look at the store, of one instant."""
    reader = hands.box.reader()
    try:
        with reader.pinned():
            yield reader
    finally:
        reader.close()


def _series(finding: Finding) -> U64:
    return np.array([int(finding.facts["series"])], dtype=np.int64).view(np.uint64)
