"""Repairs of the lake and its manifest: what is proven by the books or by a hash is put right, what is not is set aside.

Each looks at the file anew before it writes, so a finding may be old. All changes of the manifest go through the writer, and into the
chain of evidence.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from appliance.box import Box
from appliance.cold import lake
from appliance.cold.files import Publisher, locate, remove, sync
from appliance.cold.lake import Damage
from appliance.cold.segments import GROUP_ROWS, SegmentMeta, check_segment, generation_of, read_segment, write_segment
from appliance.door.commit import Committer
from appliance.door.lake_commits import commit_compaction
from appliance.hot.state import StreamState
from appliance.manifest import Segment, days_of
from appliance.reconcile import cold_side
from appliance.reconcile.cold_side import CHANGED, DAMAGED, EXTRA, FACTS, GONE, LACKS
from appliance.reconcile.contents import FileLook, look_at
from appliance.reconcile.finding import Finding
from appliance.reconcile.look import Hands, Look, RepairFunction, Unmendable
from appliance.reconcile.manifest_side import DOUBLED, FOREIGN, UNLISTED, account_of
from appliance.reconcile.start import put_aside
from appliance.records import fold
from appliance.tally import EMPTY, to_text


def put_back_or_aside(finding: Finding, hands: Hands) -> str:
    """A segment whose file is missing or not what it was: back in service where a whole file of it is found, else set aside."""
    box, path = hands.box, finding.where
    segment, is_live = _segment(box, finding)
    if check_segment(box.folder, segment, deep=True) is None and (not is_live or finding.kind in (GONE, DAMAGED)):
        if is_live:
            return "its file is whole again"
        _take_back(box, segment)
        return "its file was there again and is whole: it is in service again"
    for place in _kept_copies(box.folder, segment):
        if is_live:
            put_aside(box, Damage(segment, _reason(finding, box, segment)))
        target = locate(box.folder, path)
        target.parent.mkdir(parents=True, exist_ok=True)
        place.rename(target)
        sync(target.parent)
        sync(place.parent)
        _take_back(box, segment)
        return f"a whole copy of it lay in {place.relative_to(box.folder)}: it is in service again"
    if is_live and _write_anew(box, segment):
        return "its records are those that the books have: it was written anew from them"
    if is_live:
        put_aside(box, Damage(segment, _reason(finding, box, segment)))
    lost = f"{segment.rows} records (sequences {segment.first} to {segment.last}) are in no file any more"
    raise Unmendable(f"set aside; {lost}; put the file back as it was and repair again, or load it from elsewhere")


def _write_anew(box: Box, segment: Segment) -> bool:
    """A file whose records are proven though its bytes are not what was written, as a new file in its place; False where they are not."""
    found = look_at(box.folder, segment.path, rows=True)
    if found.rows is None or found.facts is None:
        return False
    facts, tallies = found.facts, found.rows.tallies
    if not _with_look(box, lambda look: cold_side.is_proven(look, segment, tallies)):
        return False
    true = _as_file(segment, found)
    meta = SegmentMeta(facts.schema, facts.node, true.day, true.level, facts.sorted_by, true.days, true.purged)
    stream = box.state.streams[fold(segment.stream)]
    tables = (pa.Table.from_batches([b]) for b in read_segment(box.folder / segment.path, tags=facts.schema.tags, rows=GROUP_ROWS))
    made = write_segment(
        tables,
        publisher=Publisher(box.folder, owner="reconcile"),
        folder=stream.folder,
        meta=meta,
        generation=generation_of(segment.path) + 1,
    )
    if dict(made.tallies or {}) != dict(tallies):
        remove(box.folder, [made.path])
        return False
    commit = partial(
        commit_compaction, key=fold(stream.name), inputs=[segment], outputs=[made], clean_days=None, up_to_seq=stream.mark, changes={}
    )
    if not box.writer.call(commit).result():
        remove(box.folder, [made.path])
        return False
    return True


def set_rows_aside(finding: Finding, hands: Hands) -> str:
    """A file that has its hash, but not the records that were committed: set aside."""
    segment, is_live = _segment(hands.box, finding)
    found = look_at(hands.box.folder, segment.path, rows=True)
    if is_live and found.rows is not None and segment.tallies is not None and dict(found.rows.tallies) == dict(segment.tallies):
        return "its records are right again"
    if is_live:
        put_aside(hands.box, Damage(segment, finding.what.partition(": ")[2] or finding.kind))
    raise Unmendable(f"set aside below {lake.DAMAGED}/; nothing that is left has its {segment.rows} records as they were committed")


def correct_manifest(finding: Finding, hands: Hands) -> str:
    """The manifest as the file is, where its records are those of the books."""
    box = hands.box
    segment, is_live = _segment(box, finding)
    found = look_at(box.folder, segment.path, rows=True)
    if found.rows is None or found.facts is None:
        raise Unmendable(f"{segment.path} {found.trouble}")
    tallies = found.rows.tallies
    if not is_live or not _with_look(box, lambda look: cold_side.is_proven(look, segment, tallies)):
        raise Unmendable("its records are not those that the books have")
    true = _as_file(segment, found)

    def write(committer: Committer) -> None:
        book = committer.books[fold(segment.stream)]
        with committer.durably("reconcile"):
            committer.store.chain.ending([segment.id], state="replaced", reason="its entry was not what its file is")
            _update(committer, true)
            committer.store.chain.added([true])
        book.segments = _sorted([true if s.id == segment.id else s for s in book.segments])
        committer.note_change(fold(segment.stream))

    box.writer.call(write).result()
    return "the manifest says of it what it is"


def register_again(finding: Finding, hands: Hands) -> str:
    """A file that holds exactly what the books lack is in the manifest again."""
    box, path = hands.box, finding.where
    found = look_at(box.folder, path, rows=True)
    if found.rows is None or found.facts is None:
        raise Unmendable(f"{path} {found.trouble}")
    stream = box.state.get(found.facts.stream)
    if stream is None:
        raise Unmendable(f"there is no stream {found.facts.stream!r}")
    if any(s.path == path for s in stream.segments):
        return "the manifest names it again"
    tallies = found.rows.tallies
    if not _with_look(box, lambda look: account_of(look, _stored(look, stream)).explains(tallies)):
        raise Unmendable("the books do not lack what it holds")
    made = _as_file(_blank(stream, path), found)

    def write(committer: Committer) -> None:
        book = committer.books[fold(stream.name)]
        with committer.durably("reconcile"):
            [added] = committer.store.add_segments(book.id, [made], now_us=committer.clock.now_us())
        book.segments = _sorted([*book.segments, added])
        committer.note_change(fold(stream.name))

    box.writer.call(write).result()
    return f"the manifest names it again: {made.rows} records"


def take_out(finding: Finding, hands: Hands) -> str:
    """A segment whose records are all in others leaves the manifest; its file goes as that of a replaced one."""
    box = hands.box
    segment, is_live = _segment(box, finding)
    if not is_live:
        return "it is no longer in service"

    def doubled(look: Look) -> bool:
        missing = account_of(look, _stored(look, box.state.streams[fold(segment.stream)])).missing
        return bool(segment.tallies) and all(missing.get(d) == EMPTY - t for d, t in (segment.tallies or {}).items() if t)

    if not _with_look(box, doubled):
        raise Unmendable("the books do not say that its records are there twice")

    def write(committer: Committer) -> None:
        book = committer.books[fold(segment.stream)]
        with committer.durably("reconcile"):
            why = "its records are in other files"
            committer.store.end_segments([segment.id], state="replaced", reason=why, now_us=committer.clock.now_us())
        book.segments = tuple(s for s in book.segments if s.id != segment.id)
        committer.note_change(fold(segment.stream))

    box.writer.call(write).result()
    return "taken out of the manifest; other files have its records"


def move_stranger(finding: Finding, hands: Hands) -> str:
    """A file that is nobody's leaves the lake, and is kept."""
    folder, path = hands.box.folder, finding.where
    known = {s.path for stream in hands.box.state.streams.values() for s in (*stream.segments, *stream.lost)}
    if path in known or not (folder / path).is_file():
        return "it is not there any more, or the manifest names it"
    stranger = Segment(0, finding.stream or "", 0, path, 0, 0, 0, 0, 0, 0, "", 0, 0)
    return f"moved to {lake.set_aside(folder, Damage(stranger, 'is not in the manifest')).moved_to}"


