"""At start: the lake's folder is brought to agree with the manifest before anything is served.

Temporary files and orphans of a roll that was not committed go. An orphan with sequences that the hot store has never heard of
is something else: the store has lost its newest commits (a WAL that was deleted or damaged), so the file is set aside, whole, and said.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Final

from appliance.box import Box
from appliance.cold import lake
from appliance.cold.segments import read_facts
from appliance.errors import StoreDamaged
from appliance.manifest import Segment
from appliance.observe.status import Problem
from appliance.records import fold

log = logging.getLogger(__name__)
DEEP_BYTES_MAX: Final = 64 * 1024 * 1024
"""After an unclean end the newest segments are hashed, as many as a small box reads within a second."""


def check_lake(box: Box) -> list[Problem]:
    """Cleans, checks and sets aside; returns what a person should know. Before the door opens and the housekeeper starts."""
    reader = box.reader()
    try:
        replaced = {segment.path for segment, _ in reader.replaced()}
    finally:
        reader.close()
    known = {s.path for state in box.state.streams.values() for s in (*state.segments, *state.lost)} | replaced
    problems = _rescue(box, known)
    cleaned = lake.clean(box.folder, known)
    if cleaned.temporary or cleaned.orphans:
        log.info("removed %d temporary files and %d orphans, %d bytes", len(cleaned.temporary), len(cleaned.orphans), cleaned.bytes)
    problems += [Problem("WARN", f"not the appliance's, left alone: {path}", 0, "remove it from the lake") for path in cleaned.left[:3]]
    segments = [s for state in box.state.streams.values() for s in state.segments]
    plan = lake.plan_check(segments, clean_stop=box.was_clean, deep_bytes_max=DEEP_BYTES_MAX)
    for damage in lake.check(box.folder, plan):
        put_aside(box, damage)
    return problems


def put_aside(box: Box, damage: lake.Damage) -> None:
    """Takes a damaged or missing segment out of the live set and keeps its file; the box serves the rest."""
    log.error("set aside: %s", damage)
    state = "missing" if damage.reason == "is missing" else "damaged"
    segment = damage.segment
    box.set_aside(fold(segment.stream), segment, state=state, reason=damage.reason)
    lake.set_aside(box.folder, damage)


def _rescue(box: Box, known: set[str]) -> list[Problem]:
    problems = []
    for path in unknown_segments(box.folder, known):
        try:
            facts = read_facts(box.folder / path)
        except StoreDamaged:
            continue  # no records can be had from it; what a roll or compaction was about to write is still where it came from
        state = box.state.get(facts.stream)
        if state is not None and facts.last <= state.last_seq:
            continue
        stranger = Segment(0, facts.stream, 0, path, facts.first, facts.last, 0, 0, 0, 0, "", facts.schema.version, 0)
        moved = lake.set_aside(box.folder, lake.Damage(stranger, "is not in the manifest"))
        rows = f"sequences {facts.first} to {facts.last} of stream {facts.stream}"
        what = f"the hot store has lost commits: {path} holds {rows} that it does not know"
        log.error("%s; set aside as %s", what, moved.moved_to)
        problems.append(Problem("CRIT", what, 0, f"load it again with: appliance ingest {moved.moved_to} --stream {facts.stream}"))
    return problems


def unknown_segments(folder: Path, known: set[str]) -> list[str]:
    """Parquet files of the lake that ``known`` doesn't name."""
    return [path for path in lake.files(folder) if path.endswith(".parquet") and path not in known]
