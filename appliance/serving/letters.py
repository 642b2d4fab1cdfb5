"""Replaying dead letters on an open box: the way of a letter from the store through its codec to the door."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from appliance.box import Box
from appliance.clock import Clock
from appliance.door.deadletters import letters, replay
from appliance.records import Schema
from appliance.sources.replay import parse_letter

LETTERS_MAX = 100_000
"""Of one call; say it again for more."""


def replay_letters(box: Box, *, ids: Sequence[int], stream: str | None, clock: Clock) -> dict[str, Any]:
    """``{"taken": n, "refused": [[id, reason], …]}``; without ids and stream all letters. Blocks until all are committed or refused."""
    reader = box.reader()
    try:
        found = list(letters(reader, stream=stream, ids=ids, limit=LETTERS_MAX))
    finally:
        reader.close()
    done = replay(
        found,
        parse=lambda letter: parse_letter(
            letter, clock=clock, tags=box.config.stream(letter.stream or "").tags, schema=_schema(box, letter.stream)
        ),
        submit=box.door.submit_blocking,
    )
    return {"taken": done.taken, "refused": [list(r) for r in done.refused]}


def _schema(box: Box, stream: str | None) -> Schema | None:
    state = box.state.get(stream) if stream is not None else None
    return None if state is None else state.schema