def _segment(box: Box, finding: Finding) -> tuple[Segment, bool]:
    """The segment that a finding is about, and whether it is live. Raises ``Unmendable`` where it is not in the manifest any more."""
    stream = box.state.get(finding.stream or "")
    for is_live, of_state in ((True, stream.segments), (False, stream.lost)) if stream is not None else ():
        for segment in of_state:
            if segment.id == finding.facts.get("segment"):
                return segment, is_live
    raise Unmendable("the manifest does not name it any more")


def _reason(finding: Finding, box: Box, segment: Segment) -> str:
    return check_segment(box.folder, segment, deep=True) or finding.what.partition(": ")[2]


def _kept_copies(root: Path, segment: Segment) -> list[Path]:
    """Files below ``damaged`` that are the segment as it was written: a file that was taken for damaged, or was put back there."""
    place = root / lake.DAMAGED
    name = Path(segment.path).name
    found = [p for p in sorted(place.rglob(f"{name}*")) if p.is_file() and not p.is_symlink()] if place.is_dir() else []
    return [p for p in found if check_segment(root, replace(segment, path=str(p.relative_to(root))), deep=True) is None]


def _take_back(box: Box, segment: Segment) -> None:
    def write(committer: Committer) -> None:
        book = committer.books[fold(segment.stream)]
        with committer.durably("reconcile"):
            committer.store.connection.execute(
                "UPDATE segment SET state = 'live', reason = NULL, ended_us = NULL WHERE id = ?", (segment.id,)
            )
            committer.store.chain.added([segment])
        book.lost = tuple(s for s in book.lost if s.id != segment.id)
        book.segments = _sorted([*(s for s in book.segments if s.id != segment.id), segment])
        committer.note_change(fold(segment.stream))

    box.writer.call(write).result()


