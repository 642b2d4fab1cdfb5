"""What a run of the chain says of the lake: which segments there must be, and what became of the others. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from appliance.chain import Link

LIVE: Final = "live"
EXPECTED_ENDS: Final = frozenset({"replaced", "expired"})
"""How a segment ends when all is well: by a compaction, or by retention."""


@dataclass(frozen=True, slots=True)
class Fact:
    """One segment as the chain knows it."""

    stream: str
    path: str
    sha256: str
    rows: int
    first: int
    last: int
    ts_min: int
    ts_max: int
    bytes: int
    added: int
    """The entry that registered it."""
    at: str
    """When that was, ISO 8601."""
    state: str = LIVE
    """``live``, or how it ended: ``replaced``, ``expired``, ``damaged``, ``missing``."""
    reason: str = ""
    ended: int | None = None
    """The entry that ended it."""


@dataclass(slots=True)
class Account:
    """The records of one stream, counted: what was rolled is live, or is accounted for."""

    rolled: int = 0
    """Sequences up to the mark."""
    live: int = 0
    merged: int = 0
    """Made one with a repeat, or deleted, by a compaction."""
    removed: int = 0
    """By retention."""
    lost: int = 0
    """In segments that were set aside."""

    @property
    def nowhere(self) -> int:
        """What nobody accounts for; 0 where all is well."""
        return self.rolled - self.live - self.merged - self.removed - self.lost


@dataclass(slots=True)
class Replay:
    """The chain so far. Segments that ended before the run began are not in it."""

    segments: dict[str, Fact] = field(default_factory=dict)
    """By path. Of a path that was used twice (a compaction tried again), the newest."""
    accounts: dict[str, Account] = field(default_factory=dict)
    unknown: list[str] = field(default_factory=list)
    """Ends of segments that the run doesn't know, in words; expected of a run that begins late."""
    keeps: Callable[[Fact], bool] = lambda _fact: True
    """Whether a segment that a compaction has replaced is still of interest; one that is not is forgotten, so that memory follows the
    lake and not its history."""

    def take(self, link: Link) -> None:
        """One more entry."""
        body = link.body
        stream = body.get("stream")
        if not isinstance(stream, str) or not ("added" in body or "ended" in body or "mark" in body):
            return
        account = self.accounts.setdefault(stream, Account())
        gone = sum(self._end(link, stream, account, ended) for ended in body.get("ended", ()))
        new = 0
        for found in body.get("added", ()):
            self.segments[found["path"]] = Fact(stream=stream, added=link.id, at=link.at, **_columns(found))
            new += found["rows"]
        account.live += new
        if "mark" in body:
            before, mark = body["mark"]
            account.rolled += mark - before
            if link.kind == "adopt":
                account.merged += mark - before - new
        elif link.kind == "adopt":
            account.merged -= new
        elif "added" in body or any(ended["state"] == "replaced" for ended in body.get("ended", ())):
            account.merged += gone - new

    def _end(self, link: Link, stream: str, account: Account, ended: Mapping[str, Any]) -> int:
        """Takes a segment out; the rows of one that was replaced."""
        path, state, rows = str(ended["path"]), str(ended["state"]), int(ended["rows"])
        fact = self.segments.get(path)
        if fact is None or fact.sha256 != ended["sha256"]:
            self.unknown.append(f"entry {link.id} ends a segment of {stream!r} that the chain never registered: {path}")
        else:
            self.segments[path] = _ended(fact, link.id, state, str(ended.get("reason", "")))
            if state == "replaced" and not self.keeps(fact):
                del self.segments[path]
        account.live -= rows
        if state == "expired":
            account.removed += rows
        elif state != "replaced":
            account.lost += rows
        return rows if state == "replaced" else 0

    def live(self) -> dict[str, Fact]:
        """What must be there, by path."""
        return {path: fact for path, fact in self.segments.items() if fact.state == LIVE}


def replay(links: Iterable[Link]) -> Replay:
    """What all of a run says."""
    found = Replay()
    for link in links:
        found.take(link)
    return found


_COLUMNS: Final = ("path", "sha256", "rows", "first", "last", "ts_min", "ts_max", "bytes")


def _columns(found: Mapping[str, Any]) -> dict[str, Any]:
    return {name: found[name] for name in _COLUMNS}


def _ended(fact: Fact, entry: int, state: str, reason: str) -> Fact:
    columns = {name: getattr(fact, name) for name in ("stream", *_COLUMNS, "added", "at")}
    return Fact(**columns, state=state, reason=reason, ended=entry)
