"""The hot side compared with itself: headers of batches, their bodies, the ring, mark and last sequence. Reads only.

headers ──► bodies (all new ones, the others by turns) ──► what is true of each batch ──► ``headers.judge`` ──► the ring against it
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from appliance.hot import batches, divergences
from appliance.hot.batches import Header
from appliance.hot.state import StreamState
from appliance.reconcile.bodies import CHANGED, DAMAGED, HEADER, Judged, judge_body
from appliance.reconcile.finding import Finding
from appliance.reconcile.headers import LAST, MARK, MISSING, TWICE, Line, Trouble, judge, reach_of
from appliance.reconcile.look import Check, Look
from appliance.reconcile.rings import INCOMPLETE, RING, RingLook, settle_memo

PLACE: Final = "hot.sqlite"
BYTES_A_LOOK: Final = 64 << 20
"""Of bodies that are known already, so many are read at each look; a larger hot store takes more than two looks."""
TURNS: Final = 2
KINDS: Final = frozenset({DAMAGED, CHANGED, HEADER, MISSING, TWICE, MARK, LAST, RING, INCOMPLETE})


def check_hot(look: Look) -> Iterator[Finding]:
    """Everything about the hot side of each stream."""
    memo: dict[tuple[int, int], Judged] = look.memo.setdefault("bodies", {})
    fresh: dict[tuple[int, int], Judged] = {}
    aside = divergences.asides(look.reader)
    turns = _turns(look)
    for key, stream in sorted(look.state.streams.items()):
        headers = batches.headers(look.reader, stream.id)
        due = [h for h in headers if look.is_whole or (h.id + look.turn) % turns == 0]
        known = (
            {} if look.is_whole else {h.id: j for h in headers if (j := memo.get((stream.id, h.id))) and j.kind is None and j.header == h}
        )
        for batch, crc in batches.checksums(look.reader, (h for h in due if h.id in known)):
            if crc != known[batch].header.crc32:
                del known[batch]
        for header in due:
            look.seen.bytes += header.bytes
            look.seen.records += header.rows
            look.pause(header.bytes)
        found = [known.get(h.id) or judge_body(look.reader, stream, h) for h in headers]
        fresh.update(((stream.id, j.header.id), j) for j in found)
        mine = [(first, last, why, i) for i, stream_id, first, last, why in aside if stream_id == stream.id]
        memory = None if look.memory is None else look.memory.streams.get(key)
        yield from _look_at(look, stream, memory, found, mine)
    look.memo["bodies"] = fresh
    settle_memo(look)


def _turns(look: Look) -> int:
    total = int(str(look.reader.execute("SELECT coalesce(sum(length(body)), 0) FROM batch")[0][0]))
    return max(TURNS, -(-total // BYTES_A_LOOK))


def _look_at(
    look: Look, stream: StreamState, memory: StreamState | None, found: list[Judged], aside: list[tuple[int, int, str, int]]
) -> Iterator[Finding]:
    ring = RingLook(look, stream, memory, {j.header.id: j.true.sum for j in found if j.kind in (None, HEADER)})
    for j in found:
        if j.kind is not None:
            yield _of_batch(stream, j, ring)
    for trouble in judge(line_of(look, stream, memory, [j.true for j in found])):
        held = next((a for a in aside if trouble.kind == MISSING and a[0] <= trouble.first and trouble.last <= a[1]), None)
        if held is not None:
            what = f"the records {held[0]} to {held[1]} were set aside: {held[2]}"
            yield _finding(stream, DAMAGED, held[0], held[1], what, None, {"aside": held[3]})
        else:
            yield _of_trouble(stream, trouble, ring, look)
    yield from ring.findings([j for j in found if j.kind is None])


def line_of(look: Look, stream: StreamState, memory: StreamState | None, headers: list[Header]) -> Line:
    """What ``headers.judge`` needs of a stream, with the batches as they should be."""
    reach, has_deletions = reach_of(look.reader, stream.id)
    return Line(
        mark=stream.mark,
        last_seq=stream.last_seq,
        committed_us=look.reader.stream_extra(stream).last_commit_us,
        reach=reach,
        has_deletions=has_deletions,
        known_mark=None if memory is None else memory.mark,
        known_last=None if memory is None else memory.last_seq,
        batches=tuple(sorted(headers, key=lambda h: (h.first, h.id))),
    )


def _of_batch(stream: StreamState, j: Judged, ring: RingLook) -> Finding:
    facts: dict[str, int | str] = {"batch": j.header.id}
    if j.kind == HEADER:
        return _finding(stream, HEADER, j.true.first, j.true.last, j.why, "describe it as its records are", facts)
    repair = "write it again from the ring" if ring.covers(j.header.first, j.header.last) else None
    what = j.why if j.kind == CHANGED else f"the batch of the records {j.header.first} to {j.header.last} {j.why}"
    assert j.kind is not None
    return _finding(stream, j.kind, j.header.first, j.header.last, what, repair, facts)


def _of_trouble(stream: StreamState, t: Trouble, ring: RingLook, look: Look) -> Finding:
    facts: dict[str, int | str] = {} if t.batch is None else {"batch": t.batch}
    if t.proven is not None:
        repair = f"set it to {t.proven}"
        facts["proven"] = t.proven
    elif t.kind == TWICE:
        repair = "drop what is there twice, where it is the same"
    else:
        repair = "write them again from the ring" if look.memory is not None and ring.covers(t.first, t.last) else ""
    return _finding(stream, t.kind, t.first, t.last, t.what, repair or None, facts)


def _finding(
    stream: StreamState, kind: str, first: int, last: int, what: str, repair: str | None, facts: Mapping[str, int | str]
) -> Finding:
    return Finding(
        kind=kind,
        where=f"{PLACE} {'stream' if kind in (MARK, LAST) else 'batch'}",
        key=stream.name if kind in (MARK, LAST) else f"{stream.name}:{first}-{last}",
        stream=stream.name,
        first=first,
        last=last,
        what=f"stream {stream.name}: {what}",
        repair=repair,
        facts=facts,
    )


CHECKS: Final = (Check(name="hot side", run=check_hot, kinds=KINDS, scopes=frozenset({"hot", "all", "full"}), by_turns=frozenset({"hot"})),)
"""For ``engine``."""
