"""What a channel is: one bounded attempt to hand a message over, and the two ways in which it ends."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Final

from appliance.errors import ApplianceError, ConfigRefused
from appliance.hot.alerts.values import Message
from appliance.workload_options import NotifyOptions

SAID_CHARACTERS_MAX: Final = 300
"""What the other side said is kept up to here."""
ANSWER_BYTES_MAX: Final = 4096
"""Bytes that are read of an answer; what follows is not."""
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")


@dataclass(frozen=True, slots=True)
class Delivery:
    """The other side has the message."""

    said: str
    """One line that says what it answered; never empty."""


class Undelivered(ApplianceError):
    """The message was not handed over, as far as is known: with a time-out the other side may have it all the same."""

    def __init__(self, reason: str, *, retry: bool, after_s: float | None = None, answered: bool = False) -> None:
        """``retry``: whether the same may work later; ``after_s``: not before that, when the other side said so; ``answered``:
        the other side itself refused (it is there, and this attempt counts towards its rate)."""
        super().__init__(reason)
        self.reason = reason
        self.retry = retry
        self.after_s = after_s
        self.answered = answered


@dataclass(frozen=True, slots=True)
class Sender:
    """Who speaks: stands in every message."""

    node: str
    channel: str


class Channel(ABC):
    """Where messages go. Safe to be used by several threads at once."""

    def __init__(self, sender: Sender, options: NotifyOptions, shown: str) -> None:
        """``shown``: the URL for people, without passwords and paths."""
        self.name = sender.channel
        self.sender = sender
        self.options = options
        self.shown = shown

    @abstractmethod
    def send(self, message: Message, *, timeout_s: float) -> Delivery:
        """One attempt, which ends within about ``timeout_s``. Raises ``Undelivered``."""

    def close(self) -> None:  # noqa: B027 - most have nothing to let go of
        """End what is under way in other threads as far as that can be done, and let go of what is held. The channel may be used again."""


def refused(name: str, reason: str) -> ConfigRefused:
    """The URL of channel ``name`` can't be used. ``reason`` holds nothing of the URL that could be secret."""
    key = f"notify.{name}.url"
    return ConfigRefused(f"{key} {reason}", key=key)


def one_line(text: str, characters_max: int = SAID_CHARACTERS_MAX) -> str:
    """A foreign text as one harmless line: control characters become blanks, what is too long is cut with "…"."""
    line = _CONTROL.sub(" ", text).strip()
    return line if len(line) <= characters_max else line[: characters_max - 1] + "…"
