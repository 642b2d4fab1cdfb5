"""Trainings as batch work: asked of the lake in processes, fitted by column, judged on held-out days, stored, used when good enough.

A training is one of the config, or implied by a rule that compares with ``baseline()``. Its name is that of its workload; an implied
one is called after its column.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Final

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from appliance.alerting.models import IMPLICIT
from appliance.alerting.rulebook import Rulebook, make_rulebook
from appliance.batch_options import Priority, TrainingOptions
from appliance.batching.models import ModelStore
from appliance.batching.notices import HandOver
from appliance.batching.program import own_program
from appliance.batching.work import Context, Limits, Outcome, Runner, When, Work
from appliance.box import Box
from appliance.clock import US_PER_DAY, US_PER_S, Clock, day_name
from appliance.cold.batch.training import fitting, forest, judging
from appliance.cold.batch.training.asking import HOUR_US, hourly_sql, robust_sql
from appliance.cold.batch.training.fitting import Cells
from appliance.cold.batch.training.model import F64, Model, numbers
from appliance.config import Config
from appliance.errors import RetryLater, UsageRefused
from appliance.hot.state import State, StreamState
from appliance.hot.stream.baselines import Baselines
from appliance.hot.stream.expression import Baseline as BaselineTerm
from appliance.hot.stream.expression import terms
from appliance.hot.stream.expression.functions import BASELINE
from appliance.hot.stream.rules import RuleRefused, key_columns
from appliance.observe.status import Problem
from appliance.records import fold

log = logging.getLogger(__name__)
KEYS_MAX: Final = 50_000
"""Keys of one model: their file and what rules hold of it stay small."""
GROWING: Final = "appliance.cold.batch.training.growing"
IMPLIED_EVERY_S: Final = 86_400.0
LOOK_S: Final = 60.0
ABSENT_LOOK_S: Final = 1.0
"""How often it is looked whether a stream is there at last."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What trainings are run with."""

    store: ModelStore
    state: Callable[[], State]
    clock: Clock


