"""An isolation forest as plain arrays: what it learns from, how it scores, and the bounds that follow from it. Pure; numpy alone.

One forest for all keys of a model. It sees how far the lowest, the mean and the highest value of an hour lie from the key's seasonal
profile, in spreads of the key, beside the hour of the day as an angle: so keys of different levels share what is known of when values
scatter, and a model stays small whatever the number of keys (F. T. Liu, K. M. Ting, Z.-H. Zhou, "Isolation forest", 2008).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from appliance.cold.batch.training.fitting import Cells
from appliance.cold.batch.training.model import F64, HOURS

F32 = npt.NDArray[np.float32]
FEATURES: Final = 3
"""Off the profile, sine and cosine of the hour."""
_DAY: Final = 24
TREES: Final = 100
POINTS_A_TREE: Final = 256
"""The paper's; more of either changes its figures little."""
POINTS_MAX: Final = 100_000
"""Of longer histories an even sample is looked at."""
STRANGE: Final = 0.005
"""The part of what it learns from, of each hour of the day, that it takes for strange."""
REACH: Final = 12.0
STEPS: Final = 97
"""Bounds are looked for up to so many spreads away, in so many steps."""


@dataclass(frozen=True, slots=True)
class Tree:
    """One tree by node: where ``feature`` is not negative, points with at most ``threshold`` in it go ``left``, others ``right``."""

    left: Sequence[int]
    right: Sequence[int]
    feature: Sequence[int]
    """-1: a leaf."""
    threshold: Sequence[float]
    points: Sequence[int]
    """How many points of its sample came to a node."""


@dataclass(frozen=True, slots=True)
class Forest:
    """As a model's body has it under ``forest``."""

    sample: int
    """Points that each tree was made of."""
    strange: Sequence[float]
    """For each hour of the day in UTC: scores above this are strange. Of its own for each, since a point is the less alone the more hours
    lie on both sides of its own."""
    trees: Sequence[Tree]

    def score(self, points: F32) -> F64:
        """From 0 to 1, the stranger the higher (the paper's s)."""
        depth = sum((_depth(tree, points) for tree in self.trees), np.zeros(len(points)))
        return np.asarray(2.0 ** (-depth / (len(self.trees) * float(path_length(np.array([self.sample]))[0]))), np.float64)


def sampled(cells: Cells) -> Cells:
    """As many as a forest looks at."""
    if len(cells.hour) * 3 <= POINTS_MAX:
        return cells
    mask = np.zeros(len(cells.hour), np.bool_)
    mask[np.linspace(0, len(mask) - 1, POINTS_MAX // 3).astype(np.int64)] = True
    return cells.where(mask)


def points_of(cells: Cells, hours: F64, spread: F64) -> F32:
    """A point for the lowest, the mean and the highest value of each cell of which something is said."""
    said, unit = hours[cells.key, cells.of_week], spread[cells.key]
    with np.errstate(invalid="ignore", divide="ignore"):
        off = np.concatenate([(values - said) / unit for values in (cells.low, cells.mean, cells.high)])
    hour = np.tile(cells.of_week, 3)
    known = np.isfinite(off)
    return _points(off[known], hour[known])


def bounds_of(forest: Forest) -> tuple[list[float | None], list[float | None]]:
    """Low and high for each hour of the week, in spreads: how far one can go from the profile before it is strange, or as strange as all
    that lies further out: then the forest has seen nothing there. None: no bound."""
    steps, hours = np.linspace(-REACH, REACH, STEPS), np.arange(_DAY)
    score = forest.score(_points(np.tile(steps, _DAY), np.repeat(hours, STEPS))).reshape(_DAY, STEPS)
    middle, step = STEPS // 2, steps[1] - steps[0]
    both = list(zip(score, forest.strange, strict=True))
    low, high = [_edge(row[middle::-1], s, -step) for row, s in both], [_edge(row[middle:], s, step) for row, s in both]
    return low * (HOURS // _DAY), high * (HOURS // _DAY)


def strange_above(score: F64, points: F32) -> list[float]:
    """``Forest.strange`` out of what it learned from; of an hour without points, that of all."""
    hour = np.round(np.arctan2(points[:, 1], points[:, 2]) / (2 * np.pi) * _DAY).astype(np.int64) % _DAY
    every = float(np.quantile(score, 1.0 - STRANGE))
    return [float(np.quantile(score[hour == h], 1.0 - STRANGE)) if (hour == h).any() else every for h in range(_DAY)]


def inside(cells: Cells, low: F64, high: F64) -> float | None:
    """The part of the cells that lie within bounds (keys by hours of the week), of those that have some; None: of none."""
    least, most = low[cells.key, cells.of_week], high[cells.key, cells.of_week]
    known = np.isfinite(least) | np.isfinite(most)
    within = ~(cells.low < least) & ~(cells.high > most)
    return float(within[known].mean()) if known.any() else None


def forest_of(body: Mapping[str, Any]) -> Forest:
    """Out of a model's body."""
    found = body["forest"]
    return Forest(int(found["sample"]), [float(s) for s in found["strange"]], [Tree(**tree) for tree in found["trees"]])


def path_length(points: npt.NDArray[np.int64]) -> F64:
    """The mean depth of an unsuccessful search in a binary tree of so many points (the paper's c)."""
    n = np.maximum(points, 2).astype(np.float64)
    long = 2.0 * (np.log(n - 1.0) + np.euler_gamma) - 2.0 * (n - 1.0) / n
    return np.where(points <= 1, 0.0, np.where(points == 2, 1.0, long))


def _depth(tree: Tree, points: F32) -> F64:
    left, right, feature = (np.asarray(a, np.int64) for a in (tree.left, tree.right, tree.feature))
    threshold, rest = np.asarray(tree.threshold, np.float64), path_length(np.asarray(tree.points, np.int64))
    node, depth, every = np.zeros(len(points), np.int64), np.zeros(len(points)), np.arange(len(points))
    while True:
        inner = feature[node] >= 0
        if not inner.any():
            return depth + rest[node]
        goes_left = points[every, np.maximum(feature[node], 0)] <= threshold[node]
        node = np.where(inner, np.where(goes_left, left[node], right[node]), node)
        depth += inner


def _points(off: F64, hour: npt.NDArray[np.int64]) -> F32:
    angle = 2 * np.pi * (hour % _DAY) / _DAY
    return np.stack([off, np.sin(angle), np.cos(angle)], axis=1).astype(np.float32)


def _edge(score: F64, strange: float, step: float) -> float | None:
    """Where on the way out it becomes strange, or no stranger any more; None: it is so from the beginning."""
    found = int(np.flatnonzero((score > strange) | (score == score[-1]))[0])
    return float(found * step) if found else None
