"""Rolls and compactions as rows of the queue: they run by themselves, and are shown beside what waits in it."""

from __future__ import annotations

from appliance.observe.jobs import RunRow
from appliance.roll.keeper import KeeperStatus


def under_way(status: KeeperStatus) -> tuple[RunRow, ...]:
    """What the housekeeper is doing just now."""
    if status.compacting is None:
        return ()
    return (
        RunRow(
            id=0, name=status.compacting, kind="compaction", reason="housekeeping", state="running", due_us=0, queued_us=0, priority="low"
        ),
    )
