"""A model in use as bytes, stored with what was learned: after a kill records are scored again with the model that they had."""

from __future__ import annotations

import msgspec
import numpy as np

from appliance.hybrid.analysis.numeric.model import HOURS, Model


class _Stored(msgspec.Struct, frozen=True, array_like=True):
    version: str
    slots: bytes
    median: bytes
    spread: bytes
    factor: bytes


def packed(model: Model) -> bytes:
    """All of it."""
    parts = (model.slots.astype(np.int32), *(a.astype(np.float32) for a in (model.median, model.spread, model.factor)))
    return msgspec.msgpack.encode(_Stored(model.version, *(part.tobytes() for part in parts)))


def unpacked(body: bytes) -> Model:
    """What ``packed`` gave. Raises ``msgspec.DecodeError``, or ``ValueError`` where its arrays don't fit."""
    stored = msgspec.msgpack.decode(body, type=_Stored)
    median, spread = (np.frombuffer(table, np.float32).reshape(-1, HOURS) for table in (stored.median, stored.spread))
    return Model(stored.version, np.frombuffer(stored.slots, np.int32), median, spread, np.frombuffer(stored.factor, np.float32))
