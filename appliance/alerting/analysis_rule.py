"""Incidents as alerts: a rule for each analysis that tells somebody, with the same life, silences and outbox as those of the config.

One alert for each incident. It fires when the incident is opened, is revised when another answer takes the place of the first, and is
resolved when the incident is over or was none. What it says of itself are the values below.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from appliance.config import Config
from appliance.hot.alerts.draft import Draft
from appliance.hot.alerts.rules import RuleFacts
from appliance.hot.stream.expression.summary import Placeholder, Summary
from appliance.hot.stream.values import FALSE, TRUE, Scalar, Signal, What
from appliance.hybrid_options import AnalysisOptions

BY: Final = ("incident",)
SUMMARY: Final = "summary"
SUPERSEDED: Final = "superseded"
"""Value of a revised alert: what it said before, which holds no longer."""


@dataclass(frozen=True, slots=True)
class Said:
    """What an alert says of its incident."""

    summary: str
    verdict: str
    confidence: float
    superseded: str | None = None
    """The summary that this one takes the place of."""

    @property
    def values(self) -> Mapping[str, Scalar]:
        """As values of an alert."""
        before = {} if self.superseded is None else {SUPERSEDED: self.superseded}
        return {SUMMARY: self.summary, "verdict": self.verdict, "confidence": round(self.confidence, 2), **before}


def analysis_facts(config: Config) -> dict[str, RuleFacts]:
    """The rules, as alerts know them: of workloads that have somebody to tell."""
    return {
        name: RuleFacts(
            name,
            by=BY,
            clock=name,
            condition=f"something unusual, sensitivity {options.sensitivity:g}",
            severity=options.severity,
            labels=dict(options.labels),
            summary=Summary(name, BY, (SUMMARY,), (Placeholder(SUMMARY, is_label=False),)),
            notify=options.notify,
        )
        for name, options in config.workloads.items()
        if isinstance(options, AnalysisOptions) and options.notify
    }


def raise_alert(draft: Draft, workload: str, incident: int, said: Said, *, at_us: int, seq: int | None) -> None:
    """It fires from that event time on; ``seq`` is the record that speaks loudest for it. Nothing where there is no such rule."""
    draft.apply([_signal(workload, incident, said, at_us, TRUE, seq)])


def revise_alert(draft: Draft, workload: str, incident: int, said: Said, *, at_us: int, is_told: bool) -> None:
    """It says another thing from now on."""
    draft.revise(workload, _key(incident), values=said.values, at_us=at_us, is_told=is_told)


def resolve_alert(draft: Draft, workload: str, incident: int, said: Said, *, at_us: int) -> None:
    """It is over."""
    draft.apply([_signal(workload, incident, said, at_us, FALSE, None)])


def has_fired(draft: Draft, workload: str, incident: int) -> bool:
    """Whether anything was ever raised for the incident, and is over."""
    instance = draft.get((workload, _key(incident)))
    return instance is not None and instance.fire > 0 and not instance.is_firing


def _key(incident: int) -> tuple[str]:
    return (str(incident),)


def _signal(workload: str, incident: int, said: Said, at_us: int, level: int, seq: int | None) -> Signal:
    return Signal(workload, _key(incident), What.LEVEL, at_us, at_us, seq, level, said.values)
