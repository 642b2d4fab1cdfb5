"""What one refresh brought: the picture of the box, what the screen asked for besides, and whether the service still answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from appliance.observe.status import Status
from tui.client import Client

Question = Callable[[Client], object]
"""Asked in a worker thread; it must hold values only, no widget."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Handed to the screen; after a failed refresh ``status`` is the last good one and ``lost`` says why there is no newer."""

    status: Status | None
    lost: str | None = None
    extra: object = None
    """What the screen's own question gave; None when it had none or the answer is on its way."""
    extra_error: str | None = None
    """Why the screen's own question failed."""

    def age_us(self, now_us: int) -> int | None:
        """How old the picture is; None before the first."""
        return None if self.status is None else max(0, now_us - self.status.as_of_us)
