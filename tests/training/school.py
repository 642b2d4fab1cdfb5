"""A box with a history whose truth is known, and trainings run on it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from appliance.batch_options import TrainingOptions
from appliance.batching.models import ModelStore
from appliance.batching.training import Surroundings, Training
from appliance.batching.work import Context, Outcome, Run
from appliance.box import Box, no_step
from appliance.clock import US_PER_S
from appliance.config import QueryOptions
from appliance.hot.alerts import outbox as stored
from appliance.hot.stream.baselines import Baselines
from appliance.records import TAG_TYPE, TS_TYPE, Batch
from appliance.serving.queries import Queries
from appliance.serving.source import Store, pinned_reader
from appliance.serving.state_tables import TABLES
from tests.clock import NOON_US, FakeClock
from tests.door.batches import open_box, send
from tests.training.asking import AskingRunner

HOUR_US = 3_600 * US_PER_S
I64 = npt.NDArray[np.int64]
F64 = npt.NDArray[np.float64]


def usual(hour: I64, level: float) -> F64:
    """The truth: a day with a peak at noon, and weekends at half of it; ``hour`` since 1970."""
    of_day, day = hour % 24, ((hour - 96) // 24) % 7
    return level + 10 * np.exp(-((of_day - 12) ** 2) / 18) - np.where(day >= 5, 4.0, 0.0)


def history(*, days: int, level: float = 100.0, device: str = "d1", until_us: int = NOON_US, noise: float = 0.5, seed: int = 1) -> Batch:
    """Four records an hour, for so many days before a time."""
    step = 15 * 60 * US_PER_S
    ts = np.arange(until_us - days * 24 * HOUR_US, until_us, step, dtype=np.int64)
    values = usual(ts // HOUR_US, level) + np.random.default_rng(seed).normal(0, noise, len(ts))
    return of(ts, values, device)


def of(ts: I64, values: F64, device: str) -> Batch:
    tags = pa.array([device] * len(ts), pa.string()).dictionary_encode().cast(TAG_TYPE)
    data = pa.record_batch({"ts": pa.array(ts).cast(TS_TYPE), "device": tags, "watts": pa.array(values)})
    return Batch("power", ("device",), data)


@dataclass
class School:
    """An open box with its models."""

    box: Box
    clock: FakeClock
    step: Callable[[str], None] = no_step
    handed: list[int] = field(default_factory=list)
    """Messages that were handed over."""
    baselines: Baselines = field(default_factory=Baselines)
    loop: asyncio.Runner = field(default_factory=asyncio.Runner)
    queries: Queries | None = None

    def __post_init__(self) -> None:
        self.store = ModelStore(self.box, self.baselines, clock=self.clock, step=self.step, hand_over=self.handed.extend)

    def learn(self, *batches: Batch) -> None:
        for batch in batches:
            send(self.box, batch)

    def train(self, name: str = "usual", **options: object) -> Outcome:
        """One run, in a real process of a query."""
        made = TrainingOptions(**{"stream": "power", "column": "watts", "days": 60, "notify": ("ops",), **options})  # type: ignore[arg-type]
        around = Surroundings(self.store, lambda: self.box.state, self.clock)
        return self.loop.run(self._run(Training(name, made, around)))

    async def _run(self, training: Training) -> Outcome:
        store = Store(
            state=lambda: self.box.state,
            reader=lambda: pinned_reader(self.box.folder),
            latest=lambda stream: self.box.last_values(stream.name),
            tables=TABLES,
            hot_bytes_max=1 << 30,
            damaged=lambda _segment, _reason: None,
        )
        if self.queries is None:
            self.queries = Queries(data_dir=self.box.folder, options=QueryOptions(), clock=self.clock, store=store, threads=1)
        runner = AskingRunner(self.queries, self.box.folder, lambda: self.box.state)
        run = Run(1, training.name, self.clock.now_us(), "asked")
        return await training.run(Context(run, runner, lambda _share, _words: None, lambda: False))

    def told(self) -> list[tuple[int, str, str, str]]:
        """Messages in the outbox: id, channel, title, text."""
        with pinned_reader(self.box.folder) as reader:
            found = [stored.load_message(reader, int(str(number))) for (number,) in reader.execute("SELECT id FROM outbox ORDER BY id")]
        return [(m.id or 0, m.channel, m.items[0].summary, m.items[0].text) for m in found if m is not None]

    def close(self) -> None:
        """Ends its processes."""
        if self.queries is not None:
            self.loop.run(self.queries.close())
        self.loop.close()


@contextmanager
def school(folder: Path, *, step: Callable[[str], None] = no_step) -> Iterator[School]:
    clock = FakeClock()
    box = open_box(folder, clock=clock)
    made = School(box, clock, step)
    try:
        yield made
    finally:
        made.close()
        box.close()
