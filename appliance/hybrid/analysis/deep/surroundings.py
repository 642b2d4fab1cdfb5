"""What else moved around an incident: series of all streams and templates of all lines, which began first, which follow. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

import numpy as np
import pyarrow as pa

from appliance.clock import iso
from appliance.hybrid.analysis.deep.grid import filled
from appliance.hybrid.analysis.deep.relating import correlated, moves
from appliance.hybrid.analysis.deep.similar import id_of
from appliance.hybrid.analysis.deep.tables import Series, read, series_of
from appliance.hybrid.analysis.deep.totals import as_rates, is_total
from appliance.hybrid.analysis.deep.values import F64, Asked, TextSource
from appliance.hybrid.analysis.texts.miner import Miner
from appliance.observe.analysis import MemberRow

TOGETHER: Final = 0.5
"""Correlation from which on a series that moved is taken to have moved with the others."""
FILLED_MIN: Final = 0.3
"""Part of the cells in which a series must have a record."""
LINES_SHOWN: Final = 20
SERIES_MAX: Final = 2_000
"""Series around an incident, those of its own streams first."""
TEMPLATES_MAX: Final = 200


@dataclass(frozen=True, slots=True)
class Moved:
    """One series, or the lines of one template, that moved with the incident."""

    stream: str
    column: str
    key: Mapping[str, str | None]
    template: str | None
    onset_us: int
    peak_us: int
    spreads: float
    value: float
    usual: float
    together: float
    """Correlation with the leading member."""
    lag_us: int
    """By how much it is behind the leading member."""
    is_member: bool


@dataclass(frozen=True, slots=True)
class Around:
    """See the module."""

    moved: tuple[Moved, ...]
    """Those that began first, first."""
    looked_at: int
    """Series and templates."""
    lines: tuple[Mapping[str, str], ...]
    """Of templates that are new or came more often, the newest of each."""
    new_templates: tuple[tuple[str, str, int], ...]
    """Stream, template, lines; never seen before in what was looked at."""


@dataclass(frozen=True, slots=True)
class _Row:
    stream: str
    column: str
    key: Mapping[str, str | None]
    template: str | None
    values: F64


def around(asked: Asked, lead: MemberRow | None) -> Around:
    """``lead``: the member that others are held against; None: the series that moved furthest."""
    step = asked.near[0].step_us if asked.near else max(1_000_000, (asked.near_until_us - asked.near_since_us) // 512)
    begin, end = asked.near_since_us // step, -(-asked.near_until_us // step)
    rows: list[_Row] = []
    for source in asked.near:
        found_rows = (row for series in series_of(source) if (row := _row(series, begin, end, step_us=step)) is not None)
        rows += islice(found_rows, max(0, SERIES_MAX - len(rows)))
    lines: list[Mapping[str, str]] = []
    new: list[tuple[str, str, int]] = []
    for text in asked.texts:
        _lines(text, asked, step, (begin, end), rows, lines, new)
    if not rows:
        return Around((), 0, tuple(lines), tuple(new))
    table = np.stack([r.values for r in rows])
    since, until = asked.since_us // step - begin, max(asked.until_us, asked.since_us) // step - begin + 1
    found = moves(table, since=int(since), until=int(until))
    first = _lead(rows, lead, np.abs(found.peak))
    with_lead = correlated(table[first], table)
    members = {id_of(m.stream, m.column, m.key) for m in asked.members}
    usual = np.median(table[:, : max(1, int(since))], axis=1)
    moved = [
        Moved(
            stream=rows[i].stream,
            column=rows[i].column,
            key=rows[i].key,
            template=rows[i].template,
            onset_us=int((begin + found.onset[i]) * step),
            peak_us=int((begin + found.at[i]) * step),
            spreads=float(found.peak[i]),
            value=float(table[i, found.at[i]]),
            usual=float(usual[i]),
            together=float(with_lead.strength[i]),
            lag_us=int(with_lead.lag[i] * step),
            is_member=id_of(rows[i].stream, rows[i].column, rows[i].key) in members,
        )
        for i in np.flatnonzero(found.moved)
        if i == first or abs(with_lead.strength[i]) >= TOGETHER
    ]
    moved.sort(key=lambda m: (m.onset_us, -abs(m.spreads)))
    return Around(tuple(moved), len(rows), tuple(lines), tuple(new))


def _row(series: Series, begin: int, end: int, *, step_us: int) -> _Row | None:
    """On the cells of all, totals as rates; None for one that has too few records to follow."""
    if is_total(series):
        series = as_rates(series, step_us=step_us)
    inside = (series.cells >= begin) & (series.cells < end)
    if inside.sum() < max(8, FILLED_MIN * (end - begin)):
        return None
    values = np.full(end - begin, np.nan)
    values[series.cells[inside] - begin] = series.mean[inside]
    return _Row(series.stream, series.column, series.key, None, filled(values)[0])


def _lead(rows: Sequence[_Row], lead: MemberRow | None, peaks: F64) -> int:
    if lead is not None:
        wanted = id_of(lead.stream, lead.column, lead.key)
        for i, row in enumerate(rows):
            if id_of(row.stream, row.column, row.key) == wanted:
                return i
    return int(peaks.argmax())


def _lines(
    source: TextSource,
    asked: Asked,
    step: int,
    span: tuple[int, int],
    rows: list[_Row],
    lines: list[Mapping[str, str]],
    new: list[tuple[str, str, int]],
) -> None:
    """The lines of one text field: their templates as rows of counts; those that are new or many, to be shown."""
    table = read(source.path).sort_by("ts")
    if not table.num_rows:
        return
    text = table.column("text").combine_chunks()
    ts = table.column("ts").combine_chunks().cast(pa.timestamp("us")).cast(pa.int64()).to_numpy(zero_copy_only=False)
    miner = Miner()
    ids, codes = np.unique(miner.heirs_of(miner.learn(text, ts)), return_inverse=True)
    cell = ts // step - span[0]
    inside = (cell >= 0) & (cell < span[1] - span[0])
    in_it = (ts >= asked.since_us) & (ts <= asked.until_us)
    counts, before, during = (np.bincount(codes[m], minlength=len(ids)) for m in (inside, ts < asked.since_us, in_it))
    for code in np.argsort(-counts, kind="stable")[:TEMPLATES_MAX].tolist():
        if ids[code] < 0:
            continue
        template = miner.template(int(ids[code])).text
        if counts[code] >= 8:
            of = np.bincount(cell[inside & (codes == code)], minlength=span[1] - span[0]).astype(np.float64)
            rows.append(_Row(source.stream, source.column, {}, template, of))
        if during[code] and not before[code]:
            new.append((source.stream, template, int(during[code])))
        if during[code] and during[code] >= 2 * before[code] and len(lines) < LINES_SHOWN:
            last = int(np.flatnonzero(in_it & (codes == code))[-1])
            lines.append({"ts": iso(int(ts[last])), "stream": source.stream, "text": text[last].as_py()})
