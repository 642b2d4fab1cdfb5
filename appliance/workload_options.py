"""The options of workloads and of the channels that they notify: ``[workload.NAME]``, ``[notify.NAME]``, ``[alerts]``.

Frozen values as in ``appliance.options``. What an expression means is checked where it is compiled; what one workload needs of
another (a channel, a rule that inhibits) ``appliance.config`` checks. Nothing here does I/O.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Final, Literal

from msgspec import Meta

from appliance.batch_options import AuditOptions, BatchOptions, JobOptions, ReportOptions, RetentionOptions, TrainingOptions, ViewOptions
from appliance.clock import US_PER_S
from appliance.hybrid_options import AnalysisOptions, CacheOptions, LanguageModelOptions, SearchOptions, WatchOptions
from appliance.need_options import NeedsOptions, PathsOptions
from appliance.options import (
    CompactOptions,
    Count,
    Duration,
    HotOptions,
    HttpOptions,
    LimitOptions,
    NodeOptions,
    OptionRefused,
    Options,
    QueryOptions,
    RollOptions,
)
from appliance.panel_options import PanelOptions

PaneDuration = Annotated[float, Meta(ge=0.01, le=366 * 86_400, extra={"unit": "duration"})]
"""Seconds of a window or of its step; at least 10ms, at most a year."""
NoDuration = Annotated[float, Meta(ge=0, le=366 * 86_400, extra={"unit": "duration"})]
"""Seconds, 0 allowed; at most a year."""
Severity = Literal["info", "warning", "critical"]
SEVERITIES: Final[tuple[Severity, ...]] = ("info", "warning", "critical")
"""From the mildest to the gravest."""
PANES_MAX: Final = 10_000
"""Steps of one window: more would cost memory and say nothing."""


class AlertsOptions(Options, frozen=True, kw_only=True):
    """What all alerts share."""

    grace_s: NoDuration = 30.0
    """Time after a start in which the silence of a device fires nothing: what was sent meanwhile has to arrive first."""
    keys_max: Count = 100_000
    """Different keys (devices, say) of one rule; records of further ones are not looked at by it, which its state says."""
    history_max: Count = 100_000
    """Transitions that are kept; the oldest go first."""
    sql_time_max_s: Annotated[float, Meta(gt=0, le=60, extra={"unit": "duration"})] = 5.0
    """Time after which the query of a rule that is free SQL is cancelled; at most 1min."""
    budgets_notify: tuple[str, ...] | None = None
    """The channels that are told when a workload takes longer than its budget, by name. Default: those that rules tell. []: none."""


class AlertOptions(NeedsOptions, frozen=True, kw_only=True, tag="alert", tag_field="kind"):
    """A rule: a condition, and who is told while it holds."""

    stream: str | None = None
    """The stream that is watched; it need not exist yet. None only with `sql`."""
    by: tuple[str, ...] | None = None
    """Columns of which each set of values has an alert of its own. Default: all tags. []: one alert for the whole stream."""
    when: str | None = None
    """The condition: `temperature > 80`, `avg(temperature) > 80 and count(*) >= 5`, `rate(level) < -2`."""
    clear: str | None = None
    """The condition under which a firing alert is over. Default: `when` does not hold."""
    over_s: PaneDuration | None = None
    """The window of the aggregates in `when`, by event time. Default: none, each record is looked at alone."""
    window: Literal["sliding", "tumbling", "session"] = "sliding"
    """How windows follow each other: by steps of `every`, end to end, or parted by a `gap` without records."""
    every_s: PaneDuration | None = None
    """The step of a sliding window, or the time between two runs of `sql` (at least 1s). Default: a sixtieth of `over`, 1s for `sql`."""
    gap_s: PaneDuration | None = None
    """Time without records that ends a session window."""
    absent_s: Duration | None = None
    """Fires when a key has sent nothing for this time."""
    nodata_s: Duration | None = None
    """Time without records after which an alert's state is unknown (NODATA). Default: the longer of `over` and 5min."""
    for_s: NoDuration = 0.0
    """Time for which the condition must hold before the alert fires."""
    keep_s: NoDuration = 0.0
    """Time for which the alert stays firing after its condition has ended."""
    join: str | None = None
    """A second stream; its columns are written as STREAM.COLUMN in `when`, those of `stream` likewise or bare."""
    within_s: Duration | None = None
    """With `join`: how far the two records may be apart in time."""
    sql: str | None = None
    """A SELECT in place of `when`, for what that can't say: each row is an alert, of the key that its columns of `by` make."""
    severity: Severity = "warning"
    """How grave it is."""
    labels: Mapping[str, str] = {}
    """Further labels, for matchers and messages."""
    summary: str = ""
    """The message's first line; `{device}`, `{value}` and `{avg(temperature):.1f}` are replaced. Default: made from the rule."""
    runbook: str | None = None
    """Where it is written what to do; goes with each message."""
    notify: tuple[str, ...] = ()
    """The channels that are told, by name. Without any the alert is stored and shown only."""
    group_by: tuple[str, ...] = ("rule",)
    """Labels; alerts that have them alike go out in one message."""
    group_wait_s: NoDuration | None = None
    """Time for which a message waits for others of its group. Default: 0s for critical alerts, else 500ms."""
    repeat_s: Duration = 4 * 3600.0
    """Time after which an alert that still fires is told again."""
    inhibited_by: tuple[str, ...] = ()
    """Rules that, while they fire for the same values of the shared key columns, keep this one from being told."""
    escalate: tuple[str, ...] = ()
    """Channels that are told when nobody acknowledges in time."""
    escalate_after_s: Duration | None = None
    """Time without an acknowledgement after which `escalate` is told."""
    flap_max: Annotated[int, Meta(ge=2, le=1_000)] = 6
    """Fires within `flap_within` above which an alert is flapping: told once, until it is calm."""
    flap_within_s: Duration = 600.0
    """Time in which fires are counted; an alert is calm again after as long without a change."""

    def __post_init__(self) -> None:
        self.check_needs()
        _check_what_is_watched(self)
        _check_window(self)
        if (self.join is None) != (self.within_s is None):
            raise OptionRefused("join", "and within go together")
        if self.join is not None and (self.over_s is not None or self.absent_s is not None):
            raise OptionRefused("join", "can't go with over or absent")
        if bool(self.escalate) != (self.escalate_after_s is not None):
            raise OptionRefused("escalate", "and escalate_after go together")
        if self.clear is not None and self.when is None:
            raise OptionRefused("clear", "needs a when beside it")

    @property
    def pane_us(self) -> int | None:
        """The step of the window in microseconds; None where there is no window of fixed length."""
        if self.over_s is None:
            return None
        over_us = round(self.over_s * US_PER_S)
        if self.window == "tumbling":
            return over_us
        if self.every_s is not None:
            return round(self.every_s * US_PER_S)
        return over_us // next(n for n in range(60, 0, -1) if over_us % n == 0)

    @property
    def nodata_after_s(self) -> float:
        """Time without records after which the state is unknown."""
        return self.nodata_s if self.nodata_s is not None else max(self.over_s or 0.0, 300.0)

    @property
    def told_after_s(self) -> float:
        """Time for which a message waits for others of its group."""
        if self.group_wait_s is not None:
            return self.group_wait_s
        return 0.0 if self.severity == "critical" else 0.5


