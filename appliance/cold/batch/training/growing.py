"""Grows an isolation forest, as a process of its own: the one place that knows scikit-learn, which the extra ``training`` brings.

``main`` reads points as the bytes of a float32 array from stdin and prints ``Grown`` as JSON. The same points give the same forest.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from typing import Any

import msgspec
import numpy as np
from sklearn.ensemble import IsolationForest

from appliance.cold.batch.training.forest import F32, FEATURES, POINTS_A_TREE, TREES, Forest, Tree, bounds_of, strange_above


@dataclass(frozen=True, slots=True)
class Grown:
    """Part of a model's body."""

    forest: Forest
    low: list[float | None]
    high: list[float | None]


def main() -> None:
    """See the module."""
    points = np.frombuffer(sys.stdin.buffer.read(), np.float32).reshape(-1, FEATURES)
    sys.stdout.buffer.write(msgspec.json.encode(grow(points)))


def grow(points: F32) -> Grown:
    """At least ``POINTS_A_TREE`` points."""
    made = IsolationForest(n_estimators=TREES, max_samples=POINTS_A_TREE, random_state=1).fit(points)
    trees = [_tree(each.tree_) for each in made.estimators_]
    forest = Forest(POINTS_A_TREE, (), trees)
    forest = replace(forest, strange=strange_above(forest.score(points), points))
    return Grown(forest, *bounds_of(forest))


def _tree(tree: Any) -> Tree:
    return Tree(
        left=tree.children_left.tolist(),
        right=tree.children_right.tolist(),
        feature=np.maximum(tree.feature, -1).tolist(),
        threshold=[float(t) for t in tree.threshold],
        points=tree.n_node_samples.tolist(),
    )
