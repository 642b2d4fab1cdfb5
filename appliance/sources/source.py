"""What the wiring sees of a source: it starts, it stops, it says how it is."""

from __future__ import annotations

from typing import Protocol

from appliance.observe.status import SourceStatus


class Source(Protocol):
    """Brings records to the door from threads or tasks of its own."""

    def start(self) -> None:
        """Begins to take records; returns at once. Raises ``ConfigRefused`` when it can't be had as configured."""

    def stop(self) -> None:
        """Takes no more, waits for what is under way, and returns when its threads have ended."""

    def status(self) -> SourceStatus:
        """How it is; callable from any thread at any time."""
