"""Alerts of a folder that nobody serves, as they were stored."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from appliance.observe.alerts import AlertsPicture, TransitionRow
from appliance.serving.alert_rows import stored_history, stored_picture
from appliance.serving.folder import open_folder


def folder_picture(folder: Path, *, now_us: int) -> AlertsPicture:
    """``stored_picture`` of a folder that nobody serves. Raises as ``open_folder``."""
    with open_folder(folder) as (reader, _):
        return stored_picture(reader, now_us=now_us)


def folder_history(folder: Path, *, limit: int, rule: str | None = None) -> Sequence[TransitionRow]:
    """``stored_history`` of a folder that nobody serves. Raises as ``open_folder``."""
    with open_folder(folder) as (reader, _):
        return stored_history(reader, limit=limit, rule=rule)
