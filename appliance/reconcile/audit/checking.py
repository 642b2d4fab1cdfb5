"""Checks an evidence bundle: against itself, then against the data folder that it is about. Everything that differs, in words.

Against itself: its sums, its seal or signature, its chain. Against the data: the box has the same chain and went on from it, its
manifest is what its chain says, and the files of the bundle's time have the hashes that the chain has.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from appliance.chain import FIRST, Link, breaks, hash_of, read_line
from appliance.cold.batch.audit import bundle
from appliance.cold.batch.audit.replay import EXPECTED_ENDS, LIVE, Fact, Replay, replay
from appliance.errors import UsageRefused
from appliance.hot.reader import HotReader
from appliance.hot.state import State
from appliance.manifest import Segment
from appliance.reconcile.audit import reading
from appliance.reconcile.audit.hashing import WHOLE, look_at
from appliance.reconcile.audit.writing import signature


@dataclass(frozen=True, slots=True)
class Vouched:
    """What was noted elsewhere, to hold the bundle against."""

    seal: str | None = None
    key: bytes | None = None


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle as it was read."""

    manifest: dict[str, Any]
    chain: tuple[str, ...]
    segments: tuple[dict[str, Any], ...]
    refused: tuple[dict[str, Any], ...]


def read_bundle(folder: Path) -> Bundle:
    """Raises ``UsageRefused`` for what is no bundle, or one of a later format."""
    try:
        manifest = json.loads((folder / bundle.MANIFEST).read_bytes())
        if manifest["format"] != bundle.FORMAT:
            raise UsageRefused(f"{folder} has the format {manifest['format']}, this version knows {bundle.FORMAT}")
        chain = tuple((folder / bundle.CHAIN).read_text("utf-8").splitlines())
        return Bundle(manifest, chain, _objects(folder / bundle.SEGMENTS), _objects(folder / bundle.REFUSED))
    except (OSError, ValueError, KeyError, TypeError) as e:
        raise UsageRefused(f"{folder} can't be read as an evidence bundle: {e}") from e


def check_itself(folder: Path, found: Bundle, vouched: Vouched) -> Iterator[str]:
    """What is wrong with a bundle by itself."""
    sums = (folder / bundle.SUMS).read_bytes() if (folder / bundle.SUMS).is_file() else b""
    listed = {name: digest for digest, _, name in (line.partition("  ") for line in sums.decode("utf-8", "replace").splitlines())}
    for name in bundle.SUMMED:
        if name not in listed:
            yield f"bundle: {bundle.SUMS} does not name {name}"
        elif not (folder / name).is_file():
            yield f"bundle: {name} is missing"
        elif hashlib.sha256((folder / name).read_bytes()).hexdigest() != listed[name]:
            yield f"bundle: {name} was changed: it has another SHA-256 than {bundle.SUMS} says"
    known = {*bundle.SUMMED, bundle.SUMS, bundle.SIGNATURE}
    yield from (f"bundle: {path.name} does not belong to it" for path in sorted(folder.iterdir()) if path.name not in known)
    if vouched.seal is not None and hashlib.sha256(sums).hexdigest() != vouched.seal.strip().lower():
        yield "bundle: its seal is not the one that was noted"
    if vouched.key is not None:
        signed = (folder / bundle.SIGNATURE).read_text("ascii", "replace").strip() if (folder / bundle.SIGNATURE).is_file() else ""
        if not hmac.compare_digest(signed, signature(sums, vouched.key)):
            yield "bundle: its signature was not made with this key over these sums"
    chain = found.manifest["chain"]
    yield from (f"bundle: {said}" for said in breaks(found.chain, first=chain["first"]))
    if (hash_of(found.chain[-1]) if found.chain else FIRST) != chain["head"]:
        yield "bundle: its chain does not end with the head that its manifest names"
    yield from _segments_by_chain(found)


