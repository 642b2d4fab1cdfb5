"""What the first pass has missed in the last day, looked for at night over all series of an analysis: as incidents, late and few."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

import msgspec

from appliance.batching.program import own_program
from appliance.batching.work import Context, Runner
from appliance.clock import US_PER_S
from appliance.hot.state import StreamState
from appliance.hybrid.analysis.deep import asking
from appliance.hybrid.analysis.deep.missed import Found, Sought, Stretch, Told
from appliance.hybrid.analysis.deep.values import DAY_US, Source
from appliance.hybrid.analysis.incidents.values import Answer
from appliance.hybrid.analysis.live.wanted import Wanted
from appliance.hybrid.analysis.phrases import history, listed, moment, number, off, series, span, times
from appliance.hybrid.analysis.refining.around import Surroundings, Trained
from appliance.hybrid_options import AnalysisOptions
from appliance.observe.analysis import EvidenceRow, IncidentRow, MemberRow
from appliance.records import Kind

PROGRAM: Final = "appliance.hybrid.analysis.deep.missed"
DAYS: Final = 14
"""That the last day is held against."""
CELLS_MAX: Final = 4_096
CELLS_MIN_US: Final = 300 * US_PER_S
VALUES_MAX: Final = 1_000_000
"""Values of one question: memory follows them, however many keys and fields there are."""
FOUND_MAX: Final = 5
"""Incidents of one night."""
SETTLES_US: Final = 900 * US_PER_S
"""What is newer is still the first pass' to tell."""
_NUMBERS: Final = (Kind.FLOAT, Kind.INT)


async def look_for_missed(
    context: Context, around: Surroundings, workload: str, options: AnalysisOptions, rows: Sequence[IncidentRow], *, night_us: int
) -> tuple[int, Found]:
    """Opens what was found, and says how much that was. ``rows``: the incidents that there are; ``night_us``: how far it looks back."""
    now_us = around.clock.now_us()
    wanted, trained = Wanted(options), around.trained(workload)
    told = [Told(r.streams, r.since_us, max(r.since_us, r.until_us)) for r in rows if r.workload == workload]
    files: list[Path] = []
    sources: list[Source] = []
    try:
        streams = [s for s in around.state().streams.values() if wanted.stream(s.name) and _newest_us(s) >= now_us - night_us]
        for done, stream in enumerate(streams):
            context.progress(done / (len(streams) + 1), f"reading {stream.name} for what was missed")
            sources += await _sources(context.runner, stream, wanted, now_us=now_us, files=files)
        context.progress(len(streams) / (len(streams) + 1), "looking for what was missed")
        sought = Sought(
            sources=tuple(sources),
            since_us=now_us - night_us,
            until_us=now_us - SETTLES_US,
            sensitivity=options.sensitivity,
            series_max=options.series_max,
            found_max=FOUND_MAX,
            told=tuple(told),
            factors=trained.factors,
        )
        found = msgspec.json.decode(await context.runner.program(own_program(PROGRAM), input=msgspec.json.encode(sought)), type=Found)
    finally:
        for file in files:
            file.unlink(missing_ok=True)
    for stretches in found.together:
        answer = answer_of(stretches, trained, zone=around.zone)
        since_us, until_us = min(s.since_us for s in stretches), max(s.until_us for s in stretches)
        await asyncio.to_thread(around.incidents.found_late, workload, answer, since_us=since_us, until_us=until_us)
        around.step("deep.found")
    return len(found.together), found


async def _sources(runner: Runner, stream: StreamState, wanted: Wanted, *, now_us: int, files: list[Path]) -> list[Source]:
    """One stream, a few fields at a time."""
    numbers = {c.name for c in stream.schema.fields if c.kind in _NUMBERS}
    names = [name for name in wanted.fields([c.name for c in stream.schema.fields]) if name in numbers]
    if not names:
        return []
    tags, since_us = stream.schema.tags, now_us - DAYS * DAY_US
    keys = 1
    if tags:
        sql = asking.keys_sql(stream.name, tags, since_us=since_us, until_us=now_us)
        keys = max(1, int((await runner.table(sql)).column("n")[0].as_py()))
    step = max(CELLS_MIN_US, asking.step_us(DAYS * DAY_US, cells_max=max(1, min(CELLS_MAX, VALUES_MAX // keys))))
    at_once = max(1, VALUES_MAX // (keys * (DAYS * DAY_US // step)))
    found: list[Source] = []
    for first in range(0, len(names), at_once):
        part = tuple(names[first : first + at_once])
        sql = asking.cells_sql(stream.name, tags, part, step_us=step, since_us=since_us, until_us=now_us, extremes=True)
        written = await runner.file(f"{sql} LIMIT {2 * VALUES_MAX // len(part)}", format="parquet")
        files.append(written.path)
        found.append(Source(stream=stream.name, tags=tags, columns=part, path=str(written.path), step_us=step, has_extremes=True))
    return found


def answer_of(stretches: Sequence[Stretch], trained: Trained, *, zone: str) -> Answer:
    """The first and only answer about what was found; the gravest stretch first."""
    s, rest = stretches[0], stretches[1:]
    rate = " a second" if s.is_rate else ""
    where = f"{number(s.value)}{rate} where {number(s.expected)} was to be expected"
    size = f"{times(s.spreads)} the usual spread"
    when = f"from {moment(s.since_us, ZoneInfo(zone))} for {span(s.until_us - s.since_us)}"
    words = f"Found late: {series(s.stream, s.column, s.key)}: {where} ({size}), {when}."
    if rest:
        words += f" At the same time: {listed([series(r.stream, r.column, r.key) for r in rest])}."
    return Answer(
        verdict="confirmed",
        confidence=round(0.5 + 0.4 * s.unusual, 3),
        severity=s.unusual,
        summary=words,
        basis=f"the nightly look at everything, with {history(s.history_us)}; the first pass had told nothing of it",
        models=trained.models,
        evidence=tuple(_evidence(each) for each in stretches),
        members=tuple(_member(each) for each in stretches),
    )


def _member(s: Stretch) -> MemberRow:
    return MemberRow(
        stream=s.stream,
        column=s.column,
        key=s.key,
        template=None,
        kind="rate" if s.is_rate else "value",
        since_us=s.since_us,
        until_us=s.until_us,
        peak_us=s.peak_us,
        score=min(0.99, s.unusual),
        value=s.value,
        expected=s.expected,
        records=1,
        reason=f"{times(s.spreads)} its usual spread, further than on any day before; found late",
        seq=0,
    )


def _evidence(s: Stretch) -> EvidenceRow:
    what = f"{off(s.spreads, s.expected)}, further than on any other day of {history(s.history_us)}"
    return EvidenceRow(kind="history", stream=s.stream, column=s.column, key=s.key, at_us=s.peak_us, value=s.spreads, what=what)


def _newest_us(stream: StreamState) -> int:
    return max([*(s.ts_max for s in stream.segments), *(c.ts_max for c in stream.ring)], default=0)
