"""A stored model of an analysis as the first pass uses it: by slot. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec
import numpy as np

from appliance.cold.batch.training.model import Model as Stored
from appliance.cold.batch.training.model import numbers
from appliance.hybrid.analysis.numeric.model import HOURS, Model
from appliance.records import fold

BUILT_IN: Final = "built in"
Series = tuple[str, str, frozenset[tuple[str, str | None]]]


def in_slots(stored: Stored, slot_of: Mapping[Series, int]) -> Model:
    """The rows of the series that have a slot: by folded name of stream and field, and tags that are not null."""
    slots: list[int] = []
    rows: list[int] = []
    for row, (stream, column, tags) in enumerate(stored.keys):
        slot = slot_of.get((fold(stream or ""), fold(column or ""), frozenset(msgspec.json.decode(tags or "{}").items())))
        if slot is not None and slot >= 0:
            slots.append(slot)
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
