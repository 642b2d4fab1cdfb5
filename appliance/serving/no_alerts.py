# ruff: noqa: ARG002 - the arguments are those of the protocol
"""The alert desk of a box whose config has no rules: nothing fires, nothing can be done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NoReturn

from appliance.clock import Clock
from appliance.errors import UsageRefused
from appliance.observe.alerts import AlertRow, AlertsPicture, SilenceRow, TransitionRow, WindowChart

NO_RULES: Final = 'there is no rule: the config has no [workload.NAME] with kind = "alert"'


class NoAlerts:
    """An ``AlertDesk`` that is empty and refuses every action."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def picture(self) -> AlertsPicture:
        return AlertsPicture(at_us=self._clock.now_us())

    def history(self, *, limit: int, rule: str | None = None, before_id: int | None = None) -> Sequence[TransitionRow]:
        return ()

    def chart(self, rule: str, key: Mapping[str, str | None]) -> WindowChart | None:
        return None

    def acknowledge(
        self, rule: str, key: Mapping[str, str | None] | None, *, author: str, comment: str, until_us: int | None
    ) -> Sequence[AlertRow]:
        _refuse()

    def unacknowledge(self, rule: str, key: Mapping[str, str | None] | None, *, author: str) -> Sequence[AlertRow]:
        _refuse()

    def silence(self, matchers: Sequence[str], *, since_us: int, until_us: int, author: str, comment: str) -> SilenceRow:
        _refuse()

    def unsilence(self, silence_id: int, *, author: str) -> SilenceRow:
        _refuse()

    def test(self, channel: str) -> str:
        _refuse()


def _refuse() -> NoReturn:
    raise UsageRefused(NO_RULES)
