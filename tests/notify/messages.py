"""Alerts and messages as the tests of this folder tell them."""

from __future__ import annotations

from collections.abc import Mapping

from appliance.clock import US_PER_S
from appliance.hot.alerts.values import Item, Message, Tells
from appliance.hot.stream.values import Scalar
from appliance.notify.channel import Sender
from tests.clock import NOON_US

SENDER = Sender(node="box-1", channel="ops")
VALUES: Mapping[str, Scalar] = {"avg(temperature)": 83.2}


def item(device: str = "d1", tells: Tells = Tells.FIRING, *, fire: int = 1, at_s: float = 0, severity: str = "critical") -> Item:
    """An alert of the rule ``overheating``; ``at_s`` counts from noon."""
    at_us = NOON_US + round(at_s * US_PER_S)
    return Item(
        rule="overheating",
        key=(device,),
        fire=fire,
        tells=tells,
        at_us=at_us,
        summary=f"{device} at 83.2 °C",
        labels={"rule": "overheating", "severity": severity, "device": device},
        values=VALUES,
        severity=severity,
        runbook="https://wiki.example/overheating",
        fired_us=NOON_US,
        resolved_us=at_us if tells is Tells.RESOLVED else None,
    )


def message(*items: Item, id: int | None = 1, group: str = "rule=overheating", due_s: float = 0, channel: str = "ops") -> Message:
    """A message to the channel ``ops``; one of ``item()`` where none is given."""
    return Message(channel=channel, group=group, due_us=NOON_US + round(due_s * US_PER_S), items=items or (item(),), id=id)
