"""A box whose panels are asked by hand, on each path, in one process: the answers are compared with each other and with the records."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Mapping
from pathlib import Path as FilePath
from typing import Any

import duckdb
import msgspec
import pyarrow as pa

from appliance.batching.panels.answer import Answer, settled
from appliance.batching.panels.book import Book
from appliance.batching.panels.definition import Meaning, understand
from appliance.batching.panels.panel import Panel
from appliance.batching.panels.parts import NoParts, parts_of
from appliance.batching.panels.work import PanelWork
from appliance.batching.work import Context, Run
from appliance.cold.files import no_step
from appliance.config import PanelOptions, ViewOptions
from appliance.paths.needs import Path
from appliance.records import EVERYTHING, Batch, Format, Submission, TimeRange, fold
from appliance.serving.handed import Handed
from tests.clock import NOON_US
from tests.views.house import HOUR_US, House

Row = tuple[float, str, int | None]
"""Hours after noon, device, value."""


class PanelHouse(House):
    """See the module. Records of the streams ``readings`` and ``limits``; the last of those with one device and time counts."""

    def __init__(self, root: FilePath, panels: Mapping[str, str]) -> None:
        """``panels``: name -> SQL."""
        self.events: list[Mapping[str, Any]] = []
        self._files = itertools.count()
        super().__init__(root, {})
        self.truth: dict[str, dict[tuple[float, str], int | None]] = {"readings": {}, "limits": {}}
        self.panels = {name: Panel(name, PanelOptions(sql=sql), "hot", 4.0) for name, sql in panels.items()}
        for panel in self.panels.values():
            panel.meaning = self.understood(panel.name, panel.options.sql)
        asyncio.run(self.book.configure(panels))

    def start(self) -> None:
        super().start()
        from appliance.hot.panel_table import load_panels

        reader = self.box.reader()
        entries = load_panels(reader)
        reader.close()
        door, writer = self.box.door, self.box.writer
        self.book = Book(entries, submit=door.submit, call=writer.call, publish=lambda _e, data: self.events.append(data), step=no_step)

    def comes(self, stream: str, rows: list[Row]) -> None:
        """Records, late or repeated ones among them."""
        data = {
            "ts": pa.array([NOON_US + int(r[0] * HOUR_US) for r in rows], pa.timestamp("us")),
            "device": pa.array([r[1] for r in rows], pa.string()).dictionary_encode(),
            "value": pa.array([r[2] for r in rows], pa.int64()),
        }
        self.box.door.submit_blocking(Submission("http", Format.LP, (Batch(stream, ("device",), pa.record_batch(data)),)))
        for hours, device, value in rows:
            known = self.truth[stream].get((hours, device))
            self.truth[stream][hours, device] = known if value is None else value

    def understood(self, name: str, sql: str) -> Meaning:
        text = sql.replace("'", "''")
        return understand(name, sql, msgspec.json.decode(self.ask(f"SELECT json_serialize_sql('{text}'::VARCHAR) AS tree")[0]["tree"]))

    def part(self, panel: Panel) -> ViewOptions | None:
        """The view of its closed part; None where it has none."""
        assert panel.meaning is not None
        columns = {fold(c.name): c.name for c in self.box.state.streams["readings"].schema.columns}
        try:
            parts = parts_of(panel.meaning.tree, columns)
        except NoParts:
            return None
        tree = (
            msgspec.json.encode({"error": False, "statements": [{"node": parts.node, "named_param_map": []}]}).decode().replace("'", "''")
        )
        sql = self.ask(f"SELECT json_deserialize_sql('{tree}'::JSON) AS sql")[0]["sql"]
        return ViewOptions(bucket_s=parts.bucket_s, sql=sql, settle_s=0.0)

    def store_parts(self) -> None:
        """Defines the views of all closed parts."""
        found = {p.parts: self.part(p) for p in self.panels.values()}
        self.configure({name: v for name, v in found.items() if v is not None})

    def found(self, panel: Panel, path: Path) -> pa.Table:
        """The answer on a path as it is kept."""
        assert panel.meaning is not None
        table, _ = self.answered(panel.options.sql, self.source(), views=path == "hybrid")
        return settled(table, is_ordered=panel.meaning.is_ordered, rows_max=panel.options.rows_max)

    def offered(self, panel: Panel, path: Path) -> str:
        """What becomes of the answer that a path finds now."""
        if path == "cold":

            async def look_at(_panel: Panel) -> None:
                return

            context = Context(Run(0, panel.name, 0, "asked"), self, lambda _part, _what: None, lambda: False)
            return asyncio.run(PanelWork(panel, self.book, look_at=look_at).run(context)).words.partition(",")[0]
        state = self.box.state
        seen = {key: s.last_seq for key, s in state.streams.items() if key in ("readings", "limits")}
        answer = Answer(self.found(panel, path), self.clock.now_us(), seen, path)
        return asyncio.run(self.book.offer(panel.name, panel.options.sql, answer, version=state.version, history=True))

    def truly(self, panel: Panel) -> pa.Table:
        """What another DuckDB says of the records themselves."""
        assert panel.meaning is not None
        with duckdb.connect(":memory:", config={"threads": 1}) as db:
            db.execute("SET TimeZone = 'UTC'")
            for stream, records in self.truth.items():
                rows = pa.table(
                    {
                        "ts": pa.array([NOON_US + int(h * HOUR_US) for h, _ in records], pa.timestamp("us")),
                        "device": pa.array([d for _, d in records], pa.string()),
                        "value": pa.array(list(records.values()), pa.int64()),
                    }
                )
                db.register(stream, rows)
            sql = panel.options.sql.replace("now()", f"make_timestamp({self.clock.now_us()})")
            table = db.sql(sql).to_arrow_table()
        return settled(table, is_ordered=panel.meaning.is_ordered, rows_max=panel.options.rows_max)

    async def file(self, sql: str, *, format: str, span: TimeRange = EVERYTHING) -> Handed:
        """As a query process hands it over."""
        if format != "arrow":
            return await super().file(sql, format=format, span=span)
        source = self.source()
        table, explain = self.answered(sql, source)
        path = self.folder / "tmp" / f"panel-{next(self._files)}.arrow"
        path.parent.mkdir(exist_ok=True)
        with path.open("wb") as out, pa.ipc.new_stream(out, table.schema) as writer:
            writer.write_table(table)
        seen = {key: s.last_seq for key, s in self.box.state.streams.items() if key in ("readings", "limits")}
        return Handed(path, table.num_rows, path.stat().st_size, table.schema, seen, source.version, explain.notes, self.clock.now_us())
