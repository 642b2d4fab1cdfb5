"""Where each workload runs, durable, and every move of one: the tables ``placement`` and ``placement_move``.

Written by the writer when something has changed, which is rare; looked at by a running service, by SQL and by whoever reads the
folder. A file of an older version has no such tables: then nothing is known.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from appliance.hot.alerts.reads import Reads
from appliance.observe.paths import MoveRow, NeedRow
from appliance.paths.needs import Path
from appliance.paths.placing import Placement
from appliance.paths.rules import Assignment

MOVES_MAX: Final = 1_000
"""Moves that are kept; the oldest go first."""
_COLUMNS: Final = (
    *("name", "kind", "path", "rule", "reason", "declared", "wanted", "wanted_rule", "wanted_reason", "wanted_us"),
    *("runs_on", "budget_ms", "since_us", "moved_from", "needs"),
)
_ROW: Final = ", ".join(_COLUMNS)
PATHS: Final = (
    ("name", "VARCHAR"),
    ("kind", "VARCHAR"),
    ("path", "VARCHAR"),
    ("rule", "VARCHAR"),
    ("reason", "VARCHAR"),
    ("runs_on", "VARCHAR"),
    ("budget_ms", "DOUBLE"),
    ("since", "TIMESTAMP"),
    ("moved_from", "VARCHAR"),
    ("proposal", "VARCHAR"),
    ("proposal_reason", "VARCHAR"),
    ("proposed", "TIMESTAMP"),
    ("needs", "VARCHAR"),
)
"""Columns of ``_paths`` in SQL, with their types."""
MOVES: Final = (
    ("at", "TIMESTAMP"),
    ("name", "VARCHAR"),
    ("kind", "VARCHAR"),
    ("moved_from", "VARCHAR"),
    ("path", "VARCHAR"),
    ("rule", "VARCHAR"),
    ("reason", "VARCHAR"),
    ("cause", "VARCHAR"),
)
"""Columns of ``_path_moves`` in SQL, with their types."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """One workload."""

    name: str
    kind: str
    placement: Placement
    runs_on: tuple[Path, ...]
    needs: tuple[NeedRow, ...]
    budget_ms: float
    since_us: int
    """Since when it runs on its path."""
    moved_from: str = ""
    """The path before; empty: it has never moved."""


def put_placements(connection: sqlite3.Connection, placed: Iterable[Placed]) -> None:
    """From now on."""
    connection.executemany(
        f"INSERT OR REPLACE INTO placement ({_ROW}) VALUES ({', '.join('?' * len(_COLUMNS))})", [_values(p) for p in placed]
    )


def drop_placements(connection: sqlite3.Connection, names: Iterable[str]) -> None:
    """These workloads are gone; their moves are still told."""
    connection.executemany("DELETE FROM placement WHERE name = ?", [(name,) for name in names])


def add_moves(connection: sqlite3.Connection, moves: Sequence[MoveRow]) -> None:
    """These have moved; the oldest moves above ``MOVES_MAX`` go."""
    connection.executemany(
        "INSERT INTO placement_move (at_us, name, kind, from_path, to_path, rule, reason, cause) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        [(m.at_us, m.name, m.kind, m.moved_from, m.path, m.rule, m.reason, m.cause) for m in moves],
    )
    connection.execute("DELETE FROM placement_move WHERE id <= (SELECT max(id) FROM placement_move) - ?", (MOVES_MAX,))


def load_placements(reads: Reads) -> dict[str, Placed]:
    """What is stored, by name, in the order in which it was written."""
    if not _has_tables(reads):
        return {}
    return {row[0]: _placed(row) for row in reads.execute(f"SELECT {_ROW} FROM placement ORDER BY rowid")}


def load_moves(reads: Reads) -> list[MoveRow]:
    """Every move that is kept, the newest first."""
    if not _has_tables(reads):
        return []
    found = reads.execute("SELECT at_us, name, kind, from_path, to_path, rule, reason, cause FROM placement_move ORDER BY id DESC")
    return [
        MoveRow(at_us=at_us, name=name, kind=kind, moved_from=before, path=path, rule=rule, reason=reason, cause=cause)
        for at_us, name, kind, before, path, rule, reason, cause in found
    ]


def look_paths(reads: Reads) -> list[tuple[Any, ...]]:
    """``_paths``: one row a workload, in the columns of ``PATHS``."""
    return [
        (
            *(p.name, p.kind, p.placement.path, p.placement.rule, p.placement.reason, ", ".join(p.runs_on), p.budget_ms),
            *(p.since_us, p.moved_from or None),
            *((None, None) if p.placement.wanted is None else (p.placement.wanted.path, p.placement.wanted.reason)),
            p.placement.wanted_us,
            ", ".join(f"{n.need} {n.value}" for n in p.needs),
        )
        for p in load_placements(reads).values()
    ]


def look_moves(reads: Reads) -> list[tuple[Any, ...]]:
    """``_path_moves``: one row a move, the newest first, in the columns of ``MOVES``."""
    return [(m.at_us, m.name, m.kind, m.moved_from, m.path, m.rule, m.reason, m.cause) for m in load_moves(reads)]


def _has_tables(reads: Reads) -> bool:
    return bool(list(reads.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'placement'")))


def _values(p: Placed) -> tuple[Any, ...]:
    at, wanted = p.placement, p.placement.wanted
    return (
        *(p.name, p.kind, at.path, at.rule, at.reason, at.declared),
        *((None, None, None) if wanted is None else (wanted.path, wanted.rule, wanted.reason)),
        *(at.wanted_us, " ".join(p.runs_on), p.budget_ms, p.since_us, p.moved_from, msgspec.json.encode(p.needs).decode()),
    )


def _placed(row: Sequence[Any]) -> Placed:
    name, kind, path, rule, reason, declared, wanted, wanted_rule, wanted_reason, wanted_us, runs_on, budget_ms, since_us, before, needs = (
        row
    )
    return Placed(
        name=name,
        kind=kind,
        placement=Placement(
            path=path,
            rule=rule,
            reason=reason,
            declared=declared,
            wanted=None if wanted is None else Assignment(wanted, wanted_rule, wanted_reason),
            wanted_us=wanted_us,
        ),
        runs_on=tuple(runs_on.split()),
        needs=msgspec.json.decode(needs, type=tuple[NeedRow, ...]),
        budget_ms=budget_ms,
        since_us=since_us,
        moved_from=before,
    )
