"""Carries out a plan of retention: one transaction a removal, files afterwards by the janitor. In the housekeeper's thread."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from appliance.box import Box
from appliance.cold.beside import bytes_beside, hot_bytes
from appliance.cold.retention.plan import Hold, RetentionPlan, Times, plan_retention
from appliance.door.lake_commits import commit_retention
from appliance.hot.reader import HotReader
from appliance.hot.state import State
from appliance.records import fold

log = logging.getLogger(__name__)
Holds = Callable[[], Mapping[str, Sequence[Hold]]]
"""Folded name of each stream that something still needs -> from which event time on, and what needs it."""


def expire(box: Box, reader: HotReader, *, holds: Holds, other_bytes: Callable[[], int]) -> RetentionPlan:
    """Plans and removes; what was planned, with what should go and can't."""
    config = box.config
    if (
        config.retention.keep_s is None
        and config.retention.disk_bytes_max is None
        and all(s.keep_s is None for s in config.streams.values())
    ):
        return RetentionPlan()
    needed = holds()  # before the picture: what begins to need a day afterwards finds it gone, or holds it the next time
    state = box.state
    plan = plan_retention(
        state.streams.values(),
        options=config.retention,
        of_streams={fold(name): options for name, options in config.streams.items()},
        hot=hot_times(reader, state),
        holds=needed,
        beside=bytes_beside(box.folder, state.streams.values()),
        other_bytes=other_bytes() + hot_bytes(box.folder),
        now_us=box.clock.now_us(),
    )
    for removal in plan.removals:
        done = box.writer.call(partial(commit_retention, key=fold(removal.stream), segments=removal.segments, why=removal.why)).result()
        if done:
            log.info("removed %s", removal)
    return plan


def needed_by_views(state: State) -> Mapping[str, Sequence[Hold]]:
    """What views have yet to be made of: what they have not used yet, and what is dirty."""
    found: dict[str, list[Hold]] = {}
    for used in state.used.values():
        if used.kind == "view":
            found.setdefault(used.stream, []).append((used.needed_us, f"the view {used.name}"))
    return found


def hot_times(reader: HotReader, state: State) -> dict[str, list[Times]]:
    """The times of the batches that are not in the lake, of all streams; batches that rolled since ``state`` only hold more days."""
    found: dict[str, list[Times]] = {}
    names = {s.id: key for key, s in state.streams.items()}
    for stream_id, low, high in reader.cursor("SELECT stream_id, ts_min, ts_max FROM batch"):
        found.setdefault(names.get(stream_id, ""), []).append((low, high))
    return found
