"""The UI without a terminal, driven by a test: keys in, the text of the screen out, the time and the box in the test's hands."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from textual.events import Paste
from textual.pilot import Pilot

from tests.tui.fake import FakeClient, FakeClock
from tui.app import ApplianceApp

DEADLINE_S = 10.0


@dataclass(frozen=True)
class Driven:
    """A running UI over a simulated box."""

    app: ApplianceApp
    box: FakeClient
    clock: FakeClock
    pilot: Pilot[None]

    @property
    def text(self) -> str:
        """The whole screen as text, a line a row."""
        return "\n".join(strip.text.rstrip() for strip in self.app.screen._compositor.render_strips())

    def line_with(self, text: str) -> str:
        """The first row that holds ``text``."""
        return next(line for line in self.text.splitlines() if text in line)

    async def press(self, *keys: str) -> None:
        """Presses keys and lets what they start come to its end."""
        await self.pilot.press(*keys)
        await self.settle()

    async def type(self, text: str) -> None:
        """Puts text into the focused field, all at once."""
        self.app.post_message(Paste(text))
        await self.settle()

    async def tick(self, seconds: float = 0.0) -> None:
        """Time passes; then one refresh."""
        self.clock.go_on(seconds)
        self.app.refresh_now()
        await self.settle()

    async def settle(self) -> None:
        """Until no worker runs and no message waits; what is there then can be drawn."""
        await self.app.workers.wait_for_complete()
        await self.pilot.pause()
        await self.app.workers.wait_for_complete()
        assert self.text

    async def until(self, condition: Callable[[], Any], what: str) -> None:
        """Until ``condition`` holds."""
        end = time.monotonic() + DEADLINE_S
        while not condition():
            assert time.monotonic() < end, f"waited in vain for {what}; the screen:\n{self.text}"
            await self.pilot.pause(0.02)

    async def sees(self, *texts: str) -> None:
        """Until all of ``texts`` are on the screen."""
        await self.until(lambda: all(text in self.text for text in texts), f"{texts}")

    async def misses(self, text: str) -> None:
        """Until ``text`` is not on the screen."""
        await self.until(lambda: text not in self.text, f"the end of {text!r}")


@asynccontextmanager
async def driven(*, size: tuple[int, int] = (120, 40), box: FakeClient | None = None, **options: Any) -> AsyncIterator[Driven]:
    """Starts the UI; its first snapshot has been drawn. ``options`` are those of the simulated box."""
    clock = box.clock if box is not None else FakeClock()
    assert isinstance(clock, FakeClock)
    client = box or FakeClient(clock, **options)
    app = ApplianceApp(client, clock=clock, period_s=None)
    async with app.run_test(size=size, notifications=True) as pilot:
        ui = Driven(app, client, clock, pilot)
        await ui.settle()
        await ui.tick()
        yield ui
