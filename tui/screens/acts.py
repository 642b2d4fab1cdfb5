"""What screens share that ask the service to do something: a worker does it, a message brings what came of it, the screen says it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from textual.message import Message

from appliance.errors import ApplianceError

if TYPE_CHECKING:
    from tui.screens.base import LiveScreen

    _Base = LiveScreen
else:
    _Base = object

GROUP = "act"
"""The group of the workers that do something."""


class Acts(_Base):
    """Mixed into a screen whose keys change something in the service."""

    class Done(Message):
        """Something was done, or why not."""

        def __init__(self, told: str, error: str | None) -> None:
            super().__init__()
            self.told = told
            self.error = error

    def act(self, do: Callable[[], str]) -> None:
        """Calls ``do`` in a worker thread and says what it returns; an ``ApplianceError`` is said as a refusal."""

        def work() -> None:
            try:
                told, error = do(), None
            except ApplianceError as refusal:
                told, error = "", str(refusal)
            self.post_message(Acts.Done(told, error))

        self.run_worker(work, thread=True, exit_on_error=False, group=GROUP, name=GROUP)

    def may_act(self) -> bool:
        """Whether a service runs that could do it; says so where none does."""
        if self.is_offline:
            self.ui.say("No service runs: what is stored can only be looked at.", severity="warning")
        return not self.is_offline

    def on_acts_done(self, event: Done) -> None:
        """Says what came of it; where it was done, looks anew."""
        event.stop()
        self.act_ended()
        if event.error is not None:
            self.ui.say(event.error, severity="error")
            return
        self.ui.say(event.told)
        self.ask_anew()

    def act_ended(self) -> None:
        """Something that was asked for is over, well or not; also where its worker broke."""

    def ask_anew(self) -> None:
        """Asks the screen's question again at once."""
        self.pace.forget()
        self.ui.refresh_now()

    def question_broke(self, group: str, why: str) -> None:
        """A worker broke: the next one may begin."""
        if group == GROUP:
            self.act_ended()
        super().question_broke(group, why)
