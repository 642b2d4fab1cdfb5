"""Sightings of numbers and of silences, made out of what was found. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from appliance.clock import US_PER_S
from appliance.hybrid.analysis.incidents.opening import SURPRISE_MAX
from appliance.hybrid.analysis.live.followed import Followed, Values
from appliance.hybrid.analysis.live.presence import Silence
from appliance.hybrid.analysis.live.times import WEEK_US, SlotTimes
from appliance.hybrid.analysis.numeric.scored import Scored
from appliance.hybrid.analysis.phrases import span
from appliance.hybrid.analysis.sighting import Sighting

SILENT_FROM: Final = 4.0
"""How surprising a silence is when it becomes one, in powers of ten of rarity; twice as long, ``SILENT_MORE`` more."""
SILENT_MORE: Final = 2.0
NAMED: Final = 5
A_SECOND: Final = "as a rate a second: "


@dataclass(frozen=True, slots=True)
class Found:
    """What is said of an unusual number."""

    reason: str
    is_rate: bool
    """Whether what was scored is the rate of a counter."""
    records: int
    """For so many it stands."""


def number(
    workload: str, followed: Followed, part: Values, at: int, scored: Scored, place: int, found: Found, times: SlotTimes
) -> Sighting:
    """Value ``at`` of a part, which is ``place`` of what was scored."""
    expected, slot, ts_us = float(scored.expected[place]), int(part.slots[at]), int(part.ts_us[at])
    return Sighting(
        workload=workload,
        stream=followed.name,
        column=followed.names[part.columns[at]],
        key=followed.keys.keys[part.keys[at]],
        template=None,
        kind="rate" if found.is_rate else "value",
        ts_us=ts_us,
        seq=int(part.seqs[at]),
        score=float(scored.score[place]),
        value=float(scored.values[place]),
        expected=None if np.isnan(expected) else expected,
        reason=A_SECOND + found.reason if found.is_rate else found.reason,
        learned=times.learned(slot, ts_us),
        step_us=times.step_us(scored.slots, scored.ts_us, place),
        records=found.records,
        spreads=_spreads(scored, place),
    )


def silent_series(workload: str, followed: Followed, silence: Silence) -> Sighting:
    """Sets of tags of a stream that goes on: of more than one, about the stream."""
    keys = [followed.keys.keys[i] for i in silence.things]
    words = _words(silence)
    if len(keys) > 1:
        words = f"{len(keys)} of {silence.of} series are {words}"
    key = keys[0] if len(keys) == 1 else ()
    ts_us = (silence.tick + 1) * US_PER_S
    return _silent(workload, followed, silence, key, words, ts_us)


def silent_streams(workload: str, streams: Sequence[Followed], silence: Silence) -> Sighting:
    """Whole streams of which nothing comes, by the clock of the box: one sighting, about the first. ``streams``: those of
    ``silence.things``, in that order."""
    words = _words(silence)
    others = [s.name for s in streams[1:]]
    if others:
        named = ", ".join(others[:NAMED]) + (f" and {len(others) - NAMED} more" if len(others) > NAMED else "")
        words += f"; so {'is' if len(others) == 1 else 'are'} {named}"
    ts_us = streams[0].newest_us + silence.silent * US_PER_S
    return _silent(workload, streams[0], silence, (), words, ts_us)


def _silent(
    workload: str, followed: Followed, silence: Silence, key: tuple[tuple[str, str | None], ...], words: str, ts_us: int
) -> Sighting:
    rare = min(SURPRISE_MAX, SILENT_FROM + SILENT_MORE * max(0.0, float(np.log2(silence.silent / silence.after))))
    return Sighting(
        workload=workload,
        stream=followed.name,
        column="",
        key=key,
        template=None,
        kind="silence",
        ts_us=ts_us,
        seq=followed.seq,
        score=1.0 - 10.0**-rare,
        value=None,
        expected=None,
        reason=words,
        learned=min(1.0, silence.known * US_PER_S / WEEK_US),
        step_us=silence.again * US_PER_S,
    )


def _words(silence: Silence) -> str:
    return f"silent for {span(silence.silent * US_PER_S)}, usually every {span(max(1, round(silence.usual)) * US_PER_S)}"


def _spreads(scored: Scored, place: int) -> float | None:
    far = abs(float(scored.values[place]) - float(scored.expected[place]))
    spread = float(scored.spread[place])
    return far / spread if np.isfinite(far) and np.isfinite(spread) and spread > 0 else None
