"""What people do about alerts, for the chain of evidence: silences and acknowledgements, with who and why."""

from __future__ import annotations

from typing import Any

from appliance.clock import iso
from appliance.hot.alerts.matchers import matcher_text
from appliance.hot.alerts.plan import Plan
from appliance.hot.alerts.values import Kind
from appliance.hot.chain import Chain

_ACTS = {Kind.ACKED: "ack", Kind.UNACKED: "unack"}


def note_people(chain: Chain, plan: Plan) -> None:
    """Within the transaction that stores the plan."""
    for silence in plan.silences:
        body: dict[str, Any] = {"silence": silence.id, "matchers": [matcher_text(m) for m in silence.matchers]}
        if silence.ended_us is None:
            span = {"since": iso(silence.since_us), "until": iso(silence.until_us)}
            chain.add("silence", {**body, **span, "who": silence.author, "why": silence.comment})
        else:
            chain.add("unsilence", {**body, "who": silence.ended_by})
    for transition in plan.transitions:
        act = _ACTS.get(transition.kind)
        if act is not None:
            key = dict(zip(plan.columns_of(transition), transition.key, strict=False))
            chain.add(act, {"rule": transition.rule, "key": key, "why": transition.reason})
