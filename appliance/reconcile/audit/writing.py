"""Writes an evidence bundle: everything is read in one instant of the box, files are hashed as they lie.

chain, tables ──► facts ──► files hashed ──► lines ──► manifest ──► sums (and their signature)
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from appliance.chain import FIRST, Link, breaks, hash_of, read_line
from appliance.clock import US_PER_S
from appliance.cold.batch.audit import bundle
from appliance.cold.batch.audit.gaps import missing
from appliance.cold.batch.audit.replay import EXPECTED_ENDS, LIVE, Fact, Replay
from appliance.cold.files import sync
from appliance.errors import UsageRefused
from appliance.hot.reader import HotReader
from appliance.hot.state import State, StreamState
from appliance.reconcile.audit import reading
from appliance.reconcile.audit.hashing import WHOLE, look_at
from appliance.reconcile.audit.reading import moment
from appliance.reconcile.audit.silence import silent_stretches

TOLD: Final = reading.CONFIG | reading.PEOPLE | reading.CLOCK
"""Kinds of entries that a bundle has in files of their own."""
NOT_LOOKED_AT: Final = "not looked at: it had ended"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a bundle is to be about."""

    since_us: int | None
    """Event time of records, and wall clock of what happened; None: from the beginning."""
    until_us: int
    silence_s: float
    """A stretch without a record that is longer than this is a gap."""
    author: str
    node: str
    now_us: int


@dataclass(frozen=True, slots=True)
class Made:
    """A bundle that is written."""

    folder: Path
    seal: str
    """SHA-256 of its ``SHA256SUMS``."""
    head: str
    """Of the chain."""
    entries: int
    segments: int
    bytes: int
    gaps: int
    wrong: tuple[str, ...]
    """What was found wrong while it was made, a line each."""


class Walk:
    """One walk along the whole chain, in memory that follows the lake and what is asked for, not the chain."""

    def __init__(self, reader: HotReader, asked: Asked) -> None:
        self.whole = Replay(keeps=lambda fact: _concerns(fact, asked))
        self.head = FIRST
        """The hash of the newest entry so far."""
        self.count = 0
        self._reader = reader
        self._since = None if asked.since_us is None else moment(asked.since_us)
        self._until = moment(asked.until_us)
        self._told: list[Link] = []
        self._first: int | None = None

    def lines(self) -> Iterator[str]:
        """Each entry, taken in."""
        for line in reading.chain_lines(self._reader):
            self.count += 1
            self.head = hash_of(line)
            link = read_line(line)
            if link is not None:
                self._take(link)
            yield line

    def of(self, kinds: frozenset[str]) -> Iterator[Mapping[str, Any]]:
        """The entries of some kinds that were made within the time, as they are."""
        return (link.body for link in self._told if link.kind in kinds)

    def first(self, facts: Iterable[Fact]) -> int:
        """Where the run of entries begins that a bundle of these segments has: from there to the newest it is without a break."""
        if self._since is None or not self.count:
            return 1
        named = [fact.added for fact in facts] + ([] if self._first is None else [self._first])
        return max(1, min(named, default=self.count))

    def _take(self, link: Link) -> None:
        self.whole.take(link)
        if self._since is not None and link.at < self._since:
            return
        if self._first is None:
            self._first = link.id
        if link.kind in TOLD and link.at < self._until:
            self._told.append(link)