class Training:
    """A ``Work``."""

    kind = "training"
    priority: Priority = "low"
    limits: Limits | None = None
    retries = 1

    def __init__(self, name: str, options: TrainingOptions, around: Surroundings) -> None:
        self.name = name
        self.options = options
        self._around = around

    @property
    def when(self) -> When:
        return When() if self.is_implied else When(schedule=self.options.schedule)

    @property
    def notify(self) -> Sequence[str]:
        return self.options.notify

    @property
    def is_implied(self) -> bool:
        """Whether a rule alone asks for it."""
        return self.name.startswith(IMPLICIT)

    def about(self) -> tuple[StreamState, tuple[str, ...], str] | None:
        """Stream, columns of the key and column, as the stream writes them; None while they are not there."""
        stream = self._around.state().get(self.options.stream)
        if stream is None:
            return None
        try:
            by = key_columns(self.options.by, stream.schema, "by")
        except RuleRefused:
            return None
        column = next((c.name for c in stream.schema.columns if fold(c.name) == fold(self.options.column)), None)
        return None if column is None else (stream, by, column)

    async def run(self, context: Context) -> Outcome:
        """Trains, judges, stores. Raises ``UsageRefused`` where stream or column are not there or nothing is to be learned."""
        clock, options = self._around.clock, self.options
        if options.method == "forest" and find_spec("sklearn") is None:
            raise UsageRefused(f"training {self.name!r}: the method forest needs the extra: pip install 'edge-appliance[training]'")
        about = self.about()
        if about is None:
            raise UsageRefused(
                f"training {self.name!r}: there is no column {options.column!r} in a stream {options.stream!r} with these keys yet"
            )
        stream, by, column = about
        now_us, start_ns = clock.now_us(), clock.monotonic_ns()
        until_us = -(-now_us // HOUR_US) * HOUR_US
        since_us = until_us - options.days * US_PER_DAY
        context.progress(None, f"reading {stream.name}")
        sql = hourly_sql(stream.name, by, column, since_us=since_us, until_us=until_us)
        table = await _rows(context.runner, sql)
        every = await asyncio.to_thread(fitting.cells_of, table, len(by))
        if not len(every.hour):
            raise UsageRefused(f"training {self.name!r}: there is no value of {column!r} in the last {options.days} days to learn from")
        if len(every.keys) > KEYS_MAX:
            raise UsageRefused(f"training {self.name!r}: {len(every.keys):,} keys are more than {KEYS_MAX:,}; name fewer columns in by")
        held_h = judging.held_since(every, days=options.holdout_days, until_h=until_us // HOUR_US)
        context.progress(0.5, "fitting")
        hours, body, more = await self._fit(context.runner, about, every, held_h, since_us=since_us, until_us=until_us)
        learned, held = every.where(every.hour < held_h), every.where(every.hour >= held_h)
        quality = await asyncio.to_thread(judging.quality_of, hours, learned, held, every)
        trained_on = {
            "stream": stream.name,
            "since_us": since_us,
            "held_out_since_us": held_h * HOUR_US,
            "until_us": until_us,
            "records": int(learned.count.sum()),
            "held_out_records": int(held.count.sum()),
            "sequence": stream.last_seq,
            "dirty_days": [day_name(d) for d in sorted(stream.dirty) if since_us <= d * US_PER_DAY < until_us],
            "duration_s": (clock.monotonic_ns() - start_ns) / 1e9,
        }
        model = Model(
            name=self.name,
            version=0,
            method=options.method,
            stream=stream.name,
            by=by,
            column=column,
            made_us=now_us,
            trained_on=trained_on,
            quality={**quality, **more},
            keys=every.keys,
            body={**body, "hours": fitting.listed_hours(hours)},
        )
        return await asyncio.to_thread(self._keep, model, held)

    async def _fit(
        self, runner: Runner, about: tuple[StreamState, tuple[str, ...], str], every: Cells, held_h: int, *, since_us: int, until_us: int
    ) -> tuple[F64, dict[str, Any], dict[str, Any]]:
        """What it says for each hour of the week, what else its body has, and what else is known of its quality."""
        learned = every.where(every.hour < held_h)
        if self.options.method == "baseline":
            return await asyncio.to_thread(fitting.hourly_means, learned), {}, {}
        if self.options.method == "seasonal":
            return *(await asyncio.to_thread(fitting.seasonal, learned)), {}
        if self.options.method == "forest":
            return await self._grow(runner, learned, every.where(every.hour >= held_h))
        stream, by, column = about
        sql = robust_sql(stream.name, by, column, since_us=since_us, held_us=held_h * HOUR_US, until_us=until_us)
        rows = (await _rows(runner, sql)).to_pylist()
        hours, body = fitting.robust(rows, every.keys)
        seen = sum(r["held"] for r in rows)
        return hours, body, {"inside": sum(r["inside"] for r in rows) / seen if seen else None}

    async def _grow(self, runner: Runner, learned: Cells, held: Cells) -> tuple[F64, dict[str, Any], dict[str, Any]]:
        """A seasonal profile with bounds around it, out of a forest that a process grows."""
        hours, parts = await asyncio.to_thread(fitting.seasonal, learned)
        spread = await asyncio.to_thread(fitting.spreads, learned, hours)
        points = await asyncio.to_thread(lambda: forest.points_of(forest.sampled(learned), hours, spread))
        if len(points) < forest.POINTS_A_TREE:
            words = f"{len(points)} values that scatter are too few to grow a forest of; it takes {forest.POINTS_A_TREE}"
            raise UsageRefused(f"training {self.name!r}: {words}")
        grown = msgspec.json.decode(await runner.program(own_program(GROWING), input=points.tobytes()))
        body = {**parts, "spread": fitting.listed(spread), **grown}
        low, high = (hours + spread[:, None] * numbers(body[side])[None, :] for side in ("low", "high"))
        return hours, body, {"inside": await asyncio.to_thread(forest.inside, held, low, high)}

    def _keep(self, model: Model, held: Cells) -> Outcome:
        store, options = self._around.store, self.options
        judged = judging.judge(model, store.active(self.name), held, worse_max=options.worse_max)
        model = store.add(model, judged, keep=options.keep, notify=options.notify)
        words = judging.summary(model, judged)
        if not judged.accepted:
            log.warning("model %r: %s", self.name, words)
        return Outcome(words, rows=len(model.keys))


def trainings(config: Config, rulebook: Rulebook, around: Surroundings) -> list[Training]:
    """The works: those of the config, and one for each ``baseline()`` of its rules that none of them covers:
    with bounds where a rule asks for ``baseline_low()`` or ``baseline_high()``."""
    named = [Training(name, w, around) for name, w in config.workloads.items() if isinstance(w, TrainingOptions)]
    covered = {_sign(t.options) for t in named}
    implied: dict[str, Training] = {}
    for options in sorted(_implied(rulebook), key=lambda o: o.method != "robust"):
        if _sign(options) not in covered:
            by = "" if options.by is None else f" by {', '.join(options.by)}"
            name = f"{IMPLICIT}{options.stream}.{options.column}{by})"
            implied.setdefault(fold(name), Training(name, options, around))
    return [*named, *implied.values()]


class Models:
    """Models and trainings of a running service, for its wiring."""

    def __init__(
        self, box: Box, config: Config, baselines: Baselines, *, clock: Clock, step: Callable[[str], None], hand_over: HandOver
    ) -> None:
        self.box = box
        self.store = ModelStore(box, baselines, clock=clock, step=step, hand_over=hand_over)
        self._config = config
        self._around = Surroundings(self.store, lambda: box.state, clock)
        self._implied: Implied | None = None

    def load(self) -> list[Problem]:
        """Before rules are evaluated: what is in use is read. What can't be used is a problem to show."""
        hint = "the next training makes it anew"
        return [Problem("WARN", said, self._around.clock.now_us(), hint) for said in self.store.load()]

    def works(self, config: Config) -> list[Work]:
        """For the queue."""
        return [*trainings(config, make_rulebook(config), self._around)]

    def start(self, ask: Callable[[str], Awaitable[object]], rulebook: Rulebook) -> None:
        """On the event loop. ``ask`` has the queue run the work of a name."""
        self._implied = Implied(self._around, ask)
        self.configure(self._config, rulebook)

    def configure(self, config: Config, rulebook: Rulebook) -> None:
        """From now on these rules; on the event loop."""
        self._config = config
        if self._implied is not None:
            self._implied.configure(trainings(config, rulebook, self._around))

    def close(self) -> None:
        """Trains no more."""
        if self._implied is not None:
            self._implied.close()


def fresh_s(version: int) -> float:
    """How long a version of a model that a rule implies is taken to be fresh: the first ones know little, so they are made anew soon,
    each after twice as long, up to a day."""
    return min(IMPLIED_EVERY_S, LOOK_S * 2.0 ** min(version, 60))


class Implied:
    """Keeps the models fresh that rules ask for without a training in the config: looked at every minute, made once a day.

    On the event loop. ``ask`` has the queue run the work of a name; it is asked for the same one at most every ``LOOK_S``.
    """

    def __init__(self, around: Surroundings, ask: Callable[[str], Awaitable[object]]) -> None:
        self._around = around
        self._ask = ask
        self._asked_ns: dict[str, int] = {}
        self._task: asyncio.Task[None] | None = None

    def configure(self, found: Iterable[Training]) -> None:
        """From now on these."""
        self.close()
        self._task = asyncio.create_task(self._run([t for t in found if t.is_implied]))

    def close(self) -> None:
        """Looks no more."""
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def _run(self, implied: Sequence[Training]) -> None:
        while implied:
            for training in implied:
                if training.about() is not None and not self._was_asked(training.name):
                    await self._look(training)
            await asyncio.sleep(LOOK_S if all(t.about() is not None for t in implied) else ABSENT_LOOK_S)

    async def _look(self, training: Training) -> None:
        try:
            if await asyncio.to_thread(self._is_fresh, training):
                return
            await self._ask(training.name)
        except (UsageRefused, RetryLater) as e:
            log.debug("the model %s could not be asked for: %s", training.name, e)
        except Exception:  # a defect, or a store that can't be read now, must not end the looks for good
            log.exception("the model %s could not be looked at", training.name)
        else:
            self._asked_ns[training.name] = self._around.clock.monotonic_ns()

    def _was_asked(self, name: str) -> bool:
        asked_ns = self._asked_ns.get(name)
        return asked_ns is not None and self._around.clock.monotonic_ns() - asked_ns < LOOK_S * 0.9e9

    def _is_fresh(self, training: Training) -> bool:
        """Whether the newest version is young; a time in the future was taken before the clock was set back."""
        newest = next(iter(self._around.store.rows(training.name)), None)
        return newest is not None and 0 <= self._around.clock.now_us() - newest.made_us < fresh_s(newest.version) * US_PER_S


def _implied(rulebook: Rulebook) -> Iterable[TrainingOptions]:
    for parsed in rulebook.parsed.values():
        options = parsed.options
        for expression in (parsed.when, parsed.clear):
            if expression is None or options.stream is None:
                continue
            for term in terms(expression):
                if isinstance(term, BaselineTerm):
                    implied = TrainingOptions(stream=options.stream, column=term.column.name, by=options.by, schedule=None)
                    yield implied if term.function == BASELINE else msgspec.structs.replace(implied, method="robust")


def _sign(options: TrainingOptions) -> tuple[str, tuple[str, ...] | None, str]:
    by = None if options.by is None else tuple(fold(c) for c in options.by)
    return fold(options.stream), by, fold(options.column)


async def _rows(runner: Runner, sql: str) -> pa.Table:
    written = await runner.file(sql, format="parquet")
    try:
        return await asyncio.to_thread(pq.read_table, written.path)
    finally:
        written.path.unlink(missing_ok=True)
