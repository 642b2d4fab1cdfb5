"""One rule of free SQL: what it asks, and what it said last."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from appliance.hot.stream.values import Key, Scalar
from appliance.observe.cost import CostMeter


@dataclass(slots=True)
class SqlRule:
    """One rule of free SQL and what it said last."""

    name: str
    sql: str
    every_s: float
    time_max_s: float
    by: tuple[str, ...] = ()
    cost: CostMeter = field(default_factory=CostMeter)
    firing: dict[Key, Mapping[str, Scalar]] = field(default_factory=dict)
    """What the newest answer had, by key."""
    reason: str = ""
    """Why the newest question could not be answered."""
    is_asked: bool = False
    """Whether there has been a question yet."""
