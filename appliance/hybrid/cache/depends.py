"""What an answer depended on: names and what they stood for, streams with the ranges that were read of each side, views. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from appliance.derived import ViewVersion
from appliance.hot.state import State
from appliance.hybrid.cache.changes import Changes, bounds
from appliance.records import EVERYTHING, TimeRange, fold
from appliance.serving.running import Basis
from appliance.serving.snapshot import NOTHING
from appliance.serving.view_pins import ViewPin
from appliance.spans import FIRST, LAST, ceil_to, floor_to

LATEST: Final = "latest"
SIDES: Final[Mapping[str, str]] = {"_hot": "hot", "_cold": "cold", "_latest": LATEST}
Meaning = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class OnStream:
    """What was read of one stream; of an empty range still its columns."""

    stream: str
    """Folded name."""
    span: TimeRange
    side: str
    """``merged``, ``hot``, ``cold`` or ``latest``."""

    def is_touched(self, changes: Changes) -> bool:
        """Whether what has changed may have changed the answer. Last values go by all that is said about their stream."""
        return self.side == LATEST or changes.touch(self.span, side=self.side)


@dataclass(frozen=True, slots=True)
class Depends:
    """See the module."""

    streams: tuple[OnStream, ...]
    names: tuple[tuple[str, Meaning], ...]

    def holds(self, state: State, own: Collection[str]) -> bool:
        """Whether every name still stands for what it did, and views show what they did where no record says more."""
        return all(meaning_of(state, name, own) == meaning for name, meaning in self.names)


def depends_of(basis: Basis, own: Collection[str]) -> Depends | None:
    """What an answer depended on; None where that can't be followed: the appliance's own tables (``own``), panels, tables of jobs."""
    if basis.tables:
        return None
    state, names, streams = basis.state, [], []
    for name in basis.names:
        meaning = meaning_of(state, name, own)
        if meaning is None:
            return None
        names.append((name, meaning))
        streams.append(OnStream(meaning[1], NOTHING, "merged"))
    for want in basis.wanted:
        if want.latest:
            streams.append(OnStream(want.stream, EVERYTHING, LATEST))
        if want.hot or want.cold:
            side = "merged" if want.hot and want.cold else "hot" if want.hot else "cold"
            # both sides together may hide that one of them was asked for alone
            streams += [OnStream(want.stream, want.span, s) for s in ((side,) if want.together or side != "merged" else ("hot", "cold"))]
    streams += [_records_of(pin, TimeRange(want.since_us, want.until_us)) for want, pin in basis.views]
    return Depends(tuple(dict.fromkeys(streams)), tuple(names))


def meaning_of(state: State, name: str, own: Collection[str]) -> Meaning | None:
    """What a name stands for, the same as long as nothing but records changes; None: nothing that can be followed."""
    key = fold(name)
    if key in own:
        return None
    plain, at, number = key.rpartition("@")
    view = state.views.get(key) or (state.views.get(plain) if at and number.isdigit() else None)
    if view is not None:
        version = view.active if key in state.views else view.version(int(number))
        return None if version is None else ("view", version.stream, *_of_version(state, version))
    if key in state.streams:
        return "stream", key
    for suffix, side in SIDES.items():
        if key.endswith(suffix) and key[: -len(suffix)] in state.streams:
            return side, key[: -len(suffix)]
    return None


def _of_version(state: State, version: ViewVersion) -> Meaning:
    """What of a view its records don't say: its definition, and what is kept of records that are gone."""
    sealed = tuple(f.path for f in version.files if f.low < version.used.sealed_us)
    below: Iterable[Meaning] = (
        _of_version(state, v.active) for d in version.chain[:1] if (v := state.views.get(fold(d.name))) is not None and v.active is not None
    )
    return version.id, version.number, version.used.sealed_us, version.begin_us, sealed, tuple(below)


def _records_of(pin: ViewPin, span: TimeRange) -> OnStream:
    """The records behind some buckets of a view, or of the records that it stands in for."""
    low, high = bounds(span)
    low, high = floor_to(low, pin.width_us), ceil_to(high, pin.width_us)
    return OnStream(pin.stream, TimeRange(None if low == FIRST else low, None if high == LAST else high), "merged")
