"""Several waiting messages of one group as one. Pure.

What of an alert was never told and is over is told once, as resolved with the time at which it fired; of what goes on only the
beginning is told, not how often it would have been repeated meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from appliance.hot.alerts.values import Item, Message, Tells
from appliance.hot.stream.values import Key

_Fire = tuple[str, Key, int]


def fire_of(item: Item) -> _Fire:
    """The name of one fire of one alert."""
    return item.rule, item.key, item.fire


def folded(items: Iterable[Item]) -> tuple[Item, ...]:
    """The steps that still have to be told, in their order."""
    found: list[Item | None] = []
    places: dict[_Fire, list[int]] = {}
    for item in items:
        mine = places.setdefault(fire_of(item), [])
        before = [one for place in mine if (one := found[place]) is not None]
        if item.tells is Tells.RESOLVED:
            for place in mine:
                found[place] = None
            item = _with_beginning(item, before)
            mine.clear()
        elif item.tells is Tells.REPEAT and any(one.tells in (Tells.FIRING, Tells.REPEAT, Tells.ESCALATED) for one in before):
            continue
        mine.append(len(found))
        found.append(item)
    return tuple(item for item in found if item is not None)


def combined(messages: Sequence[Message]) -> Message:
    """One message out of at least one of the same channel and group; with the id of the first."""
    first = messages[0]
    items = folded(item for message in messages for item in message.items)
    more: dict[str, Any] = {}
    others = sum(int(getattr(message, "others", 0)) for message in messages)
    if others:
        more["others"] = others
    return first if len(messages) == 1 and items == first.items else replace(first, items=items, **more)


def is_over(message: Message, later: Iterable[Message]) -> bool:
    """Whether all that ``message`` tells as going on has been resolved in ``later``."""
    ended = {fire_of(item) for one in later for item in one.items if item.tells is Tells.RESOLVED}
    return all(item.tells is not Tells.RESOLVED and fire_of(item) in ended for item in message.items)


def _with_beginning(item: Item, before: Sequence[Item]) -> Item:
    """A resolved step that says since when it fired, as far as the steps that it stands for say."""
    if item.fired_us is not None or not before:
        return item
    first = before[0]
    return replace(item, fired_us=first.at_us if first.fired_us is None else first.fired_us)
