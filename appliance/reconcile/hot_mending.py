"""Repairs of the hot side: the store from the ring, the ring from the store, headers from bodies, the mark from what else knows it.

In the writer's thread, in one transaction each; everything is judged anew there, by the same rules as in the look. ``HotHand`` is what
they work with: the service's memory belongs to it where there is one, and a folder that nobody serves has only its file.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from appliance.door.commit import Committer
from appliance.hot import batches, divergences
from appliance.hot.batches import Header
from appliance.hot.owned import owned
from appliance.hot.ring import Ring, measured
from appliance.hot.series import fit
from appliance.hot.state import Chunk, StreamState
from appliance.reconcile.bodies import CHANGED, DAMAGED, HEADER, Judged, judge_body
from appliance.reconcile.finding import Finding
from appliance.reconcile.headers import LAST, MARK, MISSING, TWICE, Line, Trouble, judge, reach_of
from appliance.reconcile.look import Hands, RepairFunction, Unmendable
from appliance.reconcile.rings import INCOMPLETE, RING, covers, cut
from appliance.records import fold
from appliance.tally import row_hashes

KINDS: Final = frozenset({MISSING, TWICE, MARK, LAST, DAMAGED, CHANGED, HEADER})
"""What is mended in the file alone, so also before a box can be opened on it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HotHand:
    """What a repair of the hot side works with."""

    db: sqlite3.Connection
    transaction: Callable[[], AbstractContextManager[None]]
    streams: Mapping[str, StreamState]
    """By folded name, as they are stored; where there is a service with its rings and as its memory has them."""
    now_us: int
    boot: Callable[[], int]
    knows: bool
    """Whether ``streams`` are the memory of the process that committed the records."""

    def stream(self, finding: Finding) -> StreamState:
        found = None if finding.stream is None else self.streams.get(fold(finding.stream))
        if found is None:
            raise Unmendable(f"there is no stream {finding.stream!r} any more")
        return found

    def judged(self, stream: StreamState) -> list[Judged]:
        """Every batch of a stream, looked at anew."""
        return [judge_body(self.db, stream, h) for h in batches.headers(self.db, stream.id)]

    def troubles(self, stream: StreamState, found: list[Judged]) -> list[Trouble]:
        """What the headers show now, with the batches as they should be."""
        mark, last_seq, committed_us = self.db.execute(
            "SELECT mark, last_seq, last_commit_us FROM stream WHERE id = ?", (stream.id,)
        ).fetchone()
        reach, has_deletions = reach_of(self.db, stream.id)
        line = Line(
            mark=mark,
            last_seq=last_seq,
            committed_us=committed_us,
            reach=reach,
            has_deletions=has_deletions,
            known_mark=stream.mark if self.knows else None,
            known_last=stream.last_seq if self.knows else None,
            batches=tuple(sorted((j.true for j in found), key=lambda h: (h.first, h.id))),
        )
        return list(judge(line))


def in_box(repair: Callable[[Finding, HotHand], str]) -> RepairFunction:
    """A repair of the hot side as one of a box: in its writer's thread, against its memory."""

    def run(finding: Finding, hands: Hands) -> str:
        def work(committer: Committer) -> str:
            key = fold(finding.stream or "")
            done = repair(finding, hand_of(committer, knows=hands.memory))
            if key in committer.books:
                committer.note_change(key)
            return done

        return hands.box.writer.call(work).result()

    return run


def hand_of(committer: Committer, *, knows: bool) -> HotHand:
    """Of a box."""
    return HotHand(
        db=committer.store.connection,
        transaction=committer.store.transaction,
        streams={key: book.state(committer.ring.chunks(book.id)) for key, book in committer.books.items()},
        now_us=committer.clock.now_us(),
        boot=lambda: committer.store.boot(committer.clock.boot_id()),
        knows=knows,
    )


def fill_gap(finding: Finding, hand: HotHand) -> str:
    """Writes missing sequences again as the ring has them."""
    stream = hand.stream(finding)
    gaps = [t for t in hand.troubles(stream, hand.judged(stream)) if t.kind == MISSING and _is_it(t, finding)]
    if not gaps:
        return "they are there again"
    rows = 0
    with hand.transaction():
        for gap in gaps:
            if not hand.knows or not covers(stream.ring, gap.first, gap.last):
                raise Unmendable(f"neither the ring nor any file has the records {gap.first} to {gap.last}")
            rows += _write(hand, stream, gap.first, gap.last)
    return f"{rows} records were written again from the ring"


