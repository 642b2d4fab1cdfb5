"""The forecast of the disk for a box: what its streams have added, what they may keep, and what room there is. No I/O."""

from __future__ import annotations

from collections.abc import Mapping

from appliance.cold.retention.forecast import Forecast, forecast_of
from appliance.config import Config
from appliance.hot.state import State
from appliance.records import fold


def ahead_of(state: State, config: Config | None, *, room_bytes: int, now_us: int, beside: Mapping[str, int]) -> Forecast:
    """``room_bytes`` are free on the disk, of which the door leaves some; ``config`` is None where a folder is read without one;
    ``beside`` are bytes that lie beside a segment (its search index), by its path."""
    own = {} if config is None else {fold(name): options.keep_s for name, options in config.streams.items()}
    default = None if config is None else config.retention.keep_s
    keep = {key: default if own.get(key) is None else own[key] for key in state.streams}
    return forecast_of(
        {s.name: (s.segments, keep[key]) for key, s in state.streams.items()},
        room_bytes=room_bytes - (0 if config is None else config.limits.disk_free_min),
        disk_bytes_max=None if config is None else config.retention.disk_bytes_max,
        now_us=now_us,
        beside=beside,
    )
