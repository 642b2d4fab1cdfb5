"""The options of what runs in batch: ``[batch]``, ``[retention]``, and the workloads that are views, jobs, reports, trainings and audits.

Frozen values as in ``appliance.options``. A schedule that can't be read or never comes is refused here; what SQL means is found
out where it is planned, and what one workload needs of another (a channel, a job to follow) ``appliance.config`` checks. Nothing
here does I/O.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final, Literal

from msgspec import Meta

from appliance.cron import parse_cron
from appliance.names import result_format
from appliance.need_options import NeedsOptions
from appliance.options import Count, Duration, OptionRefused, Options, Size
from appliance.units import GIB, MIB

Memory = Annotated[int, Meta(ge=64 * MIB, lt=2**62, extra={"unit": "size"})]
"""Bytes; at least 64MiB, since DuckDB and the interpreter need some."""
Priority = Literal["low", "normal", "high"]
PRIORITIES: Final[tuple[Priority, ...]] = ("low", "normal", "high")
"""From what waits longest to what goes first."""
ReportFormat = Literal["html", "md", "csv", "json"]
Covers = Literal["day", "week", "month"]


class BatchOptions(Options, frozen=True, kw_only=True):
    """What all batch work shares; a job may have limits of its own."""

    jobs_max: Annotated[int, Meta(gt=0, le=16)] = 1
    """Jobs at a time."""
    memory_max: Memory = 256 * MIB
    """Memory of one job; at least 64MiB. What needs more spills to the disk, or fails alone."""
    threads: Annotated[int, Meta(gt=0, le=64)] = 1
    """Threads of one job."""
    time_max_s: Duration = 3_600.0
    """Time after which a job is ended."""
    disk_bytes_max: Size = 2 * GIB
    """Disk that one job may use for what doesn't fit into memory."""
    history_max: Count = 10_000
    """Runs that are remembered; the oldest go first."""
    results_keep_s: Duration = 7 * 86_400.0
    """Age above which the results of background queries are removed."""
    results_bytes_max: Size = GIB
    """Disk for results of background queries; the oldest are removed first."""
    daily_report: bool = True
    """Whether the report `daily`, of the box and its streams, is issued every night; a [workload.daily] takes its place."""


class RetentionOptions(Options, frozen=True, kw_only=True):
    """How long history is kept. Nothing is removed that isn't reconciled, clean, and no longer needed by a view."""

    keep_s: Duration | None = None
    """Age above which records are removed, by whole days; small days that compaction has put into one file go with the last of them.
    Default: never. A stream's own `keep` goes before it."""
    disk_bytes_max: Size | None = None
    """Size of lake and views above which the oldest days of the least valuable streams are removed. Default: none."""


class ViewOptions(NeedsOptions, frozen=True, kw_only=True, tag="view", tag_field="kind"):
    """A table that batch keeps ready: one result a bucket of time; what is open or late is answered from the records themselves."""

    bucket_s: Annotated[float, Meta(ge=1, le=366 * 86_400, extra={"unit": "duration"})]
    """Width of a bucket; at least 1s. `sql` groups by `time_bucket` of the same width."""
    sql: str
    """A SELECT over streams or other views that groups by its bucket, which is its column `bucket`."""
    every_s: Duration = 300.0
    """Time between refreshes."""
    settle_s: Annotated[float, Meta(ge=0, le=31 * 86_400, extra={"unit": "duration"})] = 60.0
    """How long after its end a bucket is taken to be over. What comes later still counts: it makes the bucket dirty."""
    keep_s: Duration | None = None
    """Age above which buckets are removed. Default: never, also when the records that they were made of are gone."""


class JobOptions(NeedsOptions, frozen=True, kw_only=True, tag="job", tag_field="kind"):
    """Batch work of the owner: a query whose result is kept, or a command."""

    sql: str | None = None
    """A SELECT over everything that can be queried."""
    command: tuple[str, ...] = ()
    """A program and its arguments, in place of `sql`; run without a shell, in the data folder."""
    table: str | None = None
    """The result becomes this table, which SQL then knows; each run replaces it whole."""
    file: str | None = None
    """The result becomes this file below `reports/`: `.parquet`, `.csv`, `.json` or `.jsonl`; `{date}` is the day of the run."""
    stream: str | None = None
    """The result becomes records of this stream; it needs a column `ts`."""
    schedule: str | None = None
    """When it runs, as cron writes it, in the node's time zone: `0 6 * * *`."""
    every_s: Annotated[float, Meta(ge=1, le=366 * 86_400, extra={"unit": "duration"})] | None = None
    """Time between runs, in place of `schedule`."""
    after: str | None = None
    """Runs after each successful run of this other batch work."""
    on_day: str | None = None
    """Runs when a day of this stream is over and in the lake; `:day` stands for it in `sql`."""
    priority: Priority = "normal"
    """Which of those that wait goes first."""
    memory_max: Memory | None = None
    """Default: that of [batch]."""
    threads: Annotated[int, Meta(gt=0, le=64)] | None = None
    """Default: that of [batch]."""
    time_max_s: Duration | None = None
    """Default: that of [batch]."""
    disk_bytes_max: Size | None = None
    """Default: that of [batch]."""
    retries: Annotated[int, Meta(ge=0, le=100)] = 3
    """Further attempts after a failure, each later than the one before."""
    notify: tuple[str, ...] = ()
    """Channels that are told when it has failed for good, and when it is well again."""

    def __post_init__(self) -> None:
        self.check_needs()
        if (self.sql is None) == (not self.command):
            raise OptionRefused("sql", "or command: a job has one of them")
        targets = [name for name, value in (("table", self.table), ("file", self.file), ("stream", self.stream)) if value is not None]
        if self.sql is not None and len(targets) != 1:
            raise OptionRefused("sql", "needs one of table, file and stream beside it")
        if self.file is not None:
            try:
                result_format(self.file)
            except ValueError as e:
                raise OptionRefused("file", str(e)) from None
        if self.command and targets:
            raise OptionRefused(targets[0], "can't go with command, whose output goes to the log")
        _check_when(schedule=self.schedule, every=self.every_s, after=self.after, on_day=self.on_day)


