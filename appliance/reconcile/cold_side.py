"""The files of the lake against the manifest: there, whole, with the facts and the records that the books have of them. Reads only.

``newest`` reads files of the last hour, ``all`` hashes every file, ``full`` decodes every row. What was decoded once under a hash need
not be decoded again by ``newest`` while it has that hash.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from appliance.clock import US_PER_S
from appliance.hot.alerts.reads import Reads
from appliance.manifest import Segment
from appliance.reconcile.contents import FileLook, false_facts, look_at, look_at_all
from appliance.reconcile.finding import Finding
from appliance.reconcile.identities import Identities
from appliance.reconcile.look import Check, Look
from appliance.tally import EMPTY, Tallies, Tally, joined

GONE: Final = "segment missing"
DAMAGED: Final = "segment damaged"
FACTS: Final = "manifest false"
LACKS: Final = "segment lacks rows"
EXTRA: Final = "segment has rows twice"
CHANGED: Final = "segment rows changed"
ANEW: Final = "write it anew from its records"
NEWEST_US: Final = 3_600 * US_PER_S
NEWEST_FILES_MAX: Final = 64
NEWEST_BYTES_MAX: Final = 64 << 20
"""What one look at the newest reads at most; what is left is for the next one."""


def check_segments(look: Look) -> Iterator[Finding]:
    """Every live segment that the look is about, by file."""
    wanted = _newest(look) if look.scope == "newest" and look.only is None else _wanted(look)
    decoded: dict[str, Segment] = look.memo.setdefault("decoded", {})

    def is_decoded(segment: Segment) -> bool:
        return look.scope == "full" or (look.scope == "newest" and decoded.get(segment.path) != segment)

    gathered = _identities(look, wanted) if look.scope == "full" and look.query is not None else {}
    threads = 1 if look.scope == "newest" else 2
    files = look_at_all(
        look.folder,
        wanted,
        rows=is_decoded,
        pause=look.pause,
        threads=threads,
        wanted=lambda s: gathered[s.stream].wanted(s) if s.stream in gathered else None,
    )
    for segment, found in files:
        finding = judge(look, segment, found)
        look.seen.paths.add(segment.path)
        look.seen.segments += 1
        look.seen.bytes += found.bytes
        look.seen.records += segment.rows
        if finding is not None:
            yield finding
            continue
        look.seen.right.append((segment.id, segment.sha256))
        if found.rows is not None:
            decoded[segment.path] = segment
            if found.rows.identities is not None:
                gathered[segment.stream].take(segment, found.rows.identities)
            if segment.tallies is None:
                look.seen.unknown[segment.id] = found.rows.tallies
    if look.scope == "newest":
        live = {s.path for stream in look.state.streams.values() for s in stream.segments}
        for path in [p for p in decoded if p not in live]:
            del decoded[path]


def _identities(look: Look, wanted: Sequence[Segment]) -> dict[str, Identities]:
    """By stream; ``twins`` and ``latest`` find them in what was seen."""
    names = {segment.stream for segment in wanted}
    look.seen.identities = {s.name: Identities(s) for s in look.state.streams.values() if s.name in names}
    return look.seen.identities


def _wanted(look: Look) -> list[Segment]:
    """All that was asked for, the newest first."""
    found = [
        s
        for stream in look.state.streams.values()
        for s in stream.segments
        if (look.only is None or s.path in look.only) and look.concerns(s.ts_max)
    ]
    return sorted(found, key=lambda s: -s.id)


def _newest(look: Look) -> list[Segment]:
    """Files with records of the last hour, or made within it: those that were looked at longest ago, by turns where they are many."""
    seen: dict[int, int] = look.memo.setdefault("newest", {})
    since_us = look.now_us - NEWEST_US
    made = {row[0] for row in look.reader.execute("SELECT id FROM segment WHERE state = 'live' AND created_us >= ?", (since_us,))}
    live = (s for stream in look.state.streams.values() for s in stream.segments)
    recent = sorted((s for s in live if s.ts_max >= since_us or s.id in made), key=lambda s: (seen.get(s.id, -1), -s.id))
    picked: list[Segment] = []
    size = 0
    for segment in recent[:NEWEST_FILES_MAX]:
        if picked and size + segment.bytes > NEWEST_BYTES_MAX:
            break
        picked.append(segment)
        size += segment.bytes
    look.memo["newest"] = {s.id: seen[s.id] for s in recent if s.id in seen} | {s.id: look.turn for s in picked}
    return picked


def judge(look: Look, segment: Segment, found: FileLook) -> Finding | None:
    """What is wrong with one file; None: nothing."""
    if found.facts is None:
        kind = DAMAGED if found.is_there else GONE
        return finding_of(segment, kind, f"{found.trouble or 'can not be read'}; {records_of(segment)}", None)
    if found.trouble is not None:
        return finding_of(segment, DAMAGED, f"{found.trouble}; {records_of(segment)}", None)
    false = false_facts(segment, found)
    if not false and (found.rows is None or segment.tallies is None or _same(segment.tallies, found.rows.tallies)):
        return None
    if found.rows is None:
        found = look_at(look.folder, segment.path, rows=True, pause=look.pause)
        if found.rows is None or found.facts is None:
            return finding_of(segment, DAMAGED, f"{found.trouble}; {records_of(segment)}", None)
        false = false_facts(segment, found)
    assert found.rows is not None
    if is_proven(look, segment, found.rows.tallies):
        if "sha256" in false and not is_registered(look.reader, segment.path, found.sha256):
            what = f"{_hash_words(segment, found)}; its {found.rows.rows} records are those that the books have"
            return finding_of(segment, DAMAGED, what, ANEW)
        if segment.tallies is not None and not _same(segment.tallies, found.rows.tallies):
            false["tallies"] = ("others", "those of its records")
        said = ", ".join(f"{name} {_short(a)} and not {_short(b)}" for name, (a, b) in sorted(false.items()))
        what = f"the manifest says of it {said}; its records are those that the books have"
        return finding_of(segment, FACTS, what, "correct the manifest")
    if "sha256" in false:
        return finding_of(segment, DAMAGED, f"{_hash_words(segment, found)}; {records_of(segment)}", None)
    return _of_rows(segment, found.rows.tallies)


def _of_rows(segment: Segment, have: Tallies) -> Finding:
    """The file is what the manifest says, but its rows are not those that were committed."""
    assert segment.tallies is not None
    wanted, found = total(segment.tallies), total(have)
    days = sorted(d for d in {*have, *segment.tallies} if have.get(d, EMPTY) != segment.tallies.get(d, EMPTY))
    if found.rows == wanted.rows:
        return finding_of(segment, CHANGED, f"its {found.rows} records are not those that were committed: their tally differs", None, days)
    if found.rows < wanted.rows:
        return finding_of(segment, LACKS, f"it has {found.rows} records of {wanted.rows}", None, days)
    return finding_of(segment, EXTRA, f"it has {found.rows} records, and {wanted.rows} were committed", None, days)


def is_proven(look: Look, segment: Segment, have: Tallies) -> bool:
    """Whether these are the records that were committed for the segment: as the manifest has their tally, or as the books lack them.

    Where neither is known nothing speaks against them.
    """
    if segment.tallies is not None and _same(segment.tallies, have):
        return True
    stream = next((s for s in look.state.streams.values() if s.name == segment.stream), None)
    if stream is None:
        return False
    books = look.reader.tallies(stream.id)
    others = [s.tallies for s in (*stream.segments, *stream.lost) if s.id != segment.id and set(have) & set(range(s.day, s.day_last + 1))]
    if any(t is None for t in others) or any(books.get(day, EMPTY) is None for day in have):
        return False
    rest = joined(t for t in others if t is not None)
    return all((books.get(day) or EMPTY) - rest.get(day, EMPTY) == tally for day, tally in have.items())


def is_registered(reads: Reads, path: str, sha256: str) -> bool:
    """Whether the chain of evidence says that the file was put into the manifest with this hash."""
    return any(reads.execute("SELECT 1 FROM chain WHERE instr(entry, ?) AND instr(entry, ?) LIMIT 1", (path, sha256)))


def finding_of(segment: Segment, kind: str, what: str, repair: str | None, days: Sequence[int] = ()) -> Finding:
    """About one segment."""
    return Finding(
        kind=kind,
        where=segment.path,
        stream=segment.stream,
        first=segment.first,
        last=segment.last,
        since_us=segment.ts_min if not days else days[0] * 86_400 * US_PER_S,
        until_us=segment.ts_max + 1 if not days else (days[-1] + 1) * 86_400 * US_PER_S,
        what=f"{segment.path}: {what}",
        repair=repair,
        facts={"segment": segment.id},
    )


def records_of(segment: Segment) -> str:
    """Which records it concerns."""
    return f"sequences {segment.first} to {segment.last}, {segment.rows} records"


def total(tallies: Tallies) -> Tally:
    """Of all days."""
    return sum(tallies.values(), EMPTY)


def _same(a: Tallies, b: Tallies) -> bool:
    return {d: t for d, t in a.items() if t} == {d: t for d, t in b.items() if t}


def _hash_words(segment: Segment, found: FileLook) -> str:
    if found.bytes != segment.bytes:
        return f"has {found.bytes} bytes instead of {segment.bytes}"
    return f"has the SHA-256 {found.sha256[:12]}… instead of {segment.sha256[:12]}…"


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 24 else f"{text[:12]}…"


CHECKS: Final = (
    Check(
        name="segments",
        run=check_segments,
        kinds=frozenset({GONE, DAMAGED, FACTS, CHANGED, LACKS, EXTRA}),
        scopes=frozenset({"newest", "all", "full"}),
        by_file=True,
        in_process=True,
    ),
)
"""For ``engine``."""
