"""The training of an analysis as batch work: what is usual for each hour of the week, by series, and what people said; versioned like any
model, and in use from the moment that it is stored."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Final

import msgspec

from appliance.batch_options import Priority
from appliance.batching.models import ModelStore
from appliance.batching.program import own_program
from appliance.batching.work import Context, Limits, Outcome, When
from appliance.clock import US_PER_DAY
from appliance.cold.batch.training.judging import Judged
from appliance.cold.batch.training.model import Model
from appliance.errors import UsageRefused
from appliance.hot.state import StreamState
from appliance.hybrid.analysis.deep import asking
from appliance.hybrid.analysis.deep.learning import Learned, Lesson, key_of, name_of
from appliance.hybrid.analysis.deep.usual import factors
from appliance.hybrid.analysis.deep.values import Source
from appliance.hybrid.analysis.live.wanted import Wanted
from appliance.hybrid.analysis.refining.around import Surroundings
from appliance.hybrid.analysis.refining.work import night_name
from appliance.hybrid_options import AnalysisOptions
from appliance.observe.analysis import FeedbackRow, IncidentPicture
from appliance.records import Kind

PROGRAM: Final = "appliance.hybrid.analysis.deep.learning"
METHOD: Final = "analysis"
DAYS: Final = 28
STEP_US: Final = 1_800_000_000
DAYS_MIN: Final = 1
"""Of less history nothing is learned, and that is said."""
FEWER: Final = 0.5
"""A new version that knows of a smaller part of the series that the one in use does is refused: something is missing."""
KEEP: Final = 10
_NUMBERS: Final = (Kind.FLOAT, Kind.INT)
Words = Callable[[str], Sequence[tuple[IncidentPicture, FeedbackRow]]]


class AnalysisTraining:
    """A ``Work``."""

    kind = "training"
    priority: Priority = "low"
    limits: Limits | None = None
    retries = 1
    notify: Sequence[str] = ()

    def __init__(
        self, workload: str, options: AnalysisOptions, around: Surroundings, *, store: Callable[[], ModelStore], words: Words
    ) -> None:
        """``store`` is asked when it runs; ``words`` gives what people said of the incidents of a workload, the oldest first."""
        self.name = model_name(workload)
        self._workload, self._options, self._around, self._store, self._words = workload, options, around, store, words

    @property
    def when(self) -> When:
        return (
            When(after=night_name(self._workload))
            if self._options.nightly and self._options.deep
            else When(schedule=self._options.nightly or None)
        )

    async def run(self, context: Context) -> Outcome:
        """Learns and stores. Raises ``UsageRefused`` where there is too little history."""
        around = self._around
        now_us = around.clock.now_us()
        since_us = now_us - DAYS * US_PER_DAY
        wanted = Wanted(self._options)
        streams = [s for s in around.state().streams.values() if wanted.stream(s.name) and _span_us(s, since_us) >= DAYS_MIN * US_PER_DAY]
        if not streams:
            raise UsageRefused(f"training {self.name!r}: no stream has {DAYS_MIN} day of history yet, which is too little to learn from")
        learned = await self._learned(context, streams, wanted, since_us=since_us, until_us=now_us)
        if not learned.series:
            raise UsageRefused(f"training {self.name!r}: there are too few values in the last {DAYS} days to learn from")
        return await asyncio.to_thread(self._keep, learned, max(s.last_seq for s in streams), since_us, now_us)

    async def _learned(self, context: Context, streams: Sequence[StreamState], wanted: Wanted, *, since_us: int, until_us: int) -> Learned:
        sources: list[Source] = []
        files = []
        words = await asyncio.to_thread(self._said)
        try:
            for done, stream in enumerate(streams):
                context.progress(done / (len(streams) + 1), f"reading {stream.name}")
                columns = tuple(c.name for c in stream.schema.fields if c.kind in _NUMBERS and wanted.column(c.name))
                if not columns:
                    continue
                sql = asking.cells_sql(
                    stream.name, stream.schema.tags, columns, step_us=STEP_US, since_us=since_us, until_us=until_us, extremes=True
                )
                written = await context.runner.file(sql, format="parquet")
                files.append(written.path)
                path, tags = str(written.path), stream.schema.tags
                sources.append(Source(stream=stream.name, tags=tags, columns=columns, path=path, step_us=STEP_US, has_extremes=True))
            context.progress(len(streams) / (len(streams) + 1), "learning")
            lesson = Lesson(sources=tuple(sources), series_max=self._options.series_max, factors=words)
            return msgspec.json.decode(await context.runner.program(own_program(PROGRAM), input=msgspec.json.encode(lesson)), type=Learned)
        finally:
            for file in files:
                file.unlink(missing_ok=True)

    def _said(self) -> dict[str, float]:
        """Series -> factor."""
        found = []
        for picture, row in self._words(self._workload):
            series = [name_of(key_of(m.stream, m.column, m.key)) for m in picture.members if m.template is None]
            found.append((row.verdict, series))
        return factors(found)

    def _keep(self, learned: Learned, sequence: int, since_us: int, now_us: int) -> Outcome:
        store = self._store()
        model = model_of(self.name, learned, sequence=sequence, since_us=since_us, now_us=now_us)
        judged = judge(model, store.active(self.name), [s.name for s in self._around.state().streams.values()])
        model = store.add(model, judged, keep=KEEP)
        seasons = sum(s != "none" for s in learned.seasons)
        beside = (
            ""
            if learned.error is None
            else f"; error {learned.error:.3g} spreads on held-out days, without a season {learned.naive_error:.3g}"
        )
        use = "in use" if judged.accepted else "refused"
        return Outcome(
            f"version {model.version}: {seasons} of {learned.series} series have a season{beside}; {use}: {judged.reason}",
            rows=len(model.keys),
        )


def model_of(name: str, learned: Learned, *, sequence: int, since_us: int, now_us: int) -> Model:
    """As it is stored: all streams in one, each key a stream, a field and tags."""
    quality = {
        "measure": "mean absolute error of half-hourly means on held-out days, in spreads of each series",
        "error": learned.error,
        "naive_error": learned.naive_error,
        "coverage": len(learned.keys) / learned.series,
        "cells": learned.cells,
    }
    return Model(
        name=name,
        version=0,
        method=METHOD,
        stream="*",
        by=("stream", "column", "tags"),
        column="*",
        made_us=now_us,
        trained_on={"since_us": since_us, "until_us": now_us, "records": learned.records, "sequence": sequence},
        quality=quality,
        keys=tuple(learned.keys),
        body={"hours": learned.hours, "spreads": learned.spreads, "factors": learned.factors, "seasons": learned.seasons},
    )


def judge(new: Model, active: Model | None, streams: Iterable[str]) -> Judged:
    """Whether a new version is used, where there are these streams: not where it knows of far fewer of their series than the one in use."""
    if active is None:
        return Judged(True, "the first one")
    there = {s.lower() for s in streams}
    before = [key for key in active.keys if (key[0] or "").lower() in there]
    if len(new.keys) < FEWER * len(before):
        return Judged(False, f"it knows of {len(new.keys)} series, version {active.version}, which is in use, of {len(before)}")
    return Judged(True, f"it knows of {len(new.keys)} series, version {active.version} of {len(before)}")


def model_name(workload: str) -> str:
    """Of the training of an analysis, and of its model."""
    return f"{workload}.model"


def _span_us(stream: StreamState, since_us: int) -> int:
    """How much of the time from ``since_us`` on its records span, as far as is known without reading."""
    begins = [*(s.ts_min for s in stream.segments), *(c.ts_min for c in stream.ring)]
    ends = [*(s.ts_max for s in stream.segments), *(c.ts_max for c in stream.ring)]
    return max(0, max(ends, default=0) - max(since_us, min(begins, default=0)))
