"""Views in ``hot.sqlite``: their versions and the files of each. Statements and reads; the writer's thread owns the connection."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final

import msgspec

from appliance.derived import Definition, Used, View, ViewFile, ViewVersion
from appliance.hot.ledger import Reads
from appliance.records import fold
from appliance.spans import Span, without

_FILE: Final = "id, path, low, high, rows, bytes, sha256, whole"
_SEQ: Final = "seq"
"""A column that files of ``hot.sqlite`` lack which no newer appliance has opened for writing."""


class _Body(msgspec.Struct, frozen=True):
    """What a version is, as JSON."""

    definition: Definition
    chain: tuple[Definition, ...]
    columns: tuple[tuple[str, str], ...]
    reads: tuple[tuple[str, str], ...]


def set_view(db: sqlite3.Connection, name: str, reason: str | None) -> None:
    """Notes that the config names a view, and why it can't be used (None: it can)."""
    db.execute(
        "INSERT INTO view (fold, name, reason) VALUES (?, ?, ?)"
        " ON CONFLICT (fold) DO UPDATE SET name = excluded.name, reason = excluded.reason",
        (fold(name), name, reason),
    )


def add_version(db: sqlite3.Connection, version: ViewVersion, *, state: str) -> ViewVersion:
    """Stores a version whose entry in the ledger is there, with its files; returned with its id."""
    body = msgspec.json.encode(_Body(version.definition, version.chain, version.columns, version.reads)).decode()
    cursor = db.execute(
        "INSERT INTO view_version (fold, number, state, body, folder, ledger_id, begin_us) VALUES (?, ?, ?, ?, ?, ?, ?)",
        (fold(version.definition.name), version.number, state, body, version.folder, version.used.id, version.begin_us),
    )
    assert cursor.lastrowid is not None
    return replace(version, id=cursor.lastrowid, files=put_files(db, cursor.lastrowid, version.files))


def drop_version(db: sqlite3.Connection, version_id: int) -> None:
    """Forgets a version and its files; its entry in the ledger is the caller's."""
    db.execute("DELETE FROM view_file WHERE version_id = ?", (version_id,))
    db.execute("DELETE FROM view_version WHERE id = ?", (version_id,))


def drop_view(db: sqlite3.Connection, name: str) -> None:
    """Forgets a view whose versions are gone."""
    db.execute("DELETE FROM view WHERE fold = ?", (fold(name),))


def activate(db: sqlite3.Connection, version_id: int) -> None:
    """From now on this version answers."""
    db.execute("UPDATE view_version SET state = 'active' WHERE id = ?", (version_id,))


def put_files(db: sqlite3.Connection, version_id: int, files: Iterable[ViewFile]) -> tuple[ViewFile, ...]:
    """Makes these the files of a version; those with an id are known. Returned with ids, in order."""
    files = sorted(files, key=lambda f: f.low)
    kept = {f.id for f in files}
    gone = [row for row in db.execute("SELECT id FROM view_file WHERE version_id = ?", (version_id,)).fetchall() if row[0] not in kept]
    db.executemany("DELETE FROM view_file WHERE id = ?", gone)
    result = []
    for f in files:
        if not f.id:
            cursor = db.execute(
                "INSERT INTO view_file (version_id, path, low, high, rows, bytes, sha256, whole, seq) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (version_id, f.path, f.low, f.high, f.rows, f.bytes, f.sha256, int(f.whole), f.seq),
            )
            assert cursor.lastrowid is not None
            f = replace(f, id=cursor.lastrowid)
        result.append(f)
    return tuple(result)


def note_refresh(db: sqlite3.Connection, version_id: int, *, now_us: int, cost_s: float) -> None:
    """When a version was refreshed last, and what that took."""
    db.execute("UPDATE view_version SET refreshed_us = ?, cost_s = ? WHERE id = ?", (now_us, cost_s, version_id))


def replaced(files: Iterable[ViewFile], spans: Sequence[Span]) -> list[ViewFile]:
    """What is left of files once others hold ``spans``; entries of a file that has lost some of its rows are not whole any more."""
    result = []
    cut = set()
    for f in files:
        left = without(((f.low, f.high),), spans)
        if left == ((f.low, f.high),):
            result.append(f)
            continue
        cut.add(f.path)
        result += [replace(f, id=0, low=low, high=high) for low, high in left]
    return [replace(f, id=0, whole=False) if f.path in cut and f.whole else f for f in result]


def load_views(reads: Reads, entries: Mapping[int, Used]) -> dict[str, View]:
    """Every view by its folded name."""
    files: dict[int, list[ViewFile]] = {}
    seq = _SEQ if any(row[1] == _SEQ for row in reads("PRAGMA table_info(view_file)")) else "NULL"
    for version_id, *row in reads(f"SELECT version_id, {_FILE}, {seq} FROM view_file ORDER BY low"):
        file_id, path, low, high, rows, size, sha256, whole, known = row
        files.setdefault(version_id, []).append(ViewFile(file_id, path, low, high, rows, size, sha256, bool(whole), known))
    versions: dict[tuple[str, str], ViewVersion] = {}
    for row in reads(
        "SELECT fold, state, id, number, body, folder, ledger_id, begin_us, refreshed_us, cost_s FROM view_version ORDER BY number"
    ):
        key, state, version_id, number, text, folder, ledger_id, begin_us, refreshed_us, cost_s = row
        body = msgspec.json.decode(text, type=_Body)
        versions[key, state] = ViewVersion(
            id=version_id,
            number=number,
            definition=body.definition,
            chain=body.chain,
            columns=body.columns,
            reads=body.reads,
            folder=folder,
            used=entries[ledger_id],
            files=tuple(files.get(version_id, ())),
            begin_us=begin_us,
            refreshed_us=refreshed_us,
            cost_s=cost_s,
        )
    found = reads("SELECT fold, name, reason FROM view ORDER BY fold").fetchall()
    return {key: View(name, versions.get((key, "active")), versions.get((key, "building")), reason) for key, name, reason in found}
