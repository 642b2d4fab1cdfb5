"""The one line that a message begins with, and the words that it shares with the bodies. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

from appliance.hot.alerts.values import Item, Message, Tells
from appliance.notify.channel import one_line
from appliance.workload_options import SEVERITIES

TITLE_CHARACTERS_MAX: Final = 200
ITEMS_LISTED_MAX: Final = 100
"""Alerts that a message lists; of further ones it says how many there are."""


def title_of(message: Message) -> str:
    """``[critical] overheating: d1 at 83.2 °C``, ``[resolved] …``, or for several alerts ``[firing 12, resolved 3] group``.

    A note's title stands for itself.
    """
    if len(message.items) == 1 and not others_of(message):
        item = message.items[0]
        if item.tells is Tells.NOTE:
            return one_line(item.summary, TITLE_CHARACTERS_MAX)
        return one_line(f"[{_tag(item)}] {headline(item)}", TITLE_CHARACTERS_MAX)
    counts = Counter(state_of(item) for item in message.items)
    counts["firing"] += _unlisted_by_maker(message)
    said = ", ".join(f"{state} {counts[state]}" for state in ("firing", "resolved", "flapping", "note") if counts[state])
    return one_line(f"[{said or 'nothing'}] {message.group}", TITLE_CHARACTERS_MAX)


def headline(item: Item) -> str:
    """The rule and its summary; the rule alone where the summary says it already, or nothing."""
    summary = one_line(item.summary, TITLE_CHARACTERS_MAX)
    if not summary:
        names = ", ".join(part for part in item.key if part)
        return f"{item.rule}: {names}" if names else item.rule
    return summary if summary.startswith(item.rule) else f"{item.rule}: {summary}"


def state_of(item: Item) -> str:
    """``firing``, ``resolved``, ``flapping`` or ``note``."""
    if item.tells in (Tells.RESOLVED, Tells.NOTE):
        return str(item.tells)
    return "flapping" if item.tells is Tells.FLAPPING else "firing"


def state_of_all(message: Message) -> str:
    """``resolved`` when every alert of the message is, ``note`` when it is about none, else ``firing``."""
    if message.items and all(item.tells is Tells.NOTE for item in message.items):
        return "note"
    return "resolved" if all(item.tells is Tells.RESOLVED for item in message.items) else "firing"


def severity_of_all(message: Message) -> str:
    """The gravest of what is not resolved; of all when everything is."""
    going_on = [item for item in message.items if item.tells is not Tells.RESOLVED]
    return max((item.severity for item in going_on or message.items), key=rank, default="info")


def rank(severity: str) -> int:
    """The higher, the graver; -1 for a word that is no severity."""
    return SEVERITIES.index(severity) if severity in SEVERITIES else -1


def listed(message: Message) -> Sequence[Item]:
    """The alerts that the message lists, at most ``ITEMS_LISTED_MAX``: what goes on and is grave before the rest, else as they came."""
    if len(message.items) <= ITEMS_LISTED_MAX:
        return message.items
    by_weight = sorted(message.items, key=lambda item: (item.tells is Tells.RESOLVED, -rank(item.severity)))
    return by_weight[:ITEMS_LISTED_MAX]


def others_of(message: Message) -> int:
    """How many alerts the message is about that it doesn't list."""
    return max(0, len(message.items) - ITEMS_LISTED_MAX) + _unlisted_by_maker(message)


def _unlisted_by_maker(message: Message) -> int:
    """What whoever made the message has already left out."""
    return int(getattr(message, "others", 0))


def _tag(item: Item) -> str:
    if item.tells is Tells.RESOLVED:
        return "resolved"
    if item.tells is Tells.FLAPPING:
        return f"{item.severity}, flapping"
    if item.tells is Tells.REPEAT:
        return f"{item.severity}, still firing"
    if item.tells is Tells.REVISED:
        return f"{item.severity}, revised"
    return f"{item.severity}, not acknowledged" if item.tells is Tells.ESCALATED else item.severity
