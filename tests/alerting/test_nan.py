"""NaN and infinities, as a CSV file may hold them, are no values: conditions and windows skip them like null."""

from __future__ import annotations

import math
from typing import Any

import pytest

from tests.alerting.hooks_rows import happened, rehearsed

WINDOW = {"over_s": 10.0, "every_s": 1.0}


@pytest.mark.parametrize("nothing", [math.nan, math.inf, -math.inf, None])
@pytest.mark.parametrize(
    "rule",
    [
        {"when": "t > 80"},
        {"when": "not t <= 80"},
        {"when": "t != 20"},
        {"when": "delta(t) > 10"},
        {"when": "avg(t) > 80", **WINDOW},
        {"when": "max(t) != 20", **WINDOW},
        {"when": "median(t) > 80", **WINDOW},
        {"when": "last(t) > 80", **WINDOW},
        {"when": "count(t) > 2", **WINDOW},
    ],
    ids=lambda r: r["when"],
)
def test_what_is_no_number_neither_fires_nor_resolves(rule: dict[str, Any], nothing: float | None) -> None:
    quiet = rehearsed(rule, [(0.0, "a", 20.0), (1.0, "a", nothing), (2.0, "a", nothing), (3.0, "a", 20.0)], cuts=[2])
    assert happened(quiet, "a") == []
    loud = rehearsed(rule, [(0.0, "a", 20.0), (0.2, "a", nothing), (0.4, "a", 300.0), (0.6, "a", nothing), (0.8, "a", 700.0)], cuts=[1, 3])
    assert loud.firing == 1