def _as_file(segment: Segment, found: FileLook) -> Segment:
    assert found.rows is not None
    assert found.facts is not None
    rows = found.rows
    day, days = days_of(rows.ts_min, rows.ts_max)
    return replace(
        segment,
        day=day,
        days=days,
        first=rows.first,
        last=rows.last,
        rows=rows.rows,
        ts_min=rows.ts_min,
        ts_max=rows.ts_max,
        bytes=found.bytes,
        sha256=found.sha256,
        schema_version=found.facts.schema.version,
        tallies=rows.tallies,
    )


def _blank(stream: StreamState, path: str) -> Segment:
    """Of level 1 where a compaction has made it, else 0: a day's compaction takes it from there."""
    level = 1 if "-g" in Path(path).stem else 0
    return Segment(0, stream.name, 0, path, 0, 0, 0, 0, 0, 0, "", 0, level)


def _update(committer: Committer, s: Segment) -> None:
    committer.store.connection.execute(
        "UPDATE segment SET day = ?, days = ?, first = ?, last = ?, rows = ?, ts_min = ?, ts_max = ?, bytes = ?, sha256 = ?,"
        " schema_version = ?, tallies = ? WHERE id = ?",
        (s.day, s.days, s.first, s.last, s.rows, s.ts_min, s.ts_max, s.bytes, s.sha256, s.schema_version, to_text(s.tallies or {}), s.id),
    )


def _sorted(segments: list[Segment]) -> tuple[Segment, ...]:
    return tuple(sorted(segments, key=lambda s: (s.day, s.first)))


def _stored(look: Look, stream: StreamState) -> StreamState:
    return look.state.streams[fold(stream.name)]


def _with_look(box: Box, ask: Callable[[Look], Any]) -> Any:
    """Asks something of one instant of the box."""
    reader = box.reader()
    try:
        with reader.pinned():
            state = reader.load_state()
            return ask(Look(folder=box.folder, reader=reader, state=state, scope="all", now_us=box.clock.now_us()))
    finally:
        reader.close()


REPAIRS: Final[Mapping[str, RepairFunction]] = {
    GONE: put_back_or_aside,
    DAMAGED: put_back_or_aside,
    CHANGED: set_rows_aside,
    LACKS: set_rows_aside,
    EXTRA: set_rows_aside,
    FACTS: correct_manifest,
    UNLISTED: register_again,
    DOUBLED: take_out,
    FOREIGN: move_stranger,
}
"""For ``engine``."""
