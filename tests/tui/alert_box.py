"""The alerts of the simulated box: every value a function of the time, and what a person does about them is remembered."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from appliance.clock import Clock
from appliance.errors import ApplianceError
from appliance.observe.alerts import (
    AlertRow,
    AlertsPicture,
    OutboxRow,
    RuleRow,
    SilenceRow,
    StageRow,
    TransitionRow,
    WindowChart,
)
from appliance.units import parse_duration

NOON_US = 1_795_348_800_000_000
S = 1_000_000
MIN, HOUR = 60 * S, 3600 * S
TERM = "avg(temperature)"
AUTHOR = "ann@press-line-3"


@dataclass
class AlertBox:
    """What ``Client`` asks about alerts; ``refuse`` makes each action fail."""

    clock: Clock
    refuse: str | None = None
    acked: dict[tuple[str, str], str] = field(default_factory=lambda: {("overheating", "oven-2"): "bob@office"})
    silences: list[SilenceRow] = field(default_factory=list)
    done: list[tuple[object, ...]] = field(default_factory=list)
    extra: tuple[AlertRow, ...] = ()
    """Further alerts, for tests."""
    is_quiet: bool = False
    """Nothing fires, nothing ever has."""

    def __post_init__(self) -> None:
        if not self.silences:
            now = NOON_US
            self.silences = [
                SilenceRow(
                    id=2,
                    matchers=("device=pump-4",),
                    since_us=now - HOUR,
                    until_us=now + 7 * HOUR,
                    author=AUTHOR,
                    comment="new bearing, ticket 4711",
                    is_active=True,
                ),
                SilenceRow(
                    id=1,
                    matchers=("rule=host_*", "severity!=critical"),
                    since_us=now - 30 * HOUR,
                    until_us=now - 22 * HOUR,
                    author="bob@office",
                    comment="moving the rack",
                    is_active=False,
                ),
            ]

    def picture(self) -> AlertsPicture:
        """All of it now."""
        now = self.clock.now_us()
        if self.is_quiet:
            return AlertsPicture(at_us=now)
        return AlertsPicture(
            at_us=now,
            alerts=(*self.alerts(now), *self.extra),
            rules=_rules(),
            silences=tuple(self.silences),
            outbox=_outbox(now),
            stages=tuple(
                StageRow(stage=name, p50_ms=p50, p99_ms=p99, max_ms=p99 * 3, budget_ms=budget, count=412)
                for name, p50, p99, budget in (
                    ("evaluated", 3.2, 11.0, 100.0),
                    ("committed", 9.1, 38.5, 100.0),
                    ("handed over", 14.0, 260.0, 250.0),
                )
            ),
        )

    def alerts(self, now: int) -> tuple[AlertRow, ...]:
        """Those of the plant."""
        rows = [
            _alert("overheating", {"device": "oven-2"}, "firing", "critical", now - 43 * MIN, 91.4, _too_hot("oven-2", 91.4)),
            _alert(
                "overheating",
                {"device": "oven-7"},
                "firing",
                "critical",
                NOON_US - 190 * S,
                self.value(now),
                _too_hot("oven-7", self.value(now)),
            ),
            _alert("vibration", {"device": "pump-4", "line": "B"}, "firing", "warning", now - 5 * HOUR, 7.25, "pump-4 shakes: 7.3 mm/s"),
            _alert("door_open", {"door": "north"}, "firing", "info", now - 12 * MIN, True, "the north door has been open for 10 min"),
            _alert("overheating", {"device": "oven-3"}, "pending", "critical", now - 6 * S, 80.7, ""),
            _alert("silent", {"device": "press-1"}, "nodata", "warning", now - 9 * MIN, None, "", was="firing"),
            _alert(
                "ratio", {"line": "A"}, "error", "warning", now - 2 * HOUR, None, "", reason="no column 'good_parts' in stream press_events"
            ),
        ]
        return tuple(self._marked(row) for row in rows)

    def _marked(self, row: AlertRow) -> AlertRow:
        device = row.key.get("device") or ""
        by = self.acked.get((row.rule, device))
        silence = next((s for s in self.silences if s.is_active and f"device={device}" in s.matchers and device), None)
        return msgspec.structs.replace(
            row,
            acked_by=by,
            ack_comment="on my way" if by == "bob@office" else "",
            silenced_by=None if silence is None else silence.id,
            flapping=row.rule == "door_open",
        )

    def value(self, at_us: int) -> float:
        """The oven's temperature at that time."""
        t = (at_us - NOON_US) / S
        return 79 + 6 * math.sin(t / 120 + 1) + 2.5 * math.sin(t / 17) + (4 if t > -200 else 0)

    def chart(self, rule: str, key: Mapping[str, str | None]) -> WindowChart | None:
        """Ten minutes; a gap of a minute, seven minutes ago."""
        if rule != "overheating":
            return None if rule in ("silent", "ratio") else WindowChart(label="max(x)", points=((self.clock.now_us() - S, 1.0),))
        now = self.clock.now_us() // S * S
        low = 0.0 if key.get("device") == "oven-7" else 9.5
        points = tuple((at, None if 420 * S < now - at < 480 * S else self.value(at) + low) for at in range(now - 600 * S, now, 2 * S))
        return WindowChart(label=TERM, points=points, threshold=80.0)

    def history(self, *, limit: int, rule: str | None) -> Sequence[TransitionRow]:
        """Two hundred steps."""
        now = NOON_US
        out = []
        steps = (("ok", "pending"), ("pending", "firing"), ("firing", "ok"), ("ok", "firing"))
        rules = ("overheating", "vibration", "door_open", "silent")
        for n in range(200, 0, -1):
            old, new = steps[n % 4]
            kind = "late" if n % 31 == 0 else "acked" if n % 17 == 0 else "change"
            at = now - (200 - n) * 97 * S
            out.append(
                TransitionRow(
                    id=n,
                    rule=rules[n % 7 % 4],
                    key={"device": f"oven-{n % 5}"},
                    kind=kind,
                    old=old,
                    new=new,
                    at_us=at,
                    learned_us=at + 12_000 + (3 * HOUR if kind == "late" else 0),
                    seq=77_000 + n,
                    values={TERM: 78 + n % 9 + 0.25},
                    reason="by bob@office: on my way" if kind == "acked" else "",
                )
            )
        return [] if self.is_quiet else [t for t in out if rule is None or t.rule == rule][:limit]

    def acknowledge(self, rule: str, key: Mapping[str, str | None], comment: str, until: str | None) -> Sequence[AlertRow]:
        self._do("ack", rule, dict(key), comment, until)
        self.acked[rule, key.get("device") or ""] = AUTHOR
        return ()

    def unacknowledge(self, rule: str, key: Mapping[str, str | None]) -> Sequence[AlertRow]:
        self._do("unack", rule, dict(key))
        self.acked.pop((rule, key.get("device") or ""), None)
        return ()

    def silence(self, matchers: Sequence[str], until: str, comment: str) -> SilenceRow:
        self._do("silence", tuple(matchers), until, comment)
        now = self.clock.now_us()
        try:
            until_us = now + round(parse_duration(until) * S)
        except ValueError as e:
            raise ApplianceError(f"until: {e}") from None
        made = SilenceRow(
            id=len(self.silences) + 1,
            matchers=tuple(matchers),
            since_us=now,
            until_us=until_us,
            author=AUTHOR,
            comment=comment,
            is_active=True,
        )
        self.silences.insert(0, made)
        return made

    def unsilence(self, silence_id: int) -> SilenceRow:
        self._do("unsilence", silence_id)
        at = next(i for i, s in enumerate(self.silences) if s.id == silence_id)
        self.silences[at] = msgspec.structs.replace(self.silences[at], is_active=False)
        return self.silences[at]

    def _do(self, *what: object) -> None:
        if self.refuse is not None:
            raise ApplianceError(self.refuse)
        self.done.append(what)


