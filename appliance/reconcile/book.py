"""The book of what is wrong now: findings as they come become rows of ``divergence``, what is no longer found is gone, repairs are noted.

One owner of what is known in memory, behind a lock: passes end in several threads. What is written goes through the box's writer, and
only where something has changed; who listens is told afterwards.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

import msgspec

from appliance.box import Box
from appliance.door.commit import Committer
from appliance.hot import divergences
from appliance.hot.divergences import WRONG, Stored
from appliance.observe.consistency import FindingRow
from appliance.observe.status import Problem
from appliance.reconcile.bodies import DAMAGED
from appliance.reconcile.engine import Repaired, Result
from appliance.reconcile.finding import Finding, State
from appliance.reconcile.headers import MISSING

log = logging.getLogger(__name__)
Name = tuple[str, str, str]
Tell = Callable[[FindingRow], None]
WRITTEN_AT_ONCE_MAX: Final = 1_000
"""Findings of one pass that are written down; where more is wrong than that, these say enough."""
PROBLEMS_MAX: Final = 5
LOST: Final = frozenset({MISSING, DAMAGED})
HINT: Final = "see appliance reconcile; with --repair it mends what can be proven"


class Book:
    """See the module. Blocks for the writer; not for its thread nor the event loop."""

    def __init__(self, box: Box, *, tell: Tell = lambda _row: None) -> None:
        """``tell`` hears of each finding that is new or has got into another state, once that is durable."""
        self._box = box
        self._tell = tell
        self._lock = threading.Lock()
        reader = box.reader()
        try:
            self._wrong: dict[Name, Stored] = {_name(s.row): s for s in divergences.wrong_now(reader)}
        finally:
            reader.close()

    def wrong(self) -> list[FindingRow]:
        """What is open or unmendable, the oldest first."""
        return [stored.row for stored in list(self._wrong.values())]

    def take(self, result: Result) -> list[FindingRow]:
        """What a pass has found, each with its row; what it should have found again and has not is gone."""
        with self._lock:
            now_us = self._box.clock.now_us()
            new = [f for f in result.findings if f.name not in self._wrong][:WRITTEN_AT_ONCE_MAX]
            seen = {f.name for f in result.findings}
            gone = [s for name, s in self._wrong.items() if name not in seen and result.ends(s.row.kind, s.row.where)]
            ended = [self._ended(s) for s in gone]
            changes = [c for c in ended if (c[0].row.state, c[0].row.did) != (c[1], c[2])]
            rows = self._write([_row_of(f, now_us) for f in new], [f.facts for f in new], changes, now_us)
            for finding in result.findings:
                known = self._wrong.get(finding.name)
                if known is not None:
                    self._wrong[finding.name] = Stored(
                        msgspec.structs.replace(known.row, what=finding.what, repair=finding.repair), finding.facts
                    )
            found = [self._wrong[f.name].row for f in result.findings if f.name in self._wrong]
        for row in rows:
            self._tell(row)
        return found

    def _ended(self, stored: Stored) -> tuple[Stored, State, str]:
        """What becomes of a finding that is no longer found. Records that the hot store had lost when the roll passed stay lost."""
        row = stored.row
        stream = self._box.state.get(row.stream or "")
        if row.kind in LOST and stream is not None and row.last is not None and row.last <= stream.mark:
            return stored, "unmendable", f"the roll has passed: the records {row.first} to {row.last} are lost"
        return stored, "gone", ""

    def repaired(self, done: Sequence[Repaired]) -> list[FindingRow]:
        """What came of repairs, each with its row."""
        with self._lock:
            now_us = self._box.clock.now_us()
            changes = [(self._wrong[r.finding.name], r.state, r.did) for r in done if r.finding.name in self._wrong]
            rows = self._write([], [], [c for c in changes if (c[0].row.state, c[0].row.did) != (c[1], c[2])], now_us)
        for row in rows:
            self._tell(row)
        return rows

    def problems(self) -> tuple[Problem, ...]:
        """What is wrong now, as the status says it; from any thread."""
        rows = self.wrong()
        found = [Problem(_level(r), f"{r.kind}: {r.what}", r.found_us, HINT) for r in rows[:PROBLEMS_MAX]]
        if len(rows) > PROBLEMS_MAX:
            found.append(Problem("CRIT", f"{len(rows)} things disagree with each other", rows[0].found_us, HINT))
        return tuple(found)

    def _write(
        self, rows: list[FindingRow], facts: Sequence[object], changes: Sequence[tuple[Stored, State, str]], now_us: int
    ) -> list[FindingRow]:
        """In one transaction; then memory follows. The rows as they are now."""
        if not rows and not changes:
            return []

        def run(committer: Committer) -> list[int]:
            db = committer.store.connection
            with committer.store.transaction():
                for stored, state, did in changes:
                    divergences.change(db, stored.row.id, state=state, did=did, now_us=now_us)
                return [divergences.add(db, row, dict(f)) for row, f in zip(rows, facts, strict=True)]  # type: ignore[call-overload]

        ids = self._box.writer.call(run).result()
        told = []
        for row, row_id, known in zip(rows, ids, facts, strict=True):
            stored = Stored(msgspec.structs.replace(row, id=row_id), dict(known))  # type: ignore[call-overload]
            self._wrong[_name(row)] = stored
            told.append(stored.row)
            log.warning("%s: %s", row.kind, row.what)
        for stored, state, did in changes:
            changed = msgspec.structs.replace(stored.row, state=state, did=did, changed_us=now_us)
            if state in WRONG:
                self._wrong[_name(changed)] = replace(stored, row=changed)
            else:
                self._wrong.pop(_name(changed), None)
            told.append(changed)
            log.info("%s: %s %s %s", changed.kind, changed.where, state, did)
        return told


def row_of(finding: Finding, now_us: int, *, state: State = "open", did: str = "") -> FindingRow:
    """A finding that nobody has written down."""
    return msgspec.structs.replace(_row_of(finding, now_us), state=state, did=did)


def _row_of(f: Finding, now_us: int) -> FindingRow:
    return FindingRow(
        id=0,
        kind=f.kind,
        where=f.where,
        key=f.key,
        stream=f.stream,
        first=f.first,
        last=f.last,
        since_us=f.since_us,
        until_us=f.until_us,
        what=f.what,
        repair=f.repair,
        state="open",
        found_us=now_us,
        changed_us=now_us,
    )


def _name(row: FindingRow) -> Name:
    return row.kind, row.where, row.key


def _level(row: FindingRow) -> str:
    """Records that are wrong or gone are critical; what is only described or derived wrongly is a warning until it is mended."""
    return "WARN" if row.repair is not None and row.state == "open" else "CRIT"
