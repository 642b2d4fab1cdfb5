"""The chain of evidence: entries of which each names the hash of the one before, so that no later change goes unseen. Pure.

An entry is one line of JSON. Its hash is the SHA-256 of that line without the line end, in hex; ``before`` in the next entry is
that hash. So a file of entries can be checked with ``sha256sum`` and nothing else, and the newest hash, noted elsewhere, vouches for all.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from appliance.clock import iso

FIRST: Final = "0" * 64
"""``before`` of the first entry of a box."""
JUMP_US: Final = 1_000_000
"""A wall clock that has moved by more than this against the boot clock has jumped; what is less is a clock being set right slowly."""
DRIFT_PPM: Final = 1_000
"""A clock that is slewed moves by up to 500 millionths (adjtime(3)); twice that is still no jump."""


@dataclass(frozen=True, slots=True)
class Reading:
    """The clocks of one moment."""

    at_us: int
    """Wall clock."""
    up_us: int
    """Since the machine was booted."""
    boot: str
    """Which boot."""


@dataclass(frozen=True, slots=True)
class Link:
    """One entry, read."""

    id: int
    """From 1, rising by one."""
    before: str
    line: str
    """As it is hashed."""
    at: str
    """Wall clock, ISO 8601."""
    kind: str
    body: Mapping[str, Any]

    @property
    def hash(self) -> str:
        return hash_of(self.line)


def line_of(*, number: int, before: str, reading: Reading, kind: str, body: Mapping[str, Any]) -> str:
    """An entry as its line. Text that is no Unicode is escaped."""
    entry = {"id": number, "before": before, "at": iso(reading.at_us), "up_us": reading.up_us, "boot": reading.boot, "kind": kind, **body}
    text = json.dumps(entry, ensure_ascii=False, separators=(",", ":"))
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def hash_of(line: str) -> str:
    """SHA-256 of a line, in hex."""
    return hashlib.sha256(line.encode("utf-8", "surrogateescape")).hexdigest()


def read_line(line: str) -> Link | None:
    """The entry in a line; None for one that is no entry."""
    try:
        found = json.loads(line)
        return Link(int(found["id"]), str(found["before"]), line, str(found["at"]), str(found["kind"]), found)
    except (ValueError, KeyError, TypeError):
        return None


def breaks(lines: Iterable[str], *, first: int | None = None, before: str | None = None) -> Iterator[str]:
    """What is wrong with a run of entries, a sentence each; nothing for one that is whole.

    ``first`` and ``before`` are the id and the predecessor's hash that the run must begin with; None: any.
    """
    expected, hash_before = first, before
    for place, line in enumerate(lines, 1):
        link = read_line(line)
        if link is None:
            yield f"line {place} of the chain is no entry"
            expected, hash_before = None if expected is None else expected + 1, hash_of(line)
            continue
        if expected is not None and link.id != expected:
            yield f"the chain goes on with entry {link.id} where entry {expected} belongs"
        elif hash_before is not None and link.before != hash_before:
            yield f"entry {link.id} of the chain does not follow from the one before it: one of the two was changed"
        expected, hash_before = link.id + 1, link.hash


def jump_between(before: Reading | None, now: Reading) -> Mapping[str, Any] | None:
    """How the wall clock has jumped between two moments, as the body of an entry; None where it has not, as far as can be told.

    Within one boot the boot clock tells. Over a restart of the machine only a wall clock that went back shows.
    """
    if before is None:
        return None
    passed_us = now.up_us - before.up_us
    if before.boot == now.boot and passed_us >= 0:
        by_us = now.at_us - before.at_us - passed_us
        if abs(by_us) <= JUMP_US + passed_us * DRIFT_PPM // 1_000_000:
            return None
        return {"by_us": by_us, "from": iso(before.at_us + passed_us), "to": iso(now.at_us), "over": "running"}
    if now.at_us >= before.at_us:
        return None
    return {"by_us": now.at_us - before.at_us, "from": iso(before.at_us), "to": iso(now.at_us), "over": "restart of the machine"}
