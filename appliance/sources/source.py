"""What the wiring sees of a source: it starts, it stops, it says how it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from appliance.observe.status import SourceStatus


@dataclass(frozen=True, slots=True)
class Source:
    """Brings records to the door from threads or tasks of its own.

    ``start`` raises ``ConfigRefused`` when it can't be had as configured. ``stop`` takes no more, waits for what is under way, and
    returns when its threads have ended. Either may be a coroutine function; a plain one is called in a thread, since it may block.
    """

    start: Callable[[], Any]
    stop: Callable[[], Any]
    status: Callable[[], tuple[SourceStatus, ...]]
    """How it is; from any thread at any time."""
