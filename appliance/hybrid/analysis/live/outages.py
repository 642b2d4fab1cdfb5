"""Whole streams of which nothing comes any more, by the monotonic clock of the box: event time stands still then. Owned by the follower.

All that fall silent together are one sighting. A time in which the box was off, or the analysis rested, is no silence of theirs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec
import numpy as np

from appliance.hot.state import State
from appliance.hybrid.analysis.live.followed import Followed
from appliance.hybrid.analysis.live.presence import Presence, Silence
from appliance.hybrid.analysis.live.sightings import silent_streams
from appliance.hybrid.analysis.sighting import Sighting

KNOWN_S: Final = 600
"""A stream must have been known for so long."""
JUMP_S_MAX: Final = 5
"""Between two looks: in more than that nobody has listened."""
_NS: Final = 1_000_000_000


class _Stored(msgspec.Struct, frozen=True):
    ids: list[int]
    presence: bytes


class Outages:
    """See the module."""

    def __init__(self) -> None:
        self.presence = Presence(known_min=KNOWN_S, jump_max=JUMP_S_MAX)
        self._things: dict[int, int] = {}
        """Id of each stream -> its number."""
        self._seqs: dict[int, int] = {}
        """Id of each stream -> its newest sequence at the last look."""

    def look(self, workload: str, state: State, streams: Mapping[str, Followed], *, now_ns: int) -> list[Sighting]:
        """Once a round; ``streams`` by folded name."""
        heard: list[int] = []
        for key, followed in streams.items():
            stream = state.streams.get(key)
            if stream is None:
                continue
            before = self._seqs.get(followed.id)
            if before != stream.last_seq:
                self._seqs[followed.id] = stream.last_seq
                if before is not None:
                    heard.append(self._things.setdefault(followed.id, len(self._things)))
        tick = now_ns // _NS
        self.presence.grow(len(self._things))
        found = self.presence.pass_by(tick)
        if heard:
            found += self.presence.hear(np.full(len(heard), tick, np.int64), np.asarray(heard, np.int64))
        return [s for silence in found if (s := self._sighting(workload, streams, silence)) is not None] if found else []

    def _sighting(self, workload: str, streams: Mapping[str, Followed], silence: Silence) -> Sighting | None:
        followed = {self._things[f.id]: f for f in streams.values() if f.id in self._things}
        silent = [followed[i] for i in silence.things if i in followed]
        return silent_streams(workload, silent, silence) if silent else None

    def dump(self) -> bytes:
        """All that is known."""
        return msgspec.msgpack.encode(_Stored(list(self._things), self.presence.dump()))

    def load(self, dumped: bytes) -> None:
        """What ``dump`` gave; nothing of b"". Nobody has listened since."""
        if dumped:
            stored = msgspec.msgpack.decode(dumped, type=_Stored)
            self._things = {stream: thing for thing, stream in enumerate(stored.ids)}
            self.presence.load(stored.presence)
            self.presence.begin_again()