class SessionOptions(NeedsOptions, frozen=True, kw_only=True, tag="session", tag_field="kind"):
    """Stretches of activity: records of one key that follow each other without a gap, each stretch one record of its own stream."""

    stream: str
    """The stream whose records make the sessions."""
    by: tuple[str, ...] | None = None
    """Columns of which each set of values has sessions of its own. Default: all tags."""
    gap_s: PaneDuration
    """Time without records that ends a session."""
    fields: Mapping[str, str] = {}
    """What is kept of a session: name -> aggregate, `peak = "max(temperature)"`. `end`, `duration_s` and `records` are there besides."""
    longest_s: PaneDuration = 86_400.0
    """A session is ended after this time even without a gap."""


class NotifyOptions(Options, frozen=True, kw_only=True):
    """A channel: where messages go."""

    secret: ClassVar[frozenset[str]] = frozenset({"url"})

    url: str
    """`json://HOST/PATH` (webhook; `jsons://` with TLS; `?format=alertmanager`), `exec:COMMAND`, `mailto://…`, `file:PATH`, `journal:`,
    `mqtt://HOST/TOPIC`, or any other of apprise's (extra `apprise`)."""
    timeout_s: Annotated[float, Meta(gt=0, le=300, extra={"unit": "duration"})] = 10.0
    """Time in which the other side must have answered, or the command ended."""
    age_max_s: Duration = 86_400.0
    """A message that could not be handed over for this long goes to the dead letters of the outbox."""
    rate_max: Count = 60
    """Messages a minute; what is above waits and goes together."""


