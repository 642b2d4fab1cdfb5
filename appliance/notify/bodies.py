"""What a message says: as text for people, as JSON of our own for programs. Pure.

The JSON, version 1::

    {"version": 1, "title": "…", "node": "box-1", "channel": "ops", "group": "rule=overheating", "idempotency_key": "32 hex digits",
     "others": 0, "items": [{"rule": "overheating", "key": ["d1"], "state": "firing", "tells": "firing", "severity": "critical",
     "summary": "d1 at 83.2 °C", "labels": {"device": "d1"}, "values": {"avg(temperature)": 83.2}, "at": "2026-11-22T12:00:00Z",
     "fired": "…Z" or null, "resolved": "…Z" or null, "runbook": "https://…" or null, "idempotency_key": "32 hex digits"}]}

A message that is about no alert has one item with the state ``note``, and in it ``text`` and ``attachments`` (paths in the data folder).
``state`` is firing, resolved, flapping or note; ``tells`` says why besides (also repeat, escalated and revised). ``others`` counts the
alerts that are not listed. Both keys are the same on every attempt: the message's for this message, an item's for this step of this alert.
"""

from __future__ import annotations

import json
import math
from hashlib import blake2b
from typing import Any, Final

from appliance.clock import iso
from appliance.hot.alerts.values import Item, Message, Tells
from appliance.hot.stream.values import Scalar
from appliance.notify.channel import Sender, one_line
from appliance.notify.titles import headline, listed, others_of, severity_of_all, state_of, state_of_all, title_of

BODY_VERSION: Final = 1
LINE_CHARACTERS_MAX: Final = 300
ENVIRONMENT_CHARACTERS_MAX: Final = 4_000
TEXT_CHARACTERS_MAX: Final = 4_000
"""One text within the JSON; what is longer is cut with "…"."""


def message_key(message: Message) -> str:
    """32 hex digits, the same for the same steps of the same alerts; for one alert it is the item's own."""
    if len(message.items) == 1:
        return message.items[0].idempotency_key
    return blake2b("".join(item.idempotency_key for item in message.items).encode(), digest_size=16).hexdigest()


def json_body(message: Message, sender: Sender) -> dict[str, Any]:
    """The message as this module's docstring has it."""
    return {
        "version": BODY_VERSION,
        "title": title_of(message),
        "node": sender.node,
        "channel": sender.channel,
        "group": message.group,
        "idempotency_key": message_key(message),
        "others": others_of(message),
        "items": [_item(item) for item in listed(message)],
    }


def json_bytes(body: dict[str, Any]) -> bytes:
    """UTF-8, one line, strict JSON: what is no number there (NaN, infinities) must have become null before."""
    return json.dumps(body, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode("utf-8", "replace")


def text_body(message: Message, sender: Sender) -> str:
    """For people: every listed alert with its values, then how many more there are and which box speaks. Ends with a newline."""
    lines: list[str] = []
    for item in listed(message):
        lines += [*_item_lines(item), ""]
    if others := others_of(message):
        lines += [f"and {others} more", ""]
    lines.append(f"from {one_line(sender.node)}")
    return "\n".join(lines) + "\n"


def facts(message: Message) -> dict[str, str]:
    """The message in a few words, for an environment or the fields of a journal: RULE, STATE, SEVERITY, SUMMARY, IDEMPOTENCY_KEY."""
    rules = dict.fromkeys(item.rule for item in message.items)
    only = message.items[0] if len(message.items) == 1 else None
    found = {
        "RULE": ",".join(rules),
        "STATE": state_of_all(message),
        "SEVERITY": severity_of_all(message),
        "SUMMARY": only.summary if only is not None and only.summary else title_of(message),
        "IDEMPOTENCY_KEY": message_key(message),
    }
    return {name: one_line(value, ENVIRONMENT_CHARACTERS_MAX) for name, value in found.items()}


def _item(item: Item) -> dict[str, Any]:
    return {
        "rule": item.rule,
        "key": [None if part is None else _cut(part) for part in item.key],
        "state": state_of(item),
        "tells": str(item.tells),
        "severity": item.severity,
        "summary": _cut(item.summary),
        "labels": {name: _cut(value) for name, value in item.labels.items()},
        "values": {name: _plain(value) for name, value in item.values.items()},
        "at": iso(item.at_us),
        "fired": _iso(item.fired_us),
        "resolved": _iso(item.resolved_us),
        "runbook": item.runbook,
        "idempotency_key": item.idempotency_key,
        **({"text": _cut(item.text), "attachments": list(item.attachments)} if item.tells is Tells.NOTE else {}),
    }


def _item_lines(item: Item) -> list[str]:
    if item.tells is Tells.NOTE:
        found = [one_line(line.rstrip(), TEXT_CHARACTERS_MAX) if line.strip() else "" for line in item.text.split("\n")]
        return [*found, *([""] if found and item.attachments else []), *(f"file: {one_line(path)}" for path in item.attachments)]
    lines = [headline(item), f"  {_since(item)}"]
    labels = [f"{name}={value}" for name, value in item.labels.items() if name not in ("rule", "severity")]
    lines += [f"  {' '.join(labels)}"] if labels else []
    lines += [f"  {name} = {_number(value)}" for name, value in item.values.items()]
    lines += [f"  what to do: {item.runbook}"] if item.runbook else []
    return [line[: len(line) - len(line.lstrip())] + one_line(line, LINE_CHARACTERS_MAX) for line in lines]


def _since(item: Item) -> str:
    began = iso(item.at_us if item.fired_us is None else item.fired_us)
    if item.tells is Tells.RESOLVED:
        ended = iso(item.at_us if item.resolved_us is None else item.resolved_us)
        return f"resolved at {ended}" + (f", fired at {began}" if item.fired_us is not None else "")
    if item.tells is Tells.FLAPPING:
        return f"{item.severity}, fires and resolves again and again, at {iso(item.at_us)}"
    ending = {Tells.ESCALATED: ", not acknowledged", Tells.REVISED: ", revised"}.get(item.tells, "")
    return f"{item.severity}, firing since {began}{ending}"


def _number(value: Scalar) -> str:
    return f"{value:.6g}" if isinstance(value, float) else "none" if value is None else str(value)


def _iso(ts_us: int | None) -> str | None:
    return None if ts_us is None else iso(ts_us)


def _plain(value: Scalar) -> Scalar:
    """JSON has no NaN and no infinities: null in their place."""
    if isinstance(value, str):
        return _cut(value)
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _cut(text: str) -> str:
    return text if len(text) <= TEXT_CHARACTERS_MAX else text[: TEXT_CHARACTERS_MAX - 1] + "…"
