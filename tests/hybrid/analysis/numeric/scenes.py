"""Series that each tell one story, scored together once: a day every ten minutes, three weeks, from a seed."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from appliance.hybrid.analysis.numeric.scored import F64, I64, Scored
from appliance.hybrid.analysis.numeric.scorer import Scorer

STEP_US: Final = 600_000_000
DAY: Final = 144
COUNT: Final = 21 * DAY
BEGIN_US: Final = 1_700_438_400_000_000
"""A Monday, 00:00."""
AT: Final = 15 * DAY + 60
"""Where something happens."""
PLACES: Final = np.arange(COUNT)
RARE: Final = 0.99


def noise(seed: int) -> F64:
    """Of a normal distribution."""
    return np.random.default_rng(seed).normal(0.0, 1.0, COUNT)


def daily(seed: int = 3, *, phase: int = 0) -> F64:
    """A smooth day between 0 and 40."""
    return 20.0 + 20.0 * np.sin((PLACES + phase) * 2 * np.pi / DAY) + noise(seed)


def changed(x: F64, since: int, until: int, change: Callable[[F64], F64]) -> F64:
    """With another part."""
    out = x.copy()
    out[since:until] = change(out[since:until])
    return out


SCENES: Final[Mapping[str, F64]] = {
    "noise": noise(1),
    "noise of another unit": noise(2) * 1e-6 + 3e-4,
    "heavy tails": np.random.default_rng(5).pareto(1.5, COUNT),
    "counts": np.random.default_rng(6).poisson(0.3, COUNT).astype(np.float64),
    "random walk": np.cumsum(noise(7)),
    "constant": np.full(COUNT, 7.25),
    "constant, then another": changed(np.full(COUNT, 7.25), AT, COUNT, lambda x: x + 0.5),
    "nothing": np.full(COUNT, np.nan),
    "single value": changed(np.full(COUNT, np.nan), AT, AT + 1, lambda x: np.full(len(x), 3.0)),
    "gaps": changed(daily(8), 3 * DAY, 3 * DAY + 50, lambda x: np.full(len(x), np.nan)),
    "infinite": changed(noise(9), AT, AT + 1, lambda x: np.full(len(x), -np.inf)),
    "spike": changed(noise(10), AT, AT + 1, lambda x: x + 30.0),
    "shift": changed(noise(11), AT, COUNT, lambda x: x + 15.0),
    "factor": changed(100.0 + noise(12), AT, COUNT, lambda x: x * 1000.0),
    "daily": daily(),
    "daily, flat": changed(daily(13), AT, AT + 60, lambda x: np.full(len(x), 20.0) + noise(14)[: len(x)]),
    "daily, night by day": changed(daily(15), AT, COUNT, lambda x: daily(15, phase=DAY // 2)[-len(x) :]),
    "daily spike": daily(16) + 200.0 * (PLACES % DAY == 30),
    "daily spike elsewhere": daily(17) + 200.0 * ((PLACES % DAY == 30) | (PLACES == AT + 20)),
    "huge": noise(18) * 1e200,
    "tiny": noise(19) * 1e-200,
    "far from zero": 1e9 + changed(noise(20), AT, AT + 1, lambda x: x + 30.0),
}


@dataclass(frozen=True, slots=True)
class Scene:
    """One series with what was said of it, from the fifth day on."""

    name: str
    scores: F64
    onsets: F64
    said: Scored
    rows: I64
    scorer: Scorer

    def rare(self, since: int = 5 * DAY, until: int = COUNT) -> int:
        """Onsets."""
        return int((self.onsets[since:until] >= RARE).sum())

    def reason(self, place: int) -> str:
        """Of one record."""
        return self.scorer.reason(self.said, int(self.rows[place]))


@functools.cache
def scored() -> tuple[Scored, Scorer]:
    """All of them, in one call, as they would come."""
    scorer = Scorer()
    scorer.grow(len(SCENES))
    slots = np.tile(np.arange(len(SCENES), dtype=np.int32), COUNT)
    ts_us = BEGIN_US + np.repeat(PLACES, len(SCENES)) * STEP_US
    return scorer.score(slots, ts_us, np.stack(list(SCENES.values()), axis=1).reshape(-1)), scorer


def scene(name: str) -> Scene:
    """One of ``SCENES``."""
    said, scorer = scored()
    rows = PLACES * len(SCENES) + list(SCENES).index(name)
    return Scene(name, said.score[rows], said.onset[rows], said, rows, scorer)