class ReportOptions(NeedsOptions, frozen=True, kw_only=True, tag="report", tag_field="kind"):
    """Text with queries and charts, rendered on a schedule or on request."""

    title: str | None = None
    """Default: the workload's name."""
    text: str | None = None
    """Markdown with blocks of SQL (```sql and ```chart); `{day}`, `{since}` and other parameters become their values."""
    file: str | None = None
    """The same in a file, relative to the data folder unless absolute."""
    sql: str | None = None
    """A single query in place of `text`."""
    parameters: Mapping[str, str] = {}
    """Parameters and their defaults, which say what they are: text, a number, true or false, a day, a moment."""
    covers: Covers = "day"
    """What a report is about: a whole local day, week (from Monday on) or month; issued on a schedule, the last one that is over."""
    schedule: str | None = None
    """When it is issued, as cron writes it, in the node's time zone; None: on request only."""
    after: str | None = None
    """Issued after each successful run of this other batch work."""
    formats: tuple[ReportFormat, ...] = ("html", "md")
    """What is written, besides the JSON that revisions are compared by."""
    revise: bool = True
    """Issued again, with what has changed, when late records change a day that it is about."""
    keep_s: Duration | None = None
    """Age above which issued reports are removed. Default: never."""
    notify: tuple[str, ...] = ()
    """Channels that get it."""

    def __post_init__(self) -> None:
        self.check_needs()
        if sum(source is not None for source in (self.text, self.file, self.sql)) != 1:
            raise OptionRefused("text", "or file, or sql: a report has one of them")
        _check_when(schedule=self.schedule, every=None, after=self.after, on_day=None)


class TrainingOptions(NeedsOptions, frozen=True, kw_only=True, tag="training", tag_field="kind"):
    """A model made from history, checked on days that it has not seen, and used while it is the best."""

    stream: str
    """Whose records it learns from. `baseline()`, `baseline_low()` and `baseline_high()` in rules compare with the newest model of the same
    stream, column and key."""
    column: str
    """The field that it is about."""
    by: tuple[str, ...] | None = None
    """Columns of which each set of values has a model of its own. Default: all tags."""
    method: Literal["baseline", "robust", "seasonal", "forest"] = "baseline"
    """Mean per hour of the week (`baseline`), median with bounds of three spreads (`robust`), profiles of day and week by robust means
    (`seasonal`), or these profiles with bounds by an isolation forest (`forest`; needs the extra `training`)."""
    days: Annotated[int, Meta(ge=1, le=3_660)] = 56
    """The past that it learns from."""
    holdout_days: Annotated[int, Meta(ge=1, le=366)] = 7
    """The newest of these days, which it is checked on and doesn't learn from; at most a quarter of the history there is."""
    schedule: str | None = "30 3 * * *"
    """When it is made, as cron writes it, in the node's time zone."""
    worse_max: Annotated[float, Meta(ge=0, le=10)] = 0.1
    """How much worse than the model in use (part of its error) a new one may be and still replace it."""
    keep: Annotated[int, Meta(ge=2, le=1_000)] = 10
    """Versions that are kept, to go back to."""
    notify: tuple[str, ...] = ()
    """Channels that are told when it has failed for good, and when a new model was refused."""

    def __post_init__(self) -> None:
        self.check_needs()
        if self.holdout_days >= self.days:
            raise OptionRefused("holdout_days", f"must be less than days ({self.days})")
        _check_when(schedule=self.schedule, every=None, after=None, on_day=None)


class AuditOptions(NeedsOptions, frozen=True, kw_only=True, tag="audit", tag_field="kind"):
    """An evidence bundle, written by itself: what `appliance audit` writes, and `appliance audit verify` checks."""

    schedule: str | None = None
    """When it is written, as cron writes it, in the node's time zone; None: on request only."""
    after: str | None = None
    """Written after each successful run of this other batch work."""
    since_s: Duration | None = None
    """How far back from its time it reaches. Default: to the beginning."""
    silence_s: Duration = 3_600.0
    """A longer stretch without a record is a gap."""
    folder: str | None = None
    """Bundles lie in this folder below `audits/`, each in one with the day and the number of its run. Default: the workload's name."""
    keep_s: Duration | None = None
    """Age above which bundles are removed. Default: never."""
    notify: tuple[str, ...] = ()
    """Channels that get the seal of each bundle and what is not as it should be, and are told when it has failed for good."""

    def __post_init__(self) -> None:
        self.check_needs()
        _check_when(schedule=self.schedule, every=None, after=self.after, on_day=None)


def _check_when(*, schedule: str | None, every: float | None, after: str | None, on_day: str | None) -> None:
    given = [n for n, v in (("schedule", schedule), ("every", every), ("after", after), ("on_day", on_day)) if v is not None]
    if len(given) > 1:
        raise OptionRefused(given[1], f"can't go with {given[0]}: one of them says when it runs")
    if schedule is not None:
        try:
            parse_cron(schedule)
        except ValueError as e:
            raise OptionRefused("schedule", str(e)) from None
