"""Rules, signals and lives of alerts for tests, said in a line each. Event times in seconds after noon."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from appliance.clock import US_PER_S
from appliance.hot.alerts.life import due, step
from appliance.hot.alerts.rules import RuleFacts, labels_of
from appliance.hot.alerts.values import Instance, Kind, Phase, Transition
from appliance.hot.stream.values import FALSE, HOLD, TRUE, Key, Scalar, Signal, What
from tests.clock import NOON_US

D1: Key = ("d1",)
NOW_US = NOON_US + 5_000 * US_PER_S
"""The wall clock of tests to which it does not matter."""


def at(second: float) -> int:
    return NOON_US + round(second * US_PER_S)


def second_of(time_us: int | None) -> float | None:
    return None if time_us is None else (time_us - NOON_US) / US_PER_S


def rule(name: str = "hot", **given: Any) -> RuleFacts:
    """Durations in seconds (``for_s``, ``keep_s``, ``repeat_s``, …)."""
    for option in [o for o in given if o.endswith("_s")]:
        given[option[:-2] + "_us"] = round(given.pop(option) * US_PER_S)
    facts = {"by": ("device",), "stream": "readings", "clock": "readings", "condition": "temperature > 80", "flap_max": 1_000}
    return RuleFacts(name, **{**facts, **given})


def new(facts: RuleFacts, key: Key = D1) -> Instance:
    return Instance(facts.name, key, labels=labels_of(facts, key))


def signal(
    what: What,
    second: float,
    *,
    level: int = HOLD,
    seq: int | None = None,
    reached: float | None = None,
    name: str = "hot",
    key: Key = D1,
    values: Mapping[str, Scalar] | None = None,
    reason: str = "",
) -> Signal:
    """``reached``: the watermark; by default a second before the signal."""
    watermark = at(second - 1 if reached is None else reached)
    return Signal(name, key, what, at(second), watermark, seq, level, values or {}, reason)


def up(second: float, **more: Any) -> Signal:
    """The condition holds from now on; the sequence of the record is the second."""
    return signal(What.LEVEL, second, level=TRUE, **{"seq": int(second), **more})


def down(second: float, **more: Any) -> Signal:
    return signal(What.LEVEL, second, level=FALSE, **{"seq": int(second), **more})


def unsure(second: float, **more: Any) -> Signal:
    return signal(What.LEVEL, second, level=HOLD, **{"seq": int(second), **more})


def still(second: float, **more: Any) -> Signal:
    """A point with an unchanged level."""
    return signal(What.DUE, second, **{"seq": int(second), **more})


def gap(second: float, **more: Any) -> Signal:
    return signal(What.GAP, second, **{"reached": second, **more})


def back(second: float, **more: Any) -> Signal:
    return signal(What.BACK, second, **{"seq": int(second), **more})


def broken(second: float, reason: str = "no column", **more: Any) -> Signal:
    return signal(What.ERROR, second, reason=reason, **{"seq": int(second), **more})


def late(second: float, **more: Any) -> Signal:
    return signal(What.LATE, second, **{"seq": int(second), **more})


Event = Signal | float
"""A signal, or that event time has come so far."""


def live(facts: RuleFacts, *events: Event, instance: Instance | None = None) -> tuple[Instance, list[Transition]]:
    """Runs a life from its start and returns what came of it."""
    now = instance or new(facts)
    found: list[Transition] = []
    for event in events:
        if isinstance(event, Signal):
            now, more = step(now, event, facts, now_us=NOW_US)
        else:
            now, more = due(now, facts, watermark_us=at(event), now_us=NOW_US)
        found += more
    return now, found


def said(transitions: Sequence[Transition]) -> list[str]:
    """``10 pending>firing #12`` for each; what is not a change with its kind in front."""
    return [
        f"{'' if t.kind is Kind.CHANGE else f'{t.kind} '}{second_of(t.at_us):g} {t.old}>{t.new}{'' if t.seq is None else f' #{t.seq}'}"
        for t in transitions
    ]


def firing(facts: RuleFacts, key: Key = D1, *, since: float = 0, **more: Any) -> Instance:
    """An alert that fires, told or not as ``more`` says."""
    fields = {"phase": Phase.FIRING, "since_us": at(since), "fired_us": at(since), "fire": 1, "level": TRUE, "level_us": at(since)}
    return replace(new(facts, key), **{**fields, **more})
