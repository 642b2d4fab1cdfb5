"""Makes one report: asks its blocks one after the other, and says what they were answered from. No file of a report is written here."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

import pyarrow as pa

from appliance.batching.report_box import box_table
from appliance.batching.report_definitions import Definition
from appliance.batching.work import Runner
from appliance.clock import day_name, day_of, iso
from appliance.cold.batch.reports.document import ROWS_MAX, Block, Box, Chart, Query, Text
from appliance.cold.batch.reports.parameters import Value, fill_sql, fill_text, values_of
from appliance.cold.batch.reports.period import Period
from appliance.cold.batch.reports.tables import table_of
from appliance.cold.batch.reports.values import Part, Report, Used
from appliance.errors import QueryRefused, UsageRefused
from appliance.hot.state import State
from appliance.observe.status import Status
from appliance.serving.handed import Handed

STREAMS_COUNTED_MAX: Final = 200
"""Streams whose records of the period are counted; of more only the sequence is told."""


class Maker:
    """Makes the reports of one box, or of one folder."""

    def __init__(
        self, *, node: str, zone: str, state: Callable[[], State], status: Callable[[], Status], now_us: Callable[[], int]
    ) -> None:
        """``status`` may block. Raises nothing."""
        self.zone = ZoneInfo(zone)
        self._zone_name = zone
        self._node = node
        self._state = state
        self._status = status
        self._now_us = now_us

    async def make(
        self,
        definition: Definition,
        period: Period,
        given: Mapping[str, str],
        runner: Runner,
        progress: Callable[[float | None, str], None] = lambda _share, _words: None,
    ) -> Report:
        """A block that is refused says so in its place; only where every one is, ``QueryRefused`` is raised.

        Raises ``UsageRefused`` for parameters or a text that can't be used, and ``QueryCancelled`` and ``RetryLater`` as they come.
        """
        made_us, state = self._now_us(), self._state()
        declared = definition.options.parameters
        values = values_of(declared, given, period=period, zone=self._zone_name)
        blocks = await asyncio.to_thread(definition.blocks, state)
        status = await asyncio.to_thread(self._status) if any(isinstance(b, Box) for b in blocks) else None
        parts: list[Part] = []
        found = _Found()
        for number, block in enumerate(blocks):
            progress(number / len(blocks), getattr(block, "title", "") or f"block {number + 1} of {len(blocks)}")
            parts.append(await self._part(block, values, runner, found, status))
        report = Report(
            name=definition.name,
            title=definition.title,
            node=self._node,
            period=period,
            zone=self._zone_name,
            parameters={name: values[name].text for name in declared},
            made_us=made_us,
            is_over=made_us >= period.until_us,
            parts=tuple(parts),
            used=await self._used(found.read, period, runner, state),
            notes=tuple(found.notes),
        )
        asked = [p for p in parts if isinstance(p.block, Query | Chart)]
        if asked and all(p.failed for p in asked):
            raise QueryRefused(f"no part of the report could be answered; the first: {asked[0].error}")
        return report

    async def _part(self, block: Block, values: Mapping[str, Value], runner: Runner, found: _Found, status: Status | None) -> Part:
        match block:
            case Text():
                return Part(Text(fill_text(block.markdown, values)))
            case Box():
                assert status is not None
                return Part(block, box_table(block.section, status))
            case Query() | Chart():
                try:
                    filled = replace(block, sql=fill_sql(block.sql, values))
                    written = await runner.file(filled.sql, format="arrow")
                except (QueryRefused, UsageRefused) as e:
                    return Part(block, error=str(e).split("\nLINE ")[0].strip())
                table = await asyncio.to_thread(_taken, written)
                found.add(written)
                return Part(filled, table_of(table, rows_max=ROWS_MAX, rows=written.rows))

    async def _used(self, read: Mapping[str, int], period: Period, runner: Runner, state: State) -> tuple[Used, ...]:
        """What each stream that was read had in the period, up to where the report holds everything."""
        known = {name: seq for name, seq in read.items() if name in state.streams}
        counted: dict[str, tuple[int, int | None]] = {}
        if 0 < len(known) <= STREAMS_COUNTED_MAX:
            with suppress(QueryRefused):  # a stream that is gone meanwhile: then only the sequences are told
                table = await runner.table(counting_sql({state.streams[n].name: (n, seq) for n, seq in known.items()}, period, above=False))
                counted = {row["stream"]: (row["n"], row["newest"]) for row in table.to_pylist()}
        return tuple(
            Used(
                stream=state.streams[name].name,
                seq=seq,
                records=counted.get(name, (None, None))[0],
                newest_us=counted.get(name, (None, None))[1],
                dirty=dirty_days(state, name, period),
            )
            for name, seq in sorted(known.items())
        )


class _Found:
    """What the answers of one report were read from."""

    def __init__(self) -> None:
        self.read: dict[str, int] = {}
        """Folded stream -> the lowest of the sequences up to which the answers had everything."""
        self.notes: list[str] = []

    def add(self, written: Handed) -> None:
        for stream, seq in written.read.items():
            self.read[stream] = min(seq, self.read.get(stream, seq))
        self.notes += [note for note in written.notes if note not in self.notes]


def dirty_days(state: State, stream: str, period: Period) -> tuple[str, ...]:
    """The days (in UTC) of the period in which repeats of a stream wait for the compaction."""
    found = state.streams[stream].dirty
    return tuple(
        day_name(d.day)
        for day, d in sorted(found.items())
        if day_of(period.since_us) <= day <= day_of(period.until_us - 1) and d.ts_max >= period.since_us and d.ts_min < period.until_us
    )


def counting_sql(streams: Mapping[str, tuple[str, int]], period: Period, *, above: bool) -> str:
    """Records of the period of each stream up to a sequence (or ``above`` it), and the newest event time in µs.

    ``streams``: name -> what it is called in the column ``stream``, and the sequence.
    """
    compared = ">" if above else "<="
    parts = [
        f"SELECT {_literal(called)} AS stream, count(*) AS n, epoch_us(max(ts)) AS newest FROM {_quoted(name)}"
        f" WHERE ts >= {_moment(period.since_us)} AND ts < {_moment(period.until_us)} AND _seq {compared} {seq}"
        for name, (called, seq) in streams.items()
    ]
    return " UNION ALL ".join(parts)


def _taken(written: Handed) -> Any:
    """As many rows of a result as are kept, or some more; its file goes."""
    try:
        return _read(written.path)
    finally:
        written.path.unlink(missing_ok=True)


def _read(path: Path) -> Any:
    with pa.OSFile(str(path), "rb") as file, pa.ipc.open_stream(file) as reader:
        batches = []
        for batch in reader:
            batches.append(batch)
            if sum(b.num_rows for b in batches) >= ROWS_MAX:
                break
        return pa.Table.from_batches(batches, schema=reader.schema)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _moment(at_us: int) -> str:
    return f"TIMESTAMP '{iso(at_us).removesuffix('Z').replace('T', ' ')}'"
