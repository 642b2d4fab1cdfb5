"""One picture of the box at one instant: what ``/api/status``, ``appliance status``, the terminal UI and systemd's STATUS line show.

Values only: filled by the service, drawn by the surfaces, computed by neither of them. Rates are means over the last ten
seconds; ``None`` means unknown or not there yet.
"""

from __future__ import annotations

import msgspec

from appliance.observe.ladder import LadderStatus


class LatencyStatus(msgspec.Struct, frozen=True):
    """Received → acknowledged of submissions over the last minute, milliseconds; None before the first."""

    p50_ms: float | None = None
    p99_ms: float | None = None
    max_ms: float | None = None
    count: int = 0


class StreamStatus(msgspec.Struct, frozen=True):
    """One stream."""

    name: str
    rate: float
    """Records a second."""
    records: int
    """Accepted since the stream was created, repeats included."""
    hot_rows: int
    """Committed, not yet in the lake."""
    cold_rows: int
    """Rows of the live segments."""
    segments: int
    bytes_cold: int
    bytes_ring: int
    mark: int
    last_seq: int
    last_ts_us: int | None
    """Event time of the newest record, microseconds."""
    last_arrival_us: int | None
    """Wall clock of the newest commit that held a record of the stream."""
    dirty_days: int
    columns: int
    series: int
    history: tuple[int, ...] = ()
    """Records a second for each of the last ``history_s`` seconds, oldest first."""


class StoreStatus(msgspec.Struct, frozen=True):
    """The hot store and the ring."""

    ring_bytes: int
    ring_bytes_max: int
    ring_rows: int
    sqlite_bytes: int
    wal_bytes: int
    durability: str
    commits: int
    commit_ms_p99: float | None
    queue_bytes: int
    """Waiting for the writer."""
    queue_bytes_max: int


class LakeStatus(msgspec.Struct, frozen=True):
    """The cold side."""

    segments: int
    rows: int
    bytes: int
    lost_segments: int
    """Missing or damaged, set aside."""
    last_roll_us: int | None
    next_roll_us: int | None
    rolling: bool
    compacting: str | None
    """Stream and day under way."""
    disk_free_bytes: int
    disk_total_bytes: int
    bytes_per_day: int = 0
    """What the last days have added, one with the other."""
    full_us: int | None = None
    """Start of the UTC day on which the disk will be full if it goes on like this; None: not within ten years, or not known yet."""
    trim_us: int | None = None
    """Start of the day from which on the oldest days go, since history takes what it may; None as above, or no such limit."""
    eater: str | None = None
    """The stream that grows most."""
    kept_back: int = 0
    """Days, or files of several, that retention should remove and can't yet."""
    deletions: int = 0
    """Whose records are hidden and may still be in a file."""
    index_bytes: int = 0
    """Of search indexes, those beside segments as of less than a minute ago."""


class SourceStatus(msgspec.Struct, frozen=True):
    """One source."""

    name: str
    kind: str
    state: str
    """``ok``, ``waiting``, ``paused`` or ``failed``."""
    detail: str
    records: int
    rejected: int
    dropped: int
    """Datagrams that the kernel or a limit dropped before they could be read."""


class Problem(msgspec.Struct, frozen=True):
    """Something that is degraded, said on every surface until it is over."""

    level: str
    """``WARN`` or ``CRIT``."""
    what: str
    since_us: int
    hint: str = ""


class BudgetStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What a path uses, and may; None: no limit."""

    path: str
    cpu: float
    """Cores, over the last seconds."""
    cpu_max: float | None
    memory_bytes: int
    memory_bytes_max: int | None
    threads_max: int | None
    io_bytes_per_s: float
    io_bytes_per_s_max: float | None
    processes: int
    held: str = ""
    """Why it stands still (hot: takes in less); empty: it doesn't."""


class Status(msgspec.Struct, frozen=True):
    """The whole picture; ``as_of_us`` says when it was true."""

    as_of_us: int
    node: str
    version: str
    data_dir: str
    pid: int
    started_us: int
    health: str
    """``OK``, ``WARN`` or ``CRIT``: the worst of ``problems``."""
    state: str
    """``starting``, ``running``, ``stopping`` or ``offline`` (read from the folder, no service)."""
    streams: tuple[StreamStatus, ...]
    store: StoreStatus
    lake: LakeStatus
    ingest: LatencyStatus
    rate: float
    history: tuple[int, ...]
    """Records a second, all streams, for each of the last ``history_s`` seconds, oldest first."""
    history_s: int
    sources: tuple[SourceStatus, ...]
    dead_letters: int
    dead_letters_new: int
    """In the last hour."""
    last_dead_letter: str | None
    problems: tuple[Problem, ...]
    memory_bytes: int
    cpu_share: float
    """Of one core, over the last ten seconds."""
    queries_running: int
    alerts_firing: int = 0
    alerts_pending: int = 0
    """Their condition holds, but not yet for long enough to fire."""
    jobs_waiting: int = 0
    jobs_running: int = 0
    jobs_failed: int = 0
    """Runs of batch work that have failed for good since the start."""
    ladder: LadderStatus = LadderStatus()
    """How far the box is degraded."""
    budgets: tuple[BudgetStatus, ...] = ()
    """What each path uses, and may."""