def _too_hot(oven: str, value: float) -> str:
    return f"{oven} is at {value:.1f} °C, the limit is 80"


def _alert(
    rule: str,
    key: dict[str, str | None],
    phase: str,
    severity: str,
    since_us: int,
    value: float | None,
    summary: str,
    *,
    was: str = "ok",
    reason: str = "",
) -> AlertRow:
    return AlertRow(
        rule=rule,
        key=key,
        phase=phase,
        was=was,
        severity=severity,
        since_us=since_us,
        fired_us=since_us + 10 * S if phase == "firing" else None,
        summary=summary,
        values={} if value is None else {TERM if rule == "overheating" else "max(x)": value},
        reason=reason,
        labels={
            **{k: v or "" for k, v in key.items()},
            "rule": rule,
            "severity": severity,
            "stream": "oven_temperature",
            "team": "night shift",
        },
        seq=4711,
        runbook="https://wiki.example/ovens#too-hot" if rule == "overheating" else None,
    )


def _rules() -> tuple[RuleRow, ...]:
    return (
        RuleRow(
            name="overheating",
            stream="oven_temperature",
            condition="avg(temperature) > 80 over 30s, clear avg(temperature) < 75, for 10s",
            severity="critical",
            state="ok",
            keys=12,
            firing=2,
            pending=1,
            cost_us_per_s=2_140.0,
        ),
        RuleRow(
            name="vibration",
            stream="pump_vibration",
            condition="quantile(speed, 0.99) > 7 over 5min",
            severity="warning",
            state="ok",
            keys=4,
            firing=1,
            cost_us_per_s=18_400.0,
            late=3,
        ),
        RuleRow(name="silent", stream="press_power", condition="absent 60s", severity="warning", state="ok", keys=9, cost_us_per_s=85.0),
        RuleRow(
            name="ratio",
            stream="press_events",
            condition="sum(good_parts) / count(*) < 0.9 over 10min",
            severity="warning",
            state="error",
            reason="no column 'good_parts' in stream press_events",
            keys=2,
        ),
        RuleRow(name="frost", stream="roof", condition="temperature < 0", severity="info", state="waiting"),
        RuleRow(
            name="door_open",
            stream="",
            condition="SELECT door FROM door_events_latest WHERE open",
            severity="info",
            state="ok",
            keys=2,
            firing=1,
            keys_over=12,
            cost_us_per_s=900.0,
        ),
    )


def _outbox(now: int) -> tuple[OutboxRow, ...]:
    return (
        OutboxRow(
            id=90,
            channel="ops",
            state="waiting",
            title="[FIRING 2] overheating: oven-7 is at 84.2 °C",
            created_us=NOON_US - 190 * S,
            due_us=now + 20 * S,
            attempts=3,
            error="HTTP 503 Service Unavailable",
        ),
        OutboxRow(
            id=77,
            channel="mail",
            state="dead",
            title="[FIRING] vibration: pump-4 shakes",
            created_us=NOON_US - 26 * HOUR,
            due_us=NOON_US - 2 * HOUR,
            attempts=41,
            error="older than 1d: 550 mailbox unavailable",
        ),
        *(
            OutboxRow(
                id=89 - n,
                channel="ops",
                state="sent",
                title=f"[RESOLVED] overheating: oven-{n}",
                created_us=NOON_US - (n + 1) * HOUR,
                due_us=NOON_US - (n + 1) * HOUR,
                sent_us=NOON_US - (n + 1) * HOUR + 40_000,
                attempts=1,
            )
            for n in range(6)
        ),
    )
