"""Into which messages parcels go: a pure function of the parcels and of what waits in the outbox.

One message for each channel and group gathers until it is handed over. Everything said of one alert to one channel stays in order:
an item goes into the newest message of its group or a later one, but for the end of a fire that nobody has got yet.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from appliance.hot.alerts.dispatch import Parcel
from appliance.hot.alerts.values import Ident, Item, Tells

Fire = tuple[Ident, int]
"""An alert and the number of one of its fires."""


@dataclass(frozen=True, slots=True)
class Open:
    """A message of a channel and a group that has not been handed over."""

    id: int
    due_us: int
    attempts: int
    """Above 0 it has failed; from then on only the ends of what it tells of join it."""
    fires: frozenset[Fire] = frozenset()
    """Fires that it tells of; only those that matter to the parcels at hand need to be there."""


@dataclass(slots=True)
class Placement:
    """Items for one message."""

    channel: str
    group: str
    message_id: int | None
    """The message that they join; None: a new one."""
    due_us: int
    items: list[Item] = field(default_factory=list)


def fire_of(item: Item) -> Fire:
    """The fire that an item is about."""
    return (item.rule, item.key), item.fire


def place(parcels: Sequence[Parcel], waiting: Mapping[tuple[str, str], Sequence[Open]]) -> list[Placement]:
    """Where each parcel goes. ``waiting`` is by channel and group, each in the order of their ids.

    The end of a fire joins the message that tells of the fire and is still there; a repeat of a fire that still waits to be told is
    left out. Everything else joins the newest message of its group unless that has failed before; a message is due when its most
    urgent item is.
    """
    placements: dict[tuple[str, str, int | None], Placement] = {}
    for parcel in parcels:
        messages = waiting.get((parcel.channel, parcel.group), ())
        about = [m for m in messages if fire_of(parcel.item) in m.fires]
        if parcel.item.tells is Tells.REPEAT and about:
            continue
        target = _target(parcel, messages, about, placements)
        due_us = parcel.due_us if target is None or target.attempts else min(target.due_us, parcel.due_us)
        if target is not None and target.attempts:
            due_us = target.due_us
        place_id = None if target is None else target.id
        found = placements.setdefault((parcel.channel, parcel.group, place_id), Placement(parcel.channel, parcel.group, place_id, due_us))
        found.due_us = min(found.due_us, due_us)
        found.items.append(parcel.item)
    return list(placements.values())


def _target(
    parcel: Parcel, messages: Sequence[Open], about: Sequence[Open], placements: Mapping[tuple[str, str, int | None], Placement]
) -> Open | None:
    if parcel.item.tells is Tells.RESOLVED and about:
        return about[-1]
    if (parcel.channel, parcel.group, None) in placements or not messages or messages[-1].attempts:
        return None
    return messages[-1]
