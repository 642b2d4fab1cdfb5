"""A message in the format that receivers of Alertmanager's webhooks expect, version "4". Pure.

Source: Prometheus' documentation, "Alertmanager configuration", ``<webhook_config>``. What has no counterpart here (``externalURL``,
``generatorURL``) is empty. Repeats and escalations are firing alerts there, as they are with Alertmanager. A note
is one that fires and ends in the same instant.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Any, Final

from appliance.clock import iso
from appliance.hot.alerts.values import Item, Message, Tells
from appliance.notify.channel import Sender
from appliance.notify.titles import headline, listed, others_of, state_of_all

_NEVER: Final = "0001-01-01T00:00:00Z"
"""The zero time of the language that Alertmanager is written in: the alert has not ended."""
_GROUP_NAME = re.compile(r"(?:^|[,{\s])\s*([^=,{}\s]+)=")


def alertmanager_body(message: Message, sender: Sender) -> dict[str, Any]:
    """The whole payload."""
    alerts = [_alert(item) for item in listed(message)]
    labels = _common([alert["labels"] for alert in alerts])
    named = _GROUP_NAME.findall(message.group)
    groups = {"alertname" if name == "rule" else name for name in named}
    return {
        "version": "4",
        "groupKey": f"{{}}:{{{message.group}}}",
        "truncatedAlerts": others_of(message),
        "status": "resolved" if state_of_all(message) == "resolved" else "firing",
        "receiver": sender.channel,
        "groupLabels": {name: value for name, value in labels.items() if name in groups},
        "commonLabels": labels,
        "commonAnnotations": _common([alert["annotations"] for alert in alerts]),
        "externalURL": "",
        "alerts": alerts,
    }


def _alert(item: Item) -> dict[str, Any]:
    is_note = item.tells is Tells.NOTE
    has_ended = item.tells is Tells.RESOLVED or is_note
    ended_us = item.at_us if item.resolved_us is None else item.resolved_us
    annotations = {"summary": item.summary, "description": item.text} if is_note else {"summary": headline(item)}
    if item.runbook:
        annotations["runbook_url"] = item.runbook
    annotations |= {f"value_{_name(term)}": _text(value) for term, value in item.values.items()}
    return {
        "status": "resolved" if has_ended and not is_note else "firing",
        "labels": {"alertname": item.rule, "severity": item.severity, **item.labels},
        "annotations": annotations,
        "startsAt": iso(item.at_us if item.fired_us is None else item.fired_us),
        "endsAt": iso(ended_us) if has_ended else _NEVER,
        "generatorURL": "",
        "fingerprint": blake2b(json.dumps([item.rule, item.key]).encode(), digest_size=8).hexdigest(),
    }


def _common(each: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """What all of them have alike."""
    if not each:
        return {}
    return {name: value for name, value in each[0].items() if all(other.get(name) == value for other in each)}


def _name(term: str) -> str:
    return re.sub(r"[^A-Za-z0-9]+", "_", term).strip("_")


def _text(value: object) -> str:
    return "" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)