def mend_batch(finding: Finding, hand: HotHand) -> str:
    """Writes the records of a batch that can't be trusted again from the ring; sets it aside where the ring has not what was committed."""
    stream = hand.stream(finding)
    if "aside" in finding.facts:
        return _write_aside_again(finding, hand, stream)
    every = hand.judged(stream)
    judged = next((j for j in every if j.header.id == finding.facts.get("batch")), None)
    if judged is None or judged.kind is None:
        return "it is right again"
    header = judged.header
    rest = [j for j in every if j is not judged]
    if not any(t.kind == MISSING and t.first <= header.last and t.last >= header.first for t in hand.troubles(stream, rest)):
        with hand.transaction():
            divergences.set_batch_aside(hand.db, header.id, reason=judged.why, now_us=hand.now_us)
        return "it was set aside in the table batch_aside; other batches have its sequences"
    if hand.knows and covers(stream.ring, header.first, header.last) and _is_committed(stream, header):
        with hand.transaction():
            batches.remove(hand.db, [header.id])
            _write(hand, stream, header.first, header.last)
        return f"{header.rows} records were written again from the ring"
    with hand.transaction():
        divergences.set_batch_aside(hand.db, header.id, reason=judged.why, now_us=hand.now_us)
    raise Unmendable(
        f"the ring does not have them; the batch was set aside in the table batch_aside (sequences {header.first} to {header.last})"
    )


def _write_aside_again(finding: Finding, hand: HotHand, stream: StreamState) -> str:
    """A batch that was set aside: only a ring that has its records brings them back."""
    assert finding.first is not None
    assert finding.last is not None
    if not hand.knows or not covers(stream.ring, finding.first, finding.last):
        raise Unmendable(f"set aside in the table batch_aside (sequences {finding.first} to {finding.last}); nothing else has its records")
    with hand.transaction():
        _write(hand, stream, finding.first, finding.last)
    return f"{finding.last - finding.first + 1} records were written again from the ring"


def _is_committed(stream: StreamState, header: Header) -> bool:
    """Whether the ring's records are those that the batch was committed with."""
    wanted = header.sum
    if wanted is None:
        return True
    found = [row_hashes(c.data, c.first).sum(dtype=np.uint64) for c in cut(stream.ring, header.first, header.last)]
    return sum(int(s) for s in found) % 2**64 == wanted


def mend_header(finding: Finding, hand: HotHand) -> str:
    """Describes a batch as its body is, which its checksum and its tally prove."""
    stream = hand.stream(finding)
    judged = next((j for j in hand.judged(stream) if j.header.id == finding.facts.get("batch")), None)
    if judged is None or judged.kind is None:
        return "it is right again"
    if judged.kind != HEADER:
        raise Unmendable(f"its records are not what was committed either: {judged.why}")
    with hand.transaction():
        batches.set_header(hand.db, judged.true)
    return "it is described as its records are"


def drop_twice(finding: Finding, hand: HotHand) -> str:
    """Removes a batch whose records are all there without it; what is not the same is kept aside."""
    stream = hand.stream(finding)
    judged = hand.judged(stream)
    if not any(t.kind == TWICE and _is_it(t, finding) for t in hand.troubles(stream, judged)):
        return "they are there once again"
    assert finding.first is not None
    assert finding.last is not None
    one = [j for j in judged if j.true.first <= finding.last and j.true.last >= finding.first]
    for victim in sorted(one, key=lambda j: (j.kind is None, j.header.rows, -j.header.id)):
        rest = [j for j in judged if j.header.id != victim.header.id]
        left = [
            t for t in hand.troubles(stream, rest) if t.kind in (MISSING, TWICE) and t.first <= finding.last and t.last >= finding.first
        ]
        if left or not _stands_without(hand, stream, victim, rest):
            continue
        with hand.transaction():
            divergences.set_batch_aside(hand.db, victim.header.id, reason="its records are there twice", now_us=hand.now_us)
        return f"the batch of the records {victim.header.first} to {victim.header.last} was set aside; others have them"
    raise Unmendable("they are not the same, and nothing tells which of them were committed")


def _stands_without(hand: HotHand, stream: StreamState, victim: Judged, rest: list[Judged]) -> bool:
    """Whether what is left of it is proven: below the mark the lake has it; else the others are what was committed, or the ring says so."""
    if victim.header.last <= stream.mark:
        return True
    others = [j for j in rest if j.true.last >= victim.true.first and j.true.first <= victim.true.last]
    if any(j.kind not in (None, HEADER) or j.header.sum is None for j in others):
        return False
    ring = stream.ring if hand.knows else ()
    if all(covers(ring, j.true.first, j.true.last) for j in others):
        return all(_is_committed(stream, j.true) for j in others)
    return victim.kind is not None or _same_rows(hand, stream, victim, others)


