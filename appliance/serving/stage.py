"""What a query's database is shown of its snapshot: a table or a view for each name, and their taking away afterwards."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

import duckdb
import pyarrow as pa

from appliance.serving import merged
from appliance.serving.duck import Planner, literal, quoted
from appliance.serving.hot_table import hot_table, reach_of
from appliance.serving.merged import HotSource
from appliance.serving.snapshot import Side, StreamPin
from appliance.serving.tray import Tray
from appliance.serving.views import kept_name, levels, view_sql
from appliance.serving.work import Work, columns_of

VIEWS_MAX: Final = 32
"""Views that are kept for the queries that follow."""
LONG_SCAN_ROWS: Final = 10_000_000
"""Cold rows from which on a query is long enough for its progress to be looked at."""
LONG_SCAN_SHARE: Final = 10
"""... if they are so many times the hot ones."""
FEW_ROWS: Final = 200_000
"""More hot rows are scanned by several threads, which needs them under a name of their own."""
TRAYS_MAX: Final = 64
KEPT_TABLES: Final = 4
KEPT_BYTES_MAX: Final = 512 * 1024
"""Larger tables of hot rows are made anew each time: they came for one query alone."""


class Stage:
    """Owned by the engine."""

    def __init__(self, runner: duckdb.DuckDBPyConnection, planner: Planner, root: Path) -> None:
        self._runner = runner
        self._planner = planner
        self._root = root
        self._trays: list[Tray] = []
        self._trays_made = 0
        self._kept: list[tuple[StreamPin, frozenset[str] | None, pa.Table]] = []
        """Tables of the last few queries, with what they were made of: where nothing has come since, the next one has the same rows."""
        self._views: dict[str, str] = {}
        """Views left from earlier queries, with their SQL: the next one often wants the same, and binding one opens files."""

    def show(self, work: Work) -> None:
        """One view for each table of the query, over hot rows registered as Arrow and over the segments' files."""
        snapshot = work.snapshot
        hot: dict[str, HotSource] = {}
        for number, (key, pin) in enumerate(snapshot.streams.items()):
            if pin.hot:
                table = self._table_of(pin, columns_of(work, key))
                low, high = reach_of(table) if pin.spans else (0, 0)
                name = self._show_hot(work, f"__hot_{number}", table, cold_rows=sum(f.rows for f in pin.files))
                hot[key] = HotSource(name, frozenset(table.column_names), low, high)
        for number, table in enumerate(snapshot.kept.values()):
            self._register(work, kept_name(number), table)
        for table_info in work.tables:
            match table_info.side:
                case Side.STATE:
                    self._register(work, table_info.name, snapshot.tables[table_info.stream])
                case Side.FILE:
                    file = literal(str(self._root / snapshot.files[table_info.stream]))
                    self._create(work, "VIEW", table_info.name, f"SELECT * FROM read_parquet({file})")
                case Side.LATEST:
                    latest = snapshot.streams[table_info.stream].latest
                    assert latest is not None
                    self._register(work, table_info.name, latest)
                case Side.VIEW:
                    assert table_info.view is not None
                    view = snapshot.views[table_info.stream, table_info.view.version]
                    columns = levels(self._planner, table_info.view)
                    show = partial(view_sql, view, snapshot=snapshot, hot=hot, root=self._root)
                    if work.stand_in is not None:
                        work.source = work.stand_in.source(show([work.stand_in.used(columns[0]), *columns[1:]]))
                    else:
                        self._create(work, "VIEW", table_info.name, show(columns, bounds=work.question.span))
                case side:
                    pin = snapshot.streams[table_info.stream]
                    if work.plain is not None:
                        pin = _narrowed(pin, columns_of(work, table_info.stream))
                    sql = merged.view_sql(
                        pin,
                        hot=None if side is Side.COLD else hot.get(table_info.stream),
                        files=() if side is Side.HOT else [f for f in pin.files if work.bounds.overlaps(f.ts_min, f.ts_max)],
                        root=self._root,
                        bounds=work.bounds,
                    )
                    if work.plain is not None:
                        work.source = f"{quoted(table_info.name)} AS NOT MATERIALIZED ({sql})"
                    else:
                        self._create(work, "VIEW", table_info.name, sql)

    def _table_of(self, pin: StreamPin, columns: frozenset[str] | None) -> pa.Table:
        """``hot_table``, which is asked once for rows that the process has had since."""
        if pin.hot_bytes > KEPT_BYTES_MAX:
            return hot_table(pin, columns)
        for other, same_columns, table in self._kept:
            if same_columns == columns and _has_same_rows(other, pin):
                return table
        made = hot_table(pin, columns)
        self._kept = [(pin, columns, made), *self._kept[: KEPT_TABLES - 1]]
        return made

    def _show_hot(self, work: Work, name: str, table: pa.Table, *, cold_rows: int) -> str:
        """Hot rows under a name, which is returned: as they are, or beside a long scan as a table of DuckDB's own.

        DuckDB can't tell the progress of a query that scans Arrow anywhere; a copy costs about 0.1 µs a value, nothing there.
        """
        if cold_rows >= LONG_SCAN_ROWS and cold_rows >= LONG_SCAN_SHARE * table.num_rows:
            self._register(work, f"{name}_arrow", table)
            self._create(work, "TABLE", name, f"SELECT * FROM {quoted(f'{name}_arrow')}")
        elif table.num_rows > FEW_ROWS:
            self._register(work, name, table)
        else:
            return self._fill(work, table)
        return name

    def _fill(self, work: Work, table: pa.Table) -> str:
        """Shows a small table under a name that stays for its columns: making one anew takes longer than reading what is in it."""
        tray = next((t for t in self._trays if t.table is None and t.schema == table.schema), None)
        if tray is None:
            if len(self._trays) >= TRAYS_MAX:
                self._drop_trays()
            self._trays_made += 1
            tray = Tray(f"__few_{self._trays_made}", table.schema)
            self._runner.register(tray.name, tray)
            self._trays.append(tray)
        tray.table = table
        work.trays.append(tray)
        return tray.name

    def _drop_trays(self) -> None:
        for tray in self._trays:
            if tray.table is None:
                self._runner.unregister(tray.name)
        self._trays = [t for t in self._trays if t.table is not None]

    def _register(self, work: Work, name: str, table: pa.Table) -> None:
        if self._views.pop(name, None) is not None:
            self._runner.execute(f"DROP VIEW IF EXISTS {quoted(name)}")
        work.made.append(("", name))
        self._runner.register(name, table)

    def _create(self, work: Work, kind: str, name: str, sql: str) -> None:
        if kind == "VIEW":
            if self._views.get(name) == sql:
                return
            self._views[name] = sql
        else:
            work.made.append((kind, name))
        self._runner.execute(f"CREATE OR REPLACE {kind} {quoted(name)} AS {sql}")

    def forget(self) -> None:
        """Makes every view anew the next time: one of them may be what failed."""
        self._views.clear()

    def clear(self, work: Work) -> None:
        """Takes away the rows of a query; its views stay, unless there are too many. Raises ``duckdb.Error`` for what stays."""
        made, work.made = work.made, []
        for tray in work.trays:
            tray.table = None
        work.trays.clear()
        if len(self._views) > VIEWS_MAX:
            for name in self._views:
                self._runner.execute(f"DROP VIEW IF EXISTS {quoted(name)}")
            self._views.clear()
        for kind, name in reversed(made):
            if kind:
                self._runner.execute(f"DROP {kind} IF EXISTS {quoted(name)}")
            else:
                self._runner.unregister(name)


def _has_same_rows(a: StreamPin, b: StreamPin) -> bool:
    return (
        len(a.hot) == len(b.hot)
        and all(x.data is y.data and x.first == y.first for x, y in zip(a.hot, b.hot, strict=True))
        and a.schema == b.schema
    )


def _narrowed(pin: StreamPin, columns: frozenset[str] | None) -> StreamPin:
    """With the columns that are used alone: each one that is named costs time before anything is read."""
    if columns is None:
        return pin
    kept = tuple(c for c in pin.schema.columns if c.name in columns)
    return replace(pin, schema=replace(pin.schema, columns=kept))