def check_data(
    root: Path,
    found: Bundle,
    reader: HotReader,
    state: State,
    *,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> Iterator[str]:
    """What differs between a bundle and the data. ``reader`` is pinned to the instant of ``state``."""
    lines = list(reading.chain_lines(reader))
    yield from (f"hot.sqlite: {said}" for said in breaks(lines, first=1, before=FIRST))
    yield from _same_chain(found, lines)
    links = reading.links(lines)
    now = replay(links)
    yield from (f"hot.sqlite: {said}" for said in now.unknown)
    yield from _manifest(state, now)
    yield from _deletions(links, reader)
    yield from _letters(found, reader)
    yield from _files(root, found, now, progress)


def _segments_by_chain(found: Bundle) -> Iterator[str]:
    """The bundle's segments are those of its own chain."""
    by_chain = replay(reading.links(found.chain)).segments
    for segment in found.segments:
        fact = by_chain.get(segment["path"])
        if fact is None:
            yield f"bundle: {segment['path']} stands in {bundle.SEGMENTS}, but its chain has no such segment"
        elif any(segment[name] != getattr(fact, name) for name in ("sha256", "rows", "first", "last", "ts_min", "ts_max", "state")):
            yield f"bundle: {segment['path']} is another one in {bundle.SEGMENTS} than in its chain"
    listed = {segment["path"] for segment in found.segments}
    since, until = found.manifest["since_us"], found.manifest["until_us"]
    for path, fact in by_chain.items():
        if path not in listed and fact.ts_min < until and (since is None or fact.ts_max >= since):
            yield f"bundle: {path} stands in its chain, but not in {bundle.SEGMENTS}"


def _same_chain(found: Bundle, lines: Sequence[str]) -> Iterator[str]:
    """The box has every entry of the bundle, as it was."""
    by_id = {link.id: link.line for link in reading.links(lines)}
    for line in found.chain:
        link = read_line(line)
        if link is None:
            continue
        kept = by_id.get(link.id)
        if kept is None:
            yield f"hot.sqlite: entry {link.id} of the chain ({link.kind}, {link.at}) is no longer there"
        elif kept != line:
            yield f"hot.sqlite: entry {link.id} of the chain ({link.kind}, {link.at}) is not what the bundle has"


def _manifest(state: State, now: Replay) -> Iterator[str]:
    """The manifest in ``hot.sqlite`` is what its chain says."""
    registered = {s.path: s for stream in state.streams.values() for s in stream.segments}
    lost = {s.path for stream in state.streams.values() for s in stream.lost}
    live = now.live()
    for path, segment in registered.items():
        fact = live.get(path)
        if fact is None:
            yield f"hot.sqlite: {path} is registered, but the chain has no such live segment"
        elif said := _differs(segment, fact):
            yield f"hot.sqlite: {path} is registered with other {said} than the chain has"
    for path, fact in live.items():
        if path not in registered:
            gone = "was set aside" if path in lost else "is not registered any more"
            yield f"hot.sqlite: {path} (stream {fact.stream}, sequences {fact.first} to {fact.last}) {gone}, and the chain doesn't say so"


def _differs(segment: Segment, fact: Fact) -> str:
    names = ("sha256", "rows", "first", "last", "ts_min", "ts_max", "bytes")
    return ", ".join(name for name in names if getattr(segment, name) != getattr(fact, name))


def _deletions(links: Sequence[Link], reader: HotReader) -> Iterator[str]:
    """Who deleted what, and why, stands in the store as in its chain."""
    kept = {row["id"]: row for row in reading.removed(reader, since_us=None, until_us=2**63 - 1) if row["what"] == "deletion"}
    for link in links:
        if link.kind != "deletion":
            continue
        row = kept.pop(link.body["deletion"], None)
        if row is None:
            yield f"hot.sqlite: the deletion {link.body['deletion']} of stream {link.body['stream']} is no longer there"
        elif any(row[name] != link.body[said] for name, said in _DELETION.items()):
            yield f"hot.sqlite: the deletion {link.body['deletion']} of stream {link.body['stream']} was changed"
    yield from (f"hot.sqlite: the deletion {number} is there, and the chain doesn't say so" for number in kept)


_DELETION: Final = {"author": "who", "reason": "why", "since_us": "since_us", "until_us": "until_us", "up_to_seq": "up_to_seq"}
"""Column -> its name in the chain."""


def _letters(found: Bundle, reader: HotReader) -> Iterator[str]:
    """Refused records are still there, as they were."""
    manifest = found.manifest
    kept = {row["id"]: row for row in reading.refused(reader, since_us=manifest["since_us"], until_us=manifest["until_us"])}
    for letter in found.refused:
        now = kept.get(letter["id"])
        if now is None:
            yield f"hot.sqlite: the refused record {letter['id']} is no longer there"
        elif any(now[name] != letter[name] for name in letter if name != "replayed"):
            yield f"hot.sqlite: the refused record {letter['id']} was changed"


def _files(root: Path, found: Bundle, now: Replay, progress: Callable[[int, int], None]) -> Iterator[str]:
    """The files that hold records of the bundle's time have the hashes of the chain; what was set aside since is said."""
    since, until = found.manifest["since_us"], found.manifest["until_us"]
    by_bundle = {s["path"]: s for s in found.segments}
    facts = [f for f in now.live().values() if f.path in by_bundle or (f.ts_min < until and (since is None or f.ts_max >= since))]
    for fact, said in look_at(root, facts, progress=progress):
        if said != WHOLE:
            yield f"{fact.path}: {said}; sequences {fact.first} to {fact.last}, {fact.rows} records of stream {fact.stream}"
    for path, segment in by_bundle.items():
        later = now.segments.get(path)
        if later is None:
            yield f"{path}: the box's chain has no such segment"
        elif later.sha256 != segment["sha256"]:
            yield f"{path}: the bundle has the SHA-256 {segment['sha256']}, the box's chain {later.sha256}"
        elif later.state != segment["state"] and later.state not in (LIVE, *EXPECTED_ENDS):
            yield f"{path}: was set aside since: {later.state}: {later.reason}"


def _objects(path: Path) -> tuple[dict[str, Any], ...]:
    return tuple(json.loads(line) for line in path.read_text("utf-8").splitlines())