def write_bundle(
    root: Path,
    target: Path,
    reader: HotReader,
    state: State,
    asked: Asked,
    *,
    key: bytes | None = None,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> Made:
    """Writes the bundle into ``target``, which must not be there yet or be empty. ``reader`` is pinned to the instant of ``state``.

    Raises ``UsageRefused`` where ``target`` has something in it.
    """
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise UsageRefused(f"{target} is there already; name a folder that is new or empty")
    target.mkdir(parents=True, exist_ok=True)
    walk = Walk(reader, asked)
    wrong = [*breaks(walk.lines(), first=1, before=FIRST), *walk.whole.unknown]
    whole = walk.whole
    facts = [f for f in whole.segments.values() if _concerns(f, asked)]
    found = _found(root, facts, progress)
    wrong += [f"{path}: {said}" for path, said in found.items() if said not in (WHOLE, NOT_LOOKED_AT)]
    wrong += [f"{f.path}: was set aside: {f.state}: {f.reason}" for f in facts if f.state not in (LIVE, *EXPECTED_ENDS)]
    first = walk.first(facts)
    chain = {"first": first, "last": walk.count, "head": walk.head}
    gaps = [*_sequences(state, whole), *_silences(root, reader, state, whole, asked)]
    files = {
        bundle.README: [bundle.README_TEXT],
        bundle.CHAIN: (f"{line}\n" for line in reading.chain_lines(reader, since=first)),
        bundle.SEGMENTS: [bundle.line(_segment(f, found[f.path])) for f in facts],
        bundle.GAPS: map(bundle.line, gaps),
        bundle.REFUSED: map(bundle.line, reading.refused(reader, since_us=asked.since_us, until_us=asked.until_us)),
        bundle.REMOVED: map(bundle.line, reading.removed(reader, since_us=asked.since_us, until_us=asked.until_us)),
        bundle.CONFIG: map(bundle.line, walk.of(reading.CONFIG)),
        bundle.PEOPLE: map(bundle.line, walk.of(reading.PEOPLE)),
        bundle.CLOCK: map(bundle.line, walk.of(reading.CLOCK)),
        bundle.HASHES: [f"{f.sha256}  {f.path}\n" for f in facts if f.state == LIVE],
        bundle.MANIFEST: [bundle.manifest_text(_manifest(asked, chain, state, whole, facts))],
    }
    sums = {name: _put(target / name, text) for name, text in files.items()}
    seal = _put(target / bundle.SUMS, [f"{sums[name]}  {name}\n" for name in bundle.SUMMED])
    if key is not None:
        _put(target / bundle.SIGNATURE, [signature((target / bundle.SUMS).read_bytes(), key) + "\n"])
    sync(target)
    size = sum(f.bytes for f in facts if f.state == LIVE)
    return Made(target, seal, walk.head, walk.count - first + 1, len(facts), size, len(gaps), tuple(wrong))


def signature(sums: bytes, key: bytes) -> str:
    """HMAC-SHA256 (RFC 2104) of the bundle's sums, in hex."""
    return hmac.new(key, sums, hashlib.sha256).hexdigest()


def _concerns(fact: Fact, asked: Asked) -> bool:
    """Whether a segment holds records of the time."""
    return fact.ts_min < asked.until_us and (asked.since_us is None or fact.ts_max >= asked.since_us)


def _found(root: Path, facts: Iterable[Fact], progress: Callable[[int, int], None]) -> dict[str, str]:
    live = [f for f in facts if f.state == LIVE]
    return {f.path: NOT_LOOKED_AT for f in facts} | {f.path: said for f, said in look_at(root, live, progress=progress)}


def _segment(fact: Fact, found: str) -> dict[str, Any]:
    return {**asdict(fact), "from": moment(fact.ts_min), "to": moment(fact.ts_max), "found": found}


def _sequences(state: State, whole: Replay) -> Iterable[dict[str, Any]]:
    """Sequences that no live segment and no hot batch covers, with what is known of them."""
    for _, stream in sorted(state.streams.items()):
        mine = [f for f in whole.segments.values() if f.stream == stream.name]
        live = [(f.first, f.last) for f in mine if f.state == LIVE]
        ended = [f for f in mine if f.state not in (LIVE, "replaced")]
        for fact in ended:
            why = "removed by retention" if fact.state == "expired" else f"set aside ({fact.state}): {fact.reason}"
            yield {"stream": stream.name, "kind": "sequences", "first": fact.first, "last": fact.last, "rows": fact.rows, "why": why}
        hot = [(stream.mark + 1, stream.last_seq)] if stream.last_seq > stream.mark else []
        for first, last in missing([*live, *hot, *((f.first, f.last) for f in ended)], first=1, last=stream.last_seq):
            why = "in no segment and not in the hot store; repeats that were made one, or removed before the chain began, or lost"
            yield {"stream": stream.name, "kind": "sequences", "first": first, "last": last, "rows": last - first + 1, "why": why}
        account = whole.accounts.get(stream.name)
        if account is not None and account.nowhere:
            why = f"{account.rolled} were rolled, but what is live, merged, removed and lost makes {account.rolled - account.nowhere}"
            yield {"stream": stream.name, "kind": "account", "rows": account.nowhere, "why": why}


def _silences(root: Path, reader: HotReader, state: State, whole: Replay, asked: Asked) -> Iterable[dict[str, Any]]:
    within_us = round(asked.silence_s * US_PER_S)
    for _, stream in sorted(state.streams.items()):
        facts = [f for f in whole.segments.values() if f.stream == stream.name and f.state == LIVE and _concerns(f, asked)]
        found = silent_stretches(root, reader, stream, facts, since_us=asked.since_us, until_us=asked.until_us, within_us=within_us)
        for low, high in found:
            yield {
                "stream": stream.name,
                "kind": "silence",
                "from": moment(low),
                "to": moment(high),
                "seconds": (high - low) / US_PER_S,
                "why": "no record",
            }


def _manifest(asked: Asked, chain: Mapping[str, object], state: State, whole: Replay, facts: Sequence[Fact]) -> Mapping[str, Any]:
    return {
        "node": asked.node,
        "made": moment(asked.now_us),
        "author": asked.author,
        "since": None if asked.since_us is None else moment(asked.since_us),
        "until": moment(asked.until_us),
        "since_us": asked.since_us,
        "until_us": asked.until_us,
        "silence_s": asked.silence_s,
        "chain": chain,
        "segments": len(facts),
        "streams": {s.name: _account(s, whole) for _, s in sorted(state.streams.items())},
    }


def _account(stream: StreamState, whole: Replay) -> dict[str, int]:
    account = whole.accounts.get(stream.name)
    hot = {"last_seq": stream.last_seq, "mark": stream.mark, "hot": stream.last_seq - stream.mark}
    return hot if account is None else {**hot, **asdict(account), "nowhere": account.nowhere}


def _put(path: Path, texts: Iterable[str]) -> str:
    """Writes and syncs a file; its SHA-256."""
    digest = hashlib.sha256()
    with path.open("xb") as file:
        for text in texts:
            data = text.encode("utf-8", "backslashreplace")
            digest.update(data)
            file.write(data)
    sync(path)
    return digest.hexdigest()