def _same_rows(hand: HotHand, stream: StreamState, victim: Judged, others: list[Judged]) -> bool:
    """Whether each of its records is in the others, as it is."""

    def hashes(judged: Judged) -> dict[int, int]:
        data = batches.body(hand.db, stream, judged.header).data
        return {} if data is None else dict(enumerate(row_hashes(data, judged.true.first).tolist(), judged.true.first))

    there: dict[int, int] = {}
    for j in others:
        there |= hashes(j)
    return all(seq <= stream.mark or there.get(seq) == value for seq, value in hashes(victim).items())


def set_mark(finding: Finding, hand: HotHand) -> str:
    """The mark as the memory of the service has it, or as files and batches prove it."""
    return _set(finding, hand, MARK, "mark")


def set_last(finding: Finding, hand: HotHand) -> str:
    """The last sequence, as ``set_mark``."""
    return _set(finding, hand, LAST, "last_seq")


def _set(finding: Finding, hand: HotHand, kind: str, column: str) -> str:
    stream = hand.stream(finding)
    trouble = next((t for t in hand.troubles(stream, hand.judged(stream)) if t.kind == kind), None)
    if trouble is None:
        return "it is right again"
    assert trouble.proven is not None
    with hand.transaction():
        hand.db.execute(f"UPDATE stream SET {column} = ? WHERE id = ?", (trouble.proven, stream.id))
    return f"set to {trouble.proven}"


def fill_ring(finding: Finding, hands: Hands) -> str:
    """The ring of a stream anew, from its hot batches."""

    def work(committer: Committer) -> str:
        key = fold(finding.stream or "")
        book = committer.books.get(key)
        if book is None:
            raise Unmendable(f"there is no stream {finding.stream!r} any more")
        hand = hand_of(committer, knows=True)
        stream = hand.streams[key]
        judged = hand.judged(stream)
        if any(j.kind is not None for j in judged) or hand.troubles(stream, judged):
            raise Unmendable("the hot store is not right itself; mend that first")
        chunks = list(_chunks(hand, stream, judged))
        refill(committer.ring, stream.id, chunks)
        committer.ring.evict()
        committer.note_change(key)
        return f"{sum(c.rows for c in chunks)} records were read again from the hot store"

    return hands.box.writer.call(work).result()


def _chunks(hand: HotHand, stream: StreamState, judged: list[Judged]) -> Iterator[Chunk]:
    for j in judged:
        data = batches.body(hand.db, stream, j.header).data
        assert data is not None, "it was just judged"
        mine = owned([fit(data, stream.schema)])
        yield measured(j.true.first, mine, ts_min=j.true.ts_min, ts_max=j.true.ts_max, schema_version=stream.schema.version)


def refill(ring: Ring, stream_id: int, chunks: list[Chunk]) -> None:
    """These are what the ring holds of a stream, contiguous to its last sequence."""
    ring.forget(stream_id)
    for chunk in chunks:
        ring.push(stream_id, chunk)


def _write(hand: HotHand, stream: StreamState, first: int, last: int) -> int:
    """The ring's records of these sequences as batches; how many."""
    committed_us = hand.db.execute("SELECT coalesce(last_commit_us, ?) FROM stream WHERE id = ?", (hand.now_us, stream.id)).fetchone()[0]
    for chunk in cut(stream.ring, first, last):
        schema = stream.schemas[chunk.schema_version]
        data: Any = owned([chunk.data])
        batches.insert(hand.db, stream.id, schema, data, first=chunk.first, boot=hand.boot(), committed_us=committed_us)
    return last - first + 1


def _is_it(trouble: Trouble, finding: Finding) -> bool:
    """Whether what is seen now is (a part of) what was found."""
    return finding.first is not None and finding.last is not None and trouble.first <= finding.last and trouble.last >= finding.first


FILE_REPAIRS: Final[Mapping[str, Callable[[Finding, HotHand], str]]] = {
    MISSING: fill_gap,
    DAMAGED: mend_batch,
    CHANGED: mend_batch,
    HEADER: mend_header,
    TWICE: drop_twice,
    MARK: set_mark,
    LAST: set_last,
}
REPAIRS: Final[Mapping[str, RepairFunction]] = {
    **{kind: in_box(repair) for kind, repair in FILE_REPAIRS.items()},
    RING: fill_ring,
    INCOMPLETE: fill_ring,
}
"""For ``engine``."""
