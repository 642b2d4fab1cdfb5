"""Which path each workload of a data folder runs on that no service holds: as it was stored."""

from __future__ import annotations

from pathlib import Path

from appliance.observe.paths import PathsPicture
from appliance.serving.folder import open_folder
from appliance.serving.path_rows import stored_paths


def folder_paths(folder: Path, *, now_us: int) -> PathsPicture:
    """Where everything ran when the service ended, without figures."""
    with open_folder(folder) as (reader, _state):
        return stored_paths(reader, now_us=now_us)
