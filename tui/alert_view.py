"""What the alerts screen asks for, as one question to be put in a worker thread."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from appliance.observe.alerts import AlertRow, AlertsPicture, TransitionRow, WindowChart
from tui.client import Client

HISTORY_ROWS = 500


@dataclass(frozen=True, slots=True)
class Asked:
    """What is wanted besides the picture."""

    alert: AlertRow | None
    """Whose chart; None: no chart."""
    history: bool
    rule: str | None
    """Of which rule the history is; None: of all."""


@dataclass(frozen=True, slots=True)
class AlertsAnswer:
    """What came; a part that was not asked for is None."""

    asked: Asked
    picture: AlertsPicture | None
    chart: WindowChart | None
    history: Sequence[TransitionRow] | None


def ask_alerts(client: Client, asked: Asked, *, with_picture: bool) -> AlertsAnswer:
    """In a worker thread."""
    picture = client.alerts() if with_picture else None
    chart = client.alert_chart(asked.alert.rule, asked.alert.key) if asked.alert is not None else None
    history = client.alert_history(limit=HISTORY_ROWS, rule=asked.rule) if asked.history else None
    return AlertsAnswer(asked, picture, chart, history)
