"""Looks at a box with views, repairs of what they find, and the whole of what it answers, to compare with that of a twin."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import pyarrow as pa

from appliance.box import Box
from appliance.hot.alerts.reads import has_tables
from appliance.hot.reader import HotReader
from appliance.reconcile.derived.registry import CHECKS, REPAIRS
from appliance.reconcile.engine import Repaired, mend, run_checks
from appliance.reconcile.finding import Finding
from appliance.reconcile.look import Hands, Look, Scope
from tests.views.house import House, rows_of


@contextmanager
def look_at(house: House, scope: Scope = "full", *, turn: int = 0, meanwhile: Callable[[], None] | None = None) -> Iterator[Look]:
    """As a service looks. ``meanwhile`` happens after the picture is taken, before the first question is asked."""
    memory = house.box.state
    reader = HotReader(house.folder)
    happens = [] if meanwhile is None else [meanwhile]

    def query(sql: str) -> pa.Table:
        while happens:
            happens.pop()()
        return house.answered(sql, house.source())[0]

    try:
        with reader.pinned():
            yield Look(
                folder=house.folder,
                reader=reader,
                state=reader.load_state(),
                scope=scope,
                now_us=house.clock.now_us(),
                memory=memory,
                last_values=house.box.last_values,
                query=query,
                turn=turn,
            )
    finally:
        reader.close()


def found(house: House, *scopes: Scope, turn: int = 0, meanwhile: Callable[[], None] | None = None) -> list[Finding]:
    """What looks of these scopes find (none: those that look at everything)."""
    result: dict[tuple[str, str, str], Finding] = {}
    for scope in scopes or ("hot", "all", "full"):
        with look_at(house, scope, turn=turn, meanwhile=meanwhile) as look:
            result |= {f.name: f for f in run_checks(look, CHECKS).findings}
    return list(result.values())


def mended(box: Box, findings: Sequence[Finding]) -> list[Repaired]:
    """Repairs each, with hands that have nobody to ask."""
    return mend(findings, Hands(box=box), REPAIRS)


def answers(house: House) -> dict[str, list[str]]:
    """Everything that is answered of records and what is made of them, but for sequences."""
    views = {name: rows_of(house.ask(f'SELECT * FROM "{name}"')) for name in house.views}
    streams = {state.name: rows_of(house.ask(f'SELECT * EXCLUDE _seq FROM "{state.name}"')) for state in house.box.state.streams.values()}
    last = {f"{s} latest": rows_of(house.box.last_values(s).drop_columns(["_seq"]).to_pylist()) for s in streams}
    return {**views, **streams, **last, **tables(house.folder)}


def tables(folder: Path) -> dict[str, list[str]]:
    """What is stored of alerts, models and deletions."""
    reader = HotReader(folder)
    wanted = {
        "alert": "SELECT * FROM alert",
        "alert_event": "SELECT * FROM alert_event ORDER BY id",
        "outbox": "SELECT channel, state, key, rule, fire, tells FROM outbox m JOIN outbox_item i ON i.message_id = m.id ORDER BY i.id",
        "model": "SELECT name, version, state, active FROM model",
        "deletion": "SELECT id, since_us, until_us, matching, up_to_seq, author, reason, ended_us IS NULL FROM deletion",
    }
    try:
        return {name: [repr(row) for row in reader.execute(sql)] for name, sql in wanted.items()} if has_tables(reader) else {}
    finally:
        reader.close()


def harm(folder: Path, *statements: str) -> None:
    """As somebody does who opens the store with ``sqlite3``."""
    with closing(sqlite3.connect(folder / "hot.sqlite", isolation_level=None)) as db:
        for statement in statements:
            assert db.execute(statement).rowcount != 0, statement
