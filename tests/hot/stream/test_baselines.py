"""What a model says of a key and an hour, and the bounds that some models have."""

from __future__ import annotations

import numpy as np
import pytest

from appliance.clock import US_PER_S
from appliance.hot.stream.baselines import HOURS, Baseline, Baselines

NAME = ("power", ("device",), "watts")
MONDAY_ONE_US = (4 * 24 + 1) * 3_600 * US_PER_S
HOUR = np.arange(HOURS, dtype=np.float64)[None, :]


def said(baseline: Baseline, function: str, keys: list[str]) -> list[float | None]:
    found = Baselines({NAME: baseline})
    ids = np.arange(len(keys))
    vector = found.look(NAME, ids, np.full(len(keys), MONDAY_ONE_US), lambda i: (keys[i],), {}, function=function)
    return [float(v) if ok else None for v, ok in zip(vector.values, vector.valid, strict=True)]


@pytest.mark.parametrize(("function", "value"), [("baseline", 1.0), ("baseline_low", -9.0), ("baseline_high", 11.0)])
def test_each_function_gives_its_own_side_and_null_for_a_key_that_is_not_known(function: str, value: float) -> None:
    bounded = Baseline({("d1",): 0}, HOUR, 0, HOUR - 10, HOUR + 10)
    assert said(bounded, function, ["d1", "d2"]) == [value, None]
    assert said(Baseline({("d1",): 0}, HOUR), function, ["d1"]) == [value if function == "baseline" else None]
