"""What the life of an alert needs to know of its rule: a frozen value made from the config. Nothing here does I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from appliance.clock import US_PER_S
from appliance.hot.alerts.values import Instance
from appliance.hot.stream.expression.summary import Summary
from appliance.hot.stream.values import Key, Scalar
from appliance.units import show_duration
from appliance.workload_options import AlertOptions


@dataclass(frozen=True, slots=True)
class RuleFacts:
    """One rule. Times in µs; the defaults are those of ``AlertOptions``."""

    name: str
    by: tuple[str, ...] = ()
    """The columns of the key, in its order."""
    stream: str = ""
    """"" for free SQL."""
    clock: str = ""
    """The event time that its timers follow: rules with the same one are advanced together. The stream, if not said otherwise."""
    condition: str = ""
    """As people read it; another one means that the rule was changed."""
    is_absent: bool = False
    """It fires when a key is silent: a gap is its condition."""
    for_us: int = 0
    keep_us: int = 0
    flap_max: int = 6
    flap_within_us: int = 600 * US_PER_S
    severity: str = "warning"
    labels: Mapping[str, str] = field(default_factory=dict)
    summary: Summary | None = None
    """The template of the first line; None: rule, key and values."""
    runbook: str | None = None
    notify: tuple[str, ...] = ()
    group_by: tuple[str, ...] = ("rule",)
    group_wait_us: int = US_PER_S // 2
    repeat_us: int = 4 * 3_600 * US_PER_S
    inhibited_by: tuple[str, ...] = ()
    escalate: tuple[str, ...] = ()
    escalate_after_us: int | None = None

    @property
    def has_audience(self) -> bool:
        """Whether anybody is ever told."""
        return bool(self.notify or self.escalate)


def facts_of(
    name: str, options: AlertOptions, *, by: tuple[str, ...], summary: Summary | None = None, clock: str | None = None
) -> RuleFacts:
    """The facts of ``[workload.NAME]``. ``by`` are the columns as they were found (``options.by`` may leave them open)."""
    stream = options.stream or ""
    return RuleFacts(
        name=name,
        by=by,
        stream=stream,
        clock=stream if clock is None else clock,
        condition=condition_of(options),
        is_absent=options.absent_s is not None,
        for_us=_us(options.for_s),
        keep_us=_us(options.keep_s),
        flap_max=options.flap_max,
        flap_within_us=_us(options.flap_within_s),
        severity=options.severity,
        labels=dict(options.labels),
        summary=summary,
        runbook=options.runbook,
        notify=options.notify,
        group_by=options.group_by,
        group_wait_us=_us(options.told_after_s),
        repeat_us=_us(options.repeat_s),
        inhibited_by=options.inhibited_by,
        escalate=options.escalate,
        escalate_after_us=None if options.escalate_after_s is None else _us(options.escalate_after_s),
    )


def condition_of(options: AlertOptions) -> str:
    """The condition as written, with its window and its end: ``avg(temperature) > 80 over 30s, clear avg(temperature) < 75``."""
    if options.sql is not None:
        return " ".join(options.sql.split())
    if options.absent_s is not None:
        return f"nothing for {show_duration(options.absent_s)}"
    parts = [options.when or ""]
    if options.over_s is not None:
        window = "" if options.window == "sliding" else f" {options.window}"
        parts.append(f" over {show_duration(options.over_s)}{window}")
    if options.gap_s is not None:
        parts.append(f" over sessions with a gap of {show_duration(options.gap_s)}")
    if options.join is not None and options.within_s is not None:
        parts.append(f" with {options.join} within {show_duration(options.within_s)}")
    if options.clear is not None:
        parts.append(f", clear {options.clear}")
    return "".join(parts)


def labels_of(rule: RuleFacts, key: Key) -> dict[str, str]:
    """The labels of one alert; a column whose value is null has none. ``rule``, ``severity`` and ``stream`` go before all others."""
    columns = {column: value for column, value in zip(rule.by, key, strict=True) if value is not None}
    return {**rule.labels, **columns, "rule": rule.name, "severity": rule.severity, "stream": rule.stream}


def facts_without_rule(instance: Instance) -> RuleFacts:
    """For an alert whose rule is in no config any more: who was told of it can still be told of its end, and nothing else happens."""
    labels = instance.labels
    return RuleFacts(instance.rule, stream=labels.get("stream", ""), severity=labels.get("severity", "warning"), group_wait_us=0)


def summary_of(rule: RuleFacts, labels: Mapping[str, str], values: Mapping[str, Scalar]) -> str:
    """The line that tells what an alert is about."""
    return (rule.summary or Summary(rule.name, rule.by, tuple(values), ())).render(labels, values)


def _us(seconds: float) -> int:
    return round(seconds * US_PER_S)
