"""Missed budgets as alerts: a rule of the appliance's own, with the same life, silences and outbox as those of the config.

One alert for each workload and stage. It fires while the 99th percentile of the last minute is above the budget, and is resolved by the
first minute in which it is not; where nothing was measured nothing is known, and it stays as it was.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from appliance.clock import US_PER_S
from appliance.config import AlertOptions, Config
from appliance.hot.alerts.book import AlertBook
from appliance.hot.alerts.draft import Draft
from appliance.hot.alerts.rules import RuleFacts
from appliance.hot.alerts.values import Instance, Phase
from appliance.hot.stream.values import FALSE, TRUE, Key, Signal, What
from appliance.observe.budgets import Verdict

RULE: Final = "_budget"
BY: Final = ("workload", "stage")


def budget_facts(config: Config) -> RuleFacts:
    """The rule, as alerts know it."""
    told = config.alerts.budgets_notify
    return RuleFacts(
        RULE,
        by=BY,
        clock=RULE,
        condition="p99_ms > budget_ms over 1min",
        severity="warning",
        notify=_channels(config) if told is None else told,
    )


def follow_budgets(draft: Draft, found: Sequence[Verdict], *, budgets: Mapping[tuple[str, str], float], now_us: int) -> None:
    """Makes of the verdicts what they are for the alerts. ``budgets``: those of now, by workload and stage; an alert about which there is
    no verdict ends where what it was raised for would be within the budget now, or where there is none any more."""
    known = {i.key: i for i in draft.of_rule(RULE) if i.phase is not Phase.OK}
    judged = {v.key for v in found}
    over = [i for key, i in known.items() if key not in judged and _p99_ms(i) <= budgets.get(_named(key), math.inf)]
    draft.apply([*_signals(found, known, now_us), *(_ended(i, now_us) for i in over)])
    draft.advance(RULE, now_us)


def missed_budgets(book: AlertBook) -> list[Verdict]:
    """What fires now, as it was when it began to."""
    firing = [i for i in tuple(book.instances(RULE)) if i.is_firing]
    return [Verdict(_named(i.key), _p99_ms(i), float(i.values.get("budget_ms") or 0.0), 1) for i in firing]


def _signals(found: Iterable[Verdict], known: Mapping[Key, Instance], now_us: int) -> Iterator[Signal]:
    for verdict in found:
        values = {"p99_ms": round(verdict.p99_ms, 1), "budget_ms": verdict.budget_ms}
        instance = known.get(verdict.key)
        if verdict.is_missed and (instance is None or instance.phase is not Phase.FIRING):
            yield Signal(RULE, verdict.key, What.LEVEL, now_us, now_us, None, TRUE, values)
        elif not verdict.is_missed and instance is not None:
            yield Signal(RULE, verdict.key, What.LEVEL, now_us, now_us, None, FALSE, values)


def _ended(instance: Instance, now_us: int) -> Signal:
    return Signal(RULE, instance.key, What.LEVEL, now_us, now_us, None, FALSE, instance.values)


def _named(key: Key) -> tuple[str, str]:
    """Workload and stage."""
    return str(key[0]), str(key[1])


def _p99_ms(instance: Instance) -> float:
    """What an alert was raised for."""
    found = instance.values.get("p99_ms")
    return float(found) if isinstance(found, int | float) else math.inf


def _channels(config: Config) -> tuple[str, ...]:
    """The channels that rules of the config tell."""
    told = [name for w in config.workloads.values() if isinstance(w, AlertOptions) for name in w.notify]
    return tuple(dict.fromkeys(told))


GRACE_US: Final = 60 * US_PER_S
"""At least so long after a start no budget is looked at: its first minute holds what the start itself has delayed."""
