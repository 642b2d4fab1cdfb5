"""A stored model of an analysis as the first pass uses it: by slot. Runs where the slots are owned."""

from __future__ import annotations

from typing import Final

import msgspec
import numpy as np

from appliance.cold.batch.training.model import Model as Stored
from appliance.cold.batch.training.model import numbers
from appliance.hybrid.analysis.live.watch import Watch
from appliance.hybrid.analysis.numeric.model import HOURS, Model
from appliance.records import fold

BUILT_IN: Final = "built in"


def in_slots(stored: Stored, watch: Watch) -> Model:
    """The rows of the series that the analysis follows just now."""
    keys = {key: {frozenset(tags): n for n, tags in enumerate(f.keys.keys)} for key, f in watch.streams.items()}
    slots: list[int] = []
    rows: list[int] = []
    for row, (stream, column, tags) in enumerate(stored.keys):
        followed = watch.streams.get(fold(stream or ""))
        slots_of = None if followed is None else followed.slots.get(fold(column or ""))
        number = None if followed is None else keys[fold(stream or "")].get(frozenset(msgspec.json.decode(tags or "{}").items()))
        if slots_of is not None and number is not None and number < len(slots_of.slots) and slots_of.slots[number] >= 0:
            slots.append(int(slots_of.slots[number]))
            rows.append(row)
    order = np.argsort(np.asarray(slots, np.int64), kind="stable")
    hours, spreads = (_table(stored, name)[np.asarray(rows, np.int64)[order]] for name in ("hours", "spreads"))
    factors = numbers(stored.body.get("factors", ())).astype(np.float32)
    return Model(
        version=str(stored.version),
        slots=np.asarray(slots, np.int32)[order],
        median=hours,
        spread=spreads,
        factor=factors[np.asarray(rows, np.int64)[order]],
    )


def _table(stored: Stored, name: str) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    return np.asarray([numbers(row) for row in stored.body.get(name, ())], np.float32).reshape(len(stored.keys), HOURS)