WorkloadOptions = (
    AlertOptions
    | SessionOptions
    | ViewOptions
    | JobOptions
    | ReportOptions
    | TrainingOptions
    | AuditOptions
    | PanelOptions
    | AnalysisOptions
)
"""One ``[workload.NAME]``; `kind` says which."""
WORKLOAD_KINDS: Final[Mapping[str, type[WorkloadOptions]]] = {
    "alert": AlertOptions,
    "session": SessionOptions,
    "view": ViewOptions,
    "job": JobOptions,
    "report": ReportOptions,
    "training": TrainingOptions,
    "audit": AuditOptions,
    "panel": PanelOptions,
    "analysis": AnalysisOptions,
}

TABLES: Final[Mapping[str, type[Options]]] = {
    "node": NodeOptions,
    "hot": HotOptions,
    "limits": LimitOptions,
    "roll": RollOptions,
    "compact": CompactOptions,
    "retention": RetentionOptions,
    "batch": BatchOptions,
    "http": HttpOptions,
    "query": QueryOptions,
    "alerts": AlertsOptions,
    "paths": PathsOptions,
    "analysis": WatchOptions,
    "search": SearchOptions,
    "cache": CacheOptions,
    "language_model": LanguageModelOptions,
}
"""The tables of the config file with one class each; those that are named by the owner stand beside them."""
TOP_LEVEL: Final = (*TABLES, "budget", "source", "stream", "workload", "notify")
"""Every name that the config file may hold at its top."""


def _check_what_is_watched(rule: AlertOptions) -> None:
    if rule.sql is not None:
        for option, value in (("when", rule.when), ("absent", rule.absent_s), ("over", rule.over_s), ("stream", rule.stream)):
            if value is not None:
                raise OptionRefused("sql", f"can't go with {option}: the query says all")
        if rule.every_s is not None and rule.every_s < 1:
            raise OptionRefused("every", "must be at least 1s for sql")
        return
    if rule.stream is None:
        raise OptionRefused("stream", "is missing: it must be a text")
    if rule.when is None and rule.absent_s is None:
        raise OptionRefused("when", "is missing: a rule needs when, absent or sql")
    if rule.when is not None and rule.absent_s is not None:
        raise OptionRefused("absent", "can't go with when: make two rules of them")


def _check_window(rule: AlertOptions) -> None:
    if rule.window == "session":
        if rule.gap_s is None:
            raise OptionRefused("gap", 'is missing: window = "session" needs it')
        if rule.over_s is not None:
            raise OptionRefused("over", "can't go with session windows, which have no fixed length")
        return
    if rule.gap_s is not None:
        raise OptionRefused("gap", 'needs window = "session"')
    if rule.over_s is None:
        if rule.window == "tumbling":
            raise OptionRefused("over", "is missing: tumbling windows need it")
        if rule.every_s is not None and rule.sql is None:
            raise OptionRefused("every", "needs over, or sql")
        return
    if rule.window == "tumbling" and rule.every_s is not None:
        raise OptionRefused("every", "can't go with tumbling windows, which follow end to end")
    panes, rest = divmod(round(rule.over_s * US_PER_S), rule.pane_us or 1)
    if rest or not 1 <= panes <= PANES_MAX:
        raise OptionRefused("every", f"must go into over a whole number of times, at most {PANES_MAX}")
